//! Any frames, gaps and ends on one HTTP/2 connection, from its first byte or from the middle: nothing panics, every byte
//! is counted once, memory stays bounded, and any split of the same bytes gives the same exchanges.

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
    Limits { head: 512, body: 64, pipeline: 4, streams: 8, memory: 8192, messages: false, room: usize::MAX };
/// Open exchanges, the tables of both sides, what a search keeps, and the reader of a compressed message.
const MEMORY_MAX: usize = 8 << 20;
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Field blocks that a fuzzer finds only slowly by itself.
const BLOCKS: &[&[u8]] = &[
    b"\x83\x86\x04\x02/a\x01\x01h",
    b"\x83\x86\x04\x02/a\x40\x0ccontent-type\x10application/grpc",
    b"\x88",
    b"\x88\x40\x01a\x01b",
    b"\x88\xbe",
    b"\x00\x0bgrpc-status\x010",
    b"\x20\x3f\xe1\x1f\x88",
    b"\x08\x03103",
    b"\x8d\xbf\xc0",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Frame { server: bool, kind: u8, flags: u8, stream: u8, payload: Payload },
    Bytes { server: bool, bytes: Vec<u8> },
    Gap { server: bool, len: u16 },
    Finished { server: bool },
}

#[derive(Arbitrary, Debug)]
enum Payload {
    Block(u8),
    Bytes(Vec<u8>),
    Message(Vec<u8>),
    Setting(u8, u16),
    Number(u32),
}

impl Payload {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Block(which) => BLOCKS[usize::from(*which) % BLOCKS.len()].to_vec(),
            Self::Bytes(bytes) => bytes.clone(),
            Self::Message(bytes) => [&[0], &(bytes.len() as u32).to_be_bytes()[..], bytes].concat(),
            Self::Setting(which, value) => [&[0, which % 9], &u32::from(*value).to_be_bytes()[..]].concat(),
            Self::Number(number) => number.to_be_bytes().to_vec(),
        }
    }
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
    assert_eq!(whole, run(&input, &input.splits), "another split, other exchanges");
    assert_eq!(whole, run(&input, &[0]), "byte by byte, other exchanges");
});

/// One flow; its bytes cut into pieces of these lengths, less one.
fn run(input: &Input, splits: &[u8]) -> (Vec<Exchange>, Vec<FlowRecord>) {
    let mut flow = Flow::new(input.joined);
    flow.event(FlowEvent::Opened { late: input.joined });
    let mut lengths = splits.iter().map(|length| usize::from(*length) + 1).cycle();
    if !input.joined {
        flow.send(Side::Client, PREFACE, &mut lengths);
    }
    let mut finished = [false; 2];
    let time = Timestamp::from_nanos(1);
    for step in &input.steps {
        let (Step::Frame { server, .. }
        | Step::Bytes { server, .. }
        | Step::Gap { server, .. }
        | Step::Finished { server }) = step;
        let side = if *server { Side::Server } else { Side::Client };
        if finished[usize::from(*server)] {
            continue;
        }
        match step {
            Step::Frame { kind, flags, stream, payload, .. } => {
                let payload = payload.bytes();
                let len = (payload.len() as u32).to_be_bytes();
                let frame = [&len[1..], &[kind % 12, *flags, 0, 0, 0, *stream], &payload].concat();
                flow.send(side, &frame, &mut lengths);
            }
            Step::Bytes { bytes, .. } => flow.send(side, bytes, &mut lengths),
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
        assert!(session.open() as usize <= LIMITS.streams.max(LIMITS.pipeline + 1));
    }
}
