//! Any split of the same bytes gives the same items: for contents of every format and coding, good ones, ones with wrong
//! bytes in them, and with gaps.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::{prelude::*, sample::Index};

use super::{coding::*, *};
use crate::content::PermessageDeflate;

/// A content, and who reads it.
#[derive(Clone)]
struct Sample {
    head: Result<Head, Option<PermessageDeflate>>,
    bytes: Vec<u8>,
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {} bytes", self.head, self.bytes.len())
    }
}

impl Sample {
    fn new(lines: &[(&str, &str)], bytes: Vec<u8>) -> Self {
        Self { head: Ok(head(lines)), bytes }
    }

    fn reader(&self, limits: &Limits) -> Reader {
        match &self.head {
            Ok(head) => Reader::of(head, limits),
            Err(agreed) => Reader::websocket(*agreed),
        }
    }
}

fn samples() -> Vec<Sample> {
    let text = text(9000);
    let events: Vec<Vec<u8>> =
        text.chunks(400).map(|chunk| [b"id: 1\r\ndata: ", chunk, b"\r\n\r\n: x\n\ndata\r\r"].concat()).collect();
    let events: Vec<&[u8]> = events.iter().map(Vec::as_slice).collect();
    let mut samples = vec![
        Sample::new(&[("content-type", "text/event-stream")], [b"\xef\xbb\xbf", &*events.concat()].concat()),
        Sample::new(&[("content-type", "application/jsonl")], b" {}\r\n\n[1, 2]\n  \n\"x\"".repeat(9)),
    ];
    for (name, encoder) in CODINGS {
        let packed = encode(encoder, &events).concat();
        samples.push(Sample::new(&[("content-encoding", name), ("content-type", "text/event-stream")], packed));
        samples.push(Sample::new(&[("content-encoding", name)], encode_whole(encoder, &text)));
    }
    let stacked = encode_whole("br", &encode_whole("zstd", &encode_whole("gzip", &text)));
    samples.push(Sample::new(&[("content-encoding", "gzip, zstd, br")], stacked));
    samples.extend(calls(&text));
    samples.extend(sockets(&events));
    let part = b"\r\n--b-b\r\nA: b\r\n\r\n\r\n--b-\r\n-\r\n--b-bx\r\n--b-b-";
    samples.push(Sample::new(&[("content-type", "multipart/mixed; boundary=b-b")], part.repeat(20)));
    samples
}

fn calls(text: &[u8]) -> Vec<Sample> {
    let trailers = grpc::message(0x80, b"grpc-status: 0\r\n");
    let call = |flags: u8, pack: &dyn Fn(&[u8]) -> Vec<u8>| {
        let messages = text.chunks(300).enumerate();
        messages.flat_map(|(at, chunk)| grpc::message(flags & (at as u8 % 3), &pack(chunk))).collect::<Vec<u8>>()
    };
    let plain = call(0, &<[u8]>::to_vec);
    let web = [&plain[..], &trailers].concat();
    let pieces = web.chunks(100).flat_map(|piece| BASE64_STANDARD.encode(piece).into_bytes()).collect();
    let packed = call(1, &|chunk| encode_whole("gzip", chunk));
    let mut samples = vec![
        Sample { head: Ok(maybe::head(&[("?1", "?"), ("grpc-encoding", "gzip")])), bytes: packed },
        Sample::new(&[("content-type", "application/grpc")], plain),
        Sample::new(&[("content-type", "application/grpc-web")], web),
        Sample::new(&[("content-type", "application/grpc-web-text")], pieces),
    ];
    for name in ["gzip", "deflate", "zstd"] {
        let packed = call(1, &|chunk| encode_whole(name, chunk));
        samples.push(Sample::new(&[("content-type", "application/grpc"), ("grpc-encoding", name)], packed));
    }
    let snappy = call(1, &|chunk| snap::raw::Encoder::new().compress_vec(chunk).unwrap());
    samples.push(Sample::new(&[("content-type", "application/grpc"), ("grpc-encoding", "snappy")], snappy));
    samples
}

fn sockets(events: &[&[u8]]) -> Vec<Sample> {
    [true, false]
        .map(|alone| {
            let packed = websocket::deflate(events, alone);
            let frames = packed.iter().zip(events).enumerate().map(|(at, (packed, event))| {
                let mask = (at % 2 == 0).then_some([1, 2, 3, at as u8]);
                let (begin, rest) = packed.split_at(packed.len() / 2);
                [
                    websocket::frame(0x41, mask, begin),
                    websocket::frame(0x89, None, b"ping"),
                    websocket::frame(0x80, mask, rest),
                    websocket::frame(0x82, mask, event),
                ]
                .concat()
            });
            Sample {
                head: Err(Some(PermessageDeflate { no_context_takeover: alone })),
                bytes: frames.collect::<Vec<_>>().concat(),
            }
        })
        .into()
}

/// Puts wrong bytes in, and takes out what a gap swallows.
fn steps(sample: &Sample, wrong: &[(Index, u8)], gap: Option<(Index, u16)>) -> Vec<Step> {
    let mut bytes = sample.bytes.clone();
    for (at, flip) in wrong {
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
    }
    let Some((at, len)) = gap else { return vec![Step::Data(bytes)] };
    let after = bytes.split_off(at.index(bytes.len()));
    let rest = after.get(usize::from(len)..).unwrap_or_default().to_vec();
    vec![Step::Data(bytes), Step::Gap(len.into()), Step::Data(rest)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_split_gives_the_same_items(
        sample in prop::sample::select(samples()),
        wrong in prop::collection::vec((any::<Index>(), any::<u8>()), 0..3),
        gap in prop::option::weighted(0.3, (any::<Index>(), 1..700_u16)),
        lengths in prop::collection::vec(1..300_usize, 1..20),
        output in prop_oneof![Just(u64::MAX), 0..20_000_u64],
        keep in prop::bool::weighted(0.8),
    ) {
        let limits = Limits { keep, output, ..KEEP };
        let steps = steps(&sample, &wrong, gap);
        let whole = run(sample.reader(&limits), limits, &steps, &[]);
        same(&whole, &run(sample.reader(&limits), limits, &steps, &lengths));
        same(&whole, &run(sample.reader(&limits), limits, &steps, &[1]));
    }
}

/// Shows where they differ, not all of what may be many items.
fn same(whole: &[Got], split: &[Got]) {
    let at = whole.iter().zip(split).take_while(|(whole, split)| whole == split).count();
    let rest = |got: &[Got]| got.get(at..).unwrap_or_default().iter().take(3).cloned().collect::<Vec<_>>();
    let (whole, split) = (rest(whole), rest(split));
    let bytes = match (whole.first(), split.first()) {
        (Some(Got::Bytes(whole)), Some(Got::Bytes(split))) => (whole.len(), split.len()),
        _ => (0, 0),
    };
    assert_eq!(show(&whole), show(&split), "after {at} items, {bytes:?} bytes in the next");
}
