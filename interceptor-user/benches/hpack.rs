//! Header compression against the `h2` crate's: the blocks of every story in `tests/corpus/hpack`, each story as the frames
//! of one connection. `cargo xtask bench hpack` runs it; by hand: `cargo bench -p interceptor-user --bench hpack [ROUNDS]`.
//!
//! Its decoder cannot be called by itself, so both read HEADERS frames and make heads of them: h2 an `http::HeaderMap`,
//! we a `Head`. The third figure is ours without heads: fields only.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

use std::{
    fs::File,
    hint::black_box,
    io::Read as _,
    path::Path,
    pin::{Pin, pin},
    task::{Context as TaskContext, Poll, Waker},
    time::{Duration, Instant},
};

use futures_core::Stream as _;
use interceptor::{
    model::{Chunk, Expects, Side, Timestamp},
    protocol::{
        Context,
        http2::{Connection, Event, hpack},
    },
};
use serde_json::Value;
use tokio::io::{AsyncRead, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const LIMIT: usize = 1 << 20;

/// A name, and how many blocks of a story it reads.
type Reader = (&'static str, fn(&Story) -> usize);

/// What one encoder made of one story.
struct Story {
    blocks: Vec<Vec<u8>>,
    /// The same as HEADERS frames, a stream each.
    frames: Vec<u8>,
}

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20);
    let stories = stories();
    let blocks: usize = stories.iter().map(|story| story.blocks.len()).sum();
    let bytes: usize = stories.iter().flat_map(|story| &story.blocks).map(Vec::len).sum();
    let readers: [Reader; 3] = [("ours", ours), ("h2", theirs), ("ours, fields only", fields)];
    let mut times: [Vec<Duration>; 3] = Default::default();
    for _ in 0..rounds {
        for ((name, read), times) in readers.iter().zip(&mut times) {
            let started = Instant::now();
            let count: usize = stories.iter().map(read).sum();
            times.push(started.elapsed());
            assert_eq!(count, blocks, "{name}");
        }
    }
    println!("stories {} blocks {blocks} bytes {bytes} rounds {rounds}", stories.len());
    for ((name, _), took) in readers.iter().zip(&times) {
        let mut ratios: Vec<f64> = took.iter().zip(&times[0]).map(|(a, b)| a.as_secs_f64() / b.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        let best = took.iter().min().copied().unwrap_or(Duration::ZERO);
        println!(
            "{name}: {:.0} ns a block, {:.2} times ours",
            best.as_secs_f64() * 1e9 / blocks as f64,
            ratios[ratios.len() / 2]
        );
    }
}

/// Those whose table keeps its size: telling h2 of another takes a connection's settings.
fn stories() -> Vec<Story> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/hpack/stories.tar.zst");
    let file = File::open(path).expect("the corpus is part of the repository");
    let mut archive = tar::Archive::new(ruzstd::decoding::StreamingDecoder::new(file).expect("zstd"));
    let mut stories = Vec::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        if !name.contains("story_") || name.contains("raw-data") || name.contains("change-table-size") {
            continue;
        }
        let mut text = String::new();
        entry.read_to_string(&mut text).expect("text");
        let story: Value = serde_json::from_str(&text).expect("JSON");
        let cases = story["cases"].as_array().expect("cases");
        if cases.iter().any(|case| case.get("header_table_size").is_some_and(|size| size != 4096)) {
            continue;
        }
        let blocks: Vec<Vec<u8>> = cases.iter().map(|case| unhex(case["wire"].as_str().expect("wire"))).collect();
        let frames =
            blocks.iter().zip((1_u32..).step_by(2)).flat_map(|(block, stream)| headers(stream, block)).collect();
        stories.push(Story { blocks, frames });
    }
    stories
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(str::from_utf8(pair).expect("hex"), 16).expect("hex")).collect()
}

fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    let len = (block.len() as u32).to_be_bytes();
    [&len[1..], &[1, 5], &stream.to_be_bytes(), block].concat()
}

fn ours(story: &Story) -> usize {
    let mut connection = Connection::new(Side::Client);
    let context = Context { time: Timestamp::default(), head_limit: LIMIT, expects: Expects::Content };
    let mut count = 0;
    for bytes in [PREFACE, &story.frames] {
        let mut chunk = Chunk::Data(bytes);
        while let Some(event) = connection.next(Side::Client, &mut chunk, &context) {
            count += usize::from(matches!(black_box(event), Event::Section { .. }));
        }
    }
    count
}

fn fields(story: &Story) -> usize {
    let mut decoder = hpack::Decoder::new();
    for block in &story.blocks {
        decoder
            .decode(block, &mut |field| {
                black_box(field);
            })
            .expect("a block");
    }
    story.blocks.len()
}

/// Bytes to read from.
struct Bytes<'a>(&'a [u8]);

impl AsyncRead for Bytes<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>, to: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let (now, later) = self.0.split_at(to.remaining().min(self.0.len()));
        to.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl tokio::io::AsyncWrite for Bytes<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut TaskContext<'_>, from: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(from.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn theirs(story: &Story) -> usize {
    let codec: h2::Codec<_, bytes::Bytes> = h2::Codec::new(Bytes(&story.frames));
    let mut codec = pin!(codec);
    codec.set_max_recv_header_list_size(LIMIT);
    let mut context = TaskContext::from_waker(Waker::noop());
    let mut count = 0;
    // A head that it finds malformed is an error of its stream, and decoded all the same.
    while let Poll::Ready(Some(frame)) = codec.as_mut().poll_next(&mut context) {
        black_box(&frame);
        count += 1;
    }
    count
}
