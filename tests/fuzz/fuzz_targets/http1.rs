//! Any bytes, gaps and ends on one flow: nothing panics, every byte is counted once, memory stays bounded, and any split
//! of the same bytes gives the same exchanges.

#![no_main]

use arbitrary::Arbitrary;
use interceptor::{
    model::{Exchange, FlowRecord},
    session::Limits,
};
use interceptor_fuzz::{Bounds, Flow, lengths, side};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits<'_> = Limits {
    head: 512,
    body: 32,
    decide: None,
    pipeline: 4,
    streams: 4,
    memory: 2048,
    messages: false,
    room: usize::MAX,
};
/// Open exchanges, the head of one more with all its places, two buffers, and the first bytes of two sides.
const BOUNDS: Bounds = Bounds { limits: LIMITS, memory: LIMITS.memory + 64 * LIMITS.head, open: LIMITS.pipeline + 1 };

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
    let mut flow = Flow::open(BOUNDS, input.joined, lengths(splits));
    for step in &input.steps {
        let (Step::Bytes { server, .. }
        | Step::Fragments { server, .. }
        | Step::Gap { server, .. }
        | Step::Finished { server }
        | Step::Retransmission { server }) = step;
        let side = side(*server);
        if flow.is_finished(side) {
            continue;
        }
        match step {
            Step::Bytes { bytes, .. } => flow.send(side, bytes),
            Step::Fragments { which, .. } => {
                let fragments = which.iter().map(|which| FRAGMENTS[usize::from(*which) % FRAGMENTS.len()]);
                flow.send(side, &fragments.collect::<Vec<_>>().concat());
            }
            Step::Gap { len, .. } => flow.gap(side, *len),
            Step::Finished { .. } => flow.finish(side),
            Step::Retransmission { .. } => flow.retransmission(side),
        }
    }
    flow.end(input.end)
}
