//! Any events: the ledger balances, each flow ends once, memory stays bounded, nothing panics.

#![no_main]

use std::{net::SocketAddr, time::Duration};

use arbitrary::Arbitrary;
use interceptor::{
    flow::{Limits, Table},
    model::{
        Chunk, Endpoint, Event, FlowEvent, LossReason, LossReport, Owner, Segment, Side, SocketChange, SocketReport,
        TcpFlags, Timestamp,
    },
};
use libfuzzer_sys::fuzz_target;

const FLOWS: usize = 3;
const TOTAL: usize = 3000;

#[derive(Arbitrary, Debug)]
enum Step {
    Segment { way: Way, seq: Number, ack: Number, flags: u8, payload: u8, content: u8, cut: u8 },
    Socket { way: Way, change: u8, cookie: u8, acked: u16, received: u64 },
    Loss { way: Way, bytes: u16, reason: u8 },
    Wait { millis: u16 },
}

/// From one of two hosts to the other, by few ports: flows are to meet.
#[derive(Arbitrary, Clone, Copy, Debug)]
struct Way(u8);

impl Way {
    fn ends(self) -> (Endpoint, Endpoint) {
        let client = Endpoint::from(SocketAddr::from(([192, 0, 2, 1], 40_000 + u16::from(self.0 >> 1 & 3))));
        let server = Endpoint::from(SocketAddr::from(([192, 0, 2, 2], 80)));
        if self.0 & 1 == 0 { (client, server) } else { (server, client) }
    }
}

/// Numbers near each other, mostly, and near where they wrap.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Number {
    Near(u8),
    Wrapping(u8),
    Any(u32),
}

impl Number {
    fn value(self) -> u32 {
        match self {
            Self::Near(offset) => 1000 + u32::from(offset),
            Self::Wrapping(offset) => (u32::MAX - 100).wrapping_add(u32::from(offset)),
            Self::Any(value) => value,
        }
    }
}

#[derive(Default)]
struct Sums {
    opened: bool,
    ended: bool,
    captured: [u64; 2],
    finished: [bool; 2],
}

fn check(sums: &mut Sums, event: FlowEvent<'_>) {
    assert!(!sums.ended);
    assert_eq!(sums.opened, !matches!(event, FlowEvent::Opened { .. }));
    match event {
        FlowEvent::Opened { .. } => sums.opened = true,
        FlowEvent::Chunk { side, chunk, .. } => {
            assert!(!sums.finished[side as usize]);
            match chunk {
                Chunk::Data(data) => sums.captured[side as usize] += data.len() as u64,
                Chunk::Gap { len, .. } => assert!(len > 0),
            }
        }
        FlowEvent::CgroupKnown
        | FlowEvent::RetransmissionDiffers { .. }
        | FlowEvent::Window { .. }
        | FlowEvent::Waited { .. } => {}
        FlowEvent::Finished { side, .. } => sums.finished[side as usize] = true,
        FlowEvent::Ended { ledger, .. } => {
            sums.ended = true;
            for side in Side::BOTH {
                let books = ledger.side(side);
                assert_eq!(books.carried, books.captured + books.lost_total());
                assert_eq!(books.captured, sums.captured[side as usize]);
            }
        }
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let limits =
        Limits { flows: FLOWS, flow_bytes: 2000, total_bytes: TOTAL, gap_bytes: 1500, pending: 2, ..Limits::default() };
    let mut table: Table<Sums> = Table::new(limits);
    let mut now = Timestamp::from_nanos(1 << 60);
    let reason = |index: u8| LossReason::ALL[usize::from(index) % LossReason::COUNT];
    for step in steps {
        now = now + Duration::from_micros(10);
        let content: [u8; 255];
        let event = match step {
            Step::Segment { way, seq, ack, flags, payload, content: byte, cut } => {
                let (source, destination) = way.ends();
                content = [byte; 255];
                Event::Segment(Segment {
                    time: now,
                    zone: 0,
                    source,
                    destination,
                    seq: seq.value(),
                    ack: ack.value(),
                    flags: TcpFlags(flags),
                    window: u16::from(byte),
                    payload: &content[..usize::from(payload)],
                    wire_len: u32::from(payload) + u32::from(cut & 63),
                    cut: Some(reason(cut)),
                    socket: Some((Owner::Source, u64::from(cut), u64::from(byte))),
                    interface: 0,
                })
            }
            Step::Socket { way, change, cookie, acked, received } => {
                let (local, remote) = way.ends();
                let change = match change % 3 {
                    0 => SocketChange::OpenedActive,
                    1 => SocketChange::OpenedPassive,
                    _ => SocketChange::Closed,
                };
                Event::Socket(SocketReport {
                    time: now,
                    zone: 0,
                    change,
                    local,
                    remote,
                    cookie: u64::from(cookie & 3),
                    cgroup: None,
                    process: None,
                    srtt: Duration::ZERO,
                    retransmits: 0,
                    bytes_acked: u64::from(acked),
                    bytes_received: received,
                })
            }
            Step::Loss { way, bytes, reason: index } => {
                let (source, destination) = way.ends();
                Event::Loss(LossReport { zone: 0, source, destination, bytes: bytes.into(), reason: reason(index) })
            }
            Step::Wait { millis } => {
                now = now + Duration::from_millis(millis.into());
                table.tick(now, |_, sums, event| check(sums, event));
                continue;
            }
        };
        table.event(&event, |_, sums, event| check(sums, event));
        assert!(table.queued_bytes() <= TOTAL);
        assert!(table.len() <= FLOWS);
    }
    table.finish(|_, sums, event| check(sums, event));
    assert_eq!((table.len(), table.queued_bytes()), (0, 0));
});
