//! Any bytes, gaps and ends on one flow: nothing panics, every byte is counted once, memory stays bounded, and any split
//! of the same bytes gives the same exchanges.

#![no_main]

use std::sync::Arc;

use arbitrary::Arbitrary;
use interceptor::{
    model::{
        Chunk, Endpoint, Exchange, FlowEnd, FlowEvent, FlowInfo, FlowKey, FlowRecord, Ledger, LossReason, Peer, Record,
        Side, Timestamp,
    },
    session::{Limits, Session},
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits =
    Limits { head: 512, body: 32, pipeline: 4, streams: 4, memory: 2048, messages: false, room: usize::MAX };
/// Open exchanges, the head of one more with all its places, two buffers, and the first bytes of two sides.
const MEMORY_MAX: usize = LIMITS.memory + 64 * LIMITS.head;

/// What a fuzzer finds only slowly by itself.
const FRAGMENTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\n",
    b"HEAD / HTTP/1.1\r\n",
    b"CONNECT a:1 HTTP/1.0\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 100 C\r\n\r\n",
    b"HTTP/1.1 101 S\r\n",
    b"HTTP/1.1 304 N\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"A: b\r\n c\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"\r\n",
    b"GET ",
    b"HTTP/1.",
    b"\x16\x03\x01\x00\x05",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Bytes { server: bool, bytes: Vec<u8> },
    Fragments { server: bool, which: Vec<u8> },
    Gap { server: bool, len: u16 },
    Finished { server: bool },
    Retransmission { server: bool },
}

#[derive(Arbitrary, Debug)]
struct Input {
    joined: bool,
    end: u8,
    splits: Vec<u8>,
    steps: Vec<Step>,
}

fuzz_target!(|input: Input| {
    let whole = run(&input, &[]);
    let split = run(&input, &input.splits);
    assert_eq!(whole, split, "another split, other exchanges");
    assert_eq!(whole, run(&input, &[0]), "byte by byte, other exchanges");
});

/// One flow; its bytes cut into pieces of these lengths, less one.
fn run(input: &Input, splits: &[u8]) -> (Vec<Exchange>, Vec<FlowRecord>) {
    let mut flow = Flow::new(input.joined);
    flow.event(FlowEvent::Opened { late: input.joined });
    let mut lengths = splits.iter().map(|length| usize::from(*length) + 1).cycle();
    let mut finished = [false; 2];
    let time = Timestamp::from_nanos(1);
    for step in &input.steps {
        let (Step::Bytes { server, .. }
        | Step::Fragments { server, .. }
        | Step::Gap { server, .. }
        | Step::Finished { server }
        | Step::Retransmission { server }) = step;
        let side = if *server { Side::Server } else { Side::Client };
        if finished[usize::from(*server)] {
            continue;
        }
        match step {
            Step::Bytes { bytes, .. } => flow.send(side, bytes, &mut lengths),
            Step::Fragments { which, .. } => {
                let fragments = which.iter().map(|which| FRAGMENTS[usize::from(*which) % FRAGMENTS.len()]);
                flow.send(side, &fragments.collect::<Vec<_>>().concat(), &mut lengths);
            }
            Step::Gap { len, .. } => {
                let len = u64::from(*len) + 1;
                flow.ledger.side_mut(side).carried += len;
                flow.ledger.side_mut(side).lose(LossReason::NotSeen, len);
                flow.event(FlowEvent::Chunk { side, time, chunk: Chunk::Gap { len, reason: LossReason::NotSeen } });
            }
            Step::Finished { .. } => {
                finished[usize::from(*server)] = true;
                flow.event(FlowEvent::Finished { side, time });
            }
            Step::Retransmission { .. } => flow.event(FlowEvent::RetransmissionDiffers { side }),
        }
    }
    let ends = [FlowEnd::Closed, FlowEnd::Reset, FlowEnd::Idle, FlowEnd::CaptureEnded];
    let end = ends[usize::from(input.end) % ends.len()];
    flow.event(FlowEvent::Ended { end, time, ledger: flow.ledger });
    assert_eq!(flow.records.len(), 1);
    assert!(flow.records[0].ledger.balances(), "{:?}", flow.records[0].ledger);
    assert_eq!(flow.records[0].exchanges, flow.exchanges.len() as u64);
    assert_eq!(flow.session.open(), 0);
    (flow.exchanges, flow.records)
}

struct Flow {
    info: Arc<FlowInfo>,
    session: Session,
    ledger: Ledger,
    exchanges: Vec<Exchange>,
    records: Vec<FlowRecord>,
}

impl Flow {
    fn new(joined: bool) -> Self {
        let client = Endpoint::new([192, 0, 2, 1].into(), 40_000);
        let server = Endpoint::new([192, 0, 2, 2].into(), 80);
        let info = FlowInfo {
            id: 1,
            key: FlowKey::new(0, client, server),
            client: Peer::new(client),
            server: Peer::new(server),
            start: Timestamp::from_nanos(1),
            joined,
            interface: 0,
        };
        Self {
            info: Arc::new(info),
            session: Session::default(),
            ledger: Ledger::default(),
            exchanges: Vec::new(),
            records: Vec::new(),
        }
    }

    fn send(&mut self, side: Side, mut bytes: &[u8], lengths: &mut impl Iterator<Item = usize>) {
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(lengths.next().unwrap_or(usize::MAX).min(bytes.len()));
            bytes = rest;
            let ledger = self.ledger.side_mut(side);
            ledger.carried += piece.len() as u64;
            ledger.captured += piece.len() as u64;
            let time = Timestamp::from_nanos(1);
            self.event(FlowEvent::Chunk { side, time, chunk: Chunk::Data(piece) });
        }
    }

    fn event(&mut self, event: FlowEvent<'_>) {
        let Self { info, session, exchanges, records, .. } = self;
        session.event(info, event, &LIMITS, &mut |record| match record {
            Record::Exchange(exchange) => exchanges.push(*exchange),
            Record::Message(_) => {}
            Record::Flow(record) => records.push(*record),
        });
        assert!(session.memory() <= MEMORY_MAX, "{} bytes", session.memory());
        assert!(session.open() as usize <= LIMITS.pipeline + 1);
    }
}
