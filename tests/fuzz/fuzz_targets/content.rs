//! Any content of any format and coding, with gaps: nothing panics, what comes out and what is held stays bounded, and
//! any split of the same bytes gives the same items.

#![no_main]

use arbitrary::Arbitrary;
use interceptor::{
    content::{Item, Limits, PermessageDeflate, Reader, sse::Event},
    model::{Anomaly, Fields, Format, Head, Piece, Timestamp, Version},
};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { keep: true, output: 4 << 20, ratio: 100, message: 4096 };
/// The largest window, brotli's of 16 MiB, and what is around it, for each of four codings.
const MEMORY_MAX: usize = 4 * (17 << 20);

const TYPES: &[&str] = &[
    "application/grpc",
    "application/grpc-web",
    "application/grpc-web-text",
    "text/event-stream",
    "application/x-ndjson",
    "multipart/mixed; boundary=b",
    "text/plain",
    // In a field of which nothing is known.
    "?",
];
const CODINGS: &[&str] = &["identity", "gzip", "deflate", "br", "zstd", "snappy", "gzip, br", "zstd, deflate, gzip"];

/// What a fuzzer finds only slowly by itself.
const FRAGMENTS: &[&[u8]] = &[
    b"data: a\n\n",
    b"\r\n\r\n",
    b"\xef\xbb\xbf",
    b"{}\n",
    b"\r\n--b\r\n",
    b"\r\n--b--",
    b"\x00\x00\x00\x00\x03abc",
    b"\x01\x00\x00\x00\x14",
    b"\x80\x00\x00\x00\x05a: b\n",
    b"AAAAAANhYmM=",
    b"\x81\x03abc",
    b"\x01\x83\x01\x02\x03\x04abc",
    b"\x89\x00",
    b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
    // `hello`, coded.
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00",
    b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15",
    b"\x0b\x02\x80hello\x03",
    b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello",
    b"\x05\x10hello",
    b"\xff\x06\x00\x00sNaPpY",
];

#[derive(Arbitrary, Debug)]
enum Step {
    Bytes(Vec<u8>),
    Fragments(Vec<u8>),
    Gap(u16),
}

#[derive(Arbitrary, Debug)]
struct Input {
    content_type: u8,
    coding: u8,
    message_coding: u8,
    websocket: Option<Option<bool>>,
    skim: bool,
    splits: Vec<u8>,
    steps: Vec<Step>,
}

/// An item, owned; adjacent bytes are one.
#[derive(Debug, PartialEq)]
enum Got {
    Bytes(Vec<u8>),
    Format(Format),
    Message(Piece),
    Trailers(Fields),
    Anomaly(Anomaly),
}

fuzz_target!(|input: Input| {
    let whole = run(&input, &[]);
    assert_eq!(whole, run(&input, &input.splits), "another split, other items");
    assert_eq!(whole, run(&input, &[0]), "byte by byte, other items");
});

fn reader(input: &Input, limits: &Limits) -> Reader {
    if let Some(deflate) = input.websocket {
        return Reader::websocket(deflate.map(|no_context_takeover| PermessageDeflate { no_context_takeover }));
    }
    let pick = |list: &[&'static str], which: u8| list[usize::from(which) % list.len()];
    let mut fields = Fields::default();
    let content_type = pick(TYPES, input.content_type);
    fields.push(if content_type == "?" { &b"?1"[..] } else { b"content-type" }, content_type.as_bytes());
    fields.push(b"content-encoding", pick(CODINGS, input.coding).as_bytes());
    fields.push(b"grpc-encoding", pick(CODINGS, input.message_coding).as_bytes());
    Reader::of(&Head::response(200, Version::Http2, fields), limits)
}

/// One content; its bytes cut into pieces of these lengths, less one.
fn run(input: &Input, splits: &[u8]) -> Vec<Got> {
    let limits = Limits { keep: !input.skim, ..LIMITS };
    let (mut reader, mut got, mut last) = (reader(input, &limits), Vec::new(), 0);
    let mut lengths = splits.iter().map(|length| usize::from(*length) + 1).cycle();
    let mut take = |item: Item<'_>| match (item, got.last_mut()) {
        (Item::Bytes(bytes), Some(Got::Bytes(last))) => last.extend_from_slice(bytes),
        (Item::Bytes(bytes), _) => got.push(Got::Bytes(bytes.to_vec())),
        (Item::Format(format), _) => got.push(Got::Format(format)),
        (Item::Message(piece), _) => got.push(Got::Message(piece)),
        (Item::Trailers(fields), _) => got.push(Got::Trailers(fields)),
        (Item::Anomaly(anomaly), _) => got.push(Got::Anomaly(anomaly)),
    };
    for step in &input.steps {
        let bytes = match step {
            Step::Bytes(bytes) => bytes.clone(),
            Step::Fragments(which) => {
                let fragments = which.iter().map(|which| FRAGMENTS[usize::from(*which) % FRAGMENTS.len()]);
                fragments.collect::<Vec<_>>().concat()
            }
            Step::Gap(len) => {
                reader.gap((*len).into(), &mut take);
                continue;
            }
        };
        last += 1;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(lengths.next().unwrap_or(usize::MAX).min(rest.len()));
            rest = after;
            reader.data(piece, Timestamp::from_nanos(last), &limits, &mut take);
            assert!(reader.memory() <= MEMORY_MAX, "{} bytes", reader.memory());
        }
    }
    reader.end(&mut take);
    for got in &got {
        if let Got::Bytes(bytes) = got
            && let Ok(text) = str::from_utf8(bytes)
        {
            assert!(Event::parse(text).data.len() <= text.len());
        }
    }
    got
}
