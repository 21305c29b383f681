//! Any frames, gaps and ends on one HTTP/2 connection, from its first byte or from the middle: nothing panics, every byte
//! is counted once, memory stays bounded, and any split of the same bytes gives the same exchanges.

#![no_main]

use arbitrary::Arbitrary;
use interceptor::{
    model::{Exchange, FlowRecord, Side},
    session::Limits,
};
use interceptor_fuzz::{Bounds, Flow, lengths, side};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits<'_> = Limits {
    head: 512,
    body: 64,
    decide: None,
    pipeline: 4,
    streams: 8,
    memory: 8192,
    messages: false,
    room: usize::MAX,
};
/// Open exchanges, the tables of both sides, what a search keeps, and the reader of a compressed message.
const BOUNDS: Bounds = Bounds { limits: LIMITS, memory: 8 << 20, open: LIMITS.streams };
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
    let mut flow = Flow::open(BOUNDS, input.joined, lengths(splits));
    if !input.joined {
        flow.send(Side::Client, PREFACE);
    }
    for step in &input.steps {
        let (Step::Frame { server, .. }
        | Step::Bytes { server, .. }
        | Step::Gap { server, .. }
        | Step::Finished { server }) = step;
        let side = side(*server);
        if flow.is_finished(side) {
            continue;
        }
        match step {
            Step::Frame { kind, flags, stream, payload, .. } => {
                let payload = payload.bytes();
                let len = (payload.len() as u32).to_be_bytes();
                let frame = [&len[1..], &[kind % 12, *flags, 0, 0, 0, *stream], &payload].concat();
                flow.send(side, &frame);
            }
            Step::Bytes { bytes, .. } => flow.send(side, bytes),
            Step::Gap { len, .. } => flow.gap(side, *len),
            Step::Finished { .. } => flow.finish(side),
        }
    }
    flow.end(input.end)
}
