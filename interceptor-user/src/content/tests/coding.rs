//! Content codings: what encoders make of a content comes out as it was, and as soon as it can.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer};

use super::*;
use crate::model::{Coding, Format};

/// What encoders make of texts that are each flushed: for each text so many coded bytes, and the rest.
type Flushed = Vec<Vec<u8>>;

/// Takes what a writer wrote since the last time.
fn drain(written: &mut Vec<u8>) -> Vec<u8> {
    std::mem::take(written)
}

macro_rules! flate {
    ($encoder:ident, $texts:expr) => {{
        let mut encoder = $encoder::new(Vec::new(), Compression::default());
        let mut flushed: Flushed = Vec::new();
        for text in $texts {
            encoder.write_all(text).unwrap();
            encoder.flush().unwrap();
            flushed.push(drain(encoder.get_mut()));
        }
        flushed.push(encoder.finish().unwrap());
        flushed
    }};
}

fn brotli(texts: &[&[u8]]) -> Flushed {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
    let mut flushed: Flushed = Vec::new();
    for text in texts {
        encoder.write_all(text).unwrap();
        encoder.flush().unwrap();
        flushed.push(drain(encoder.get_mut()));
    }
    flushed.push(encoder.into_inner());
    flushed
}

fn zstd_with(window_log: u32, texts: &[&[u8]]) -> Flushed {
    let mut context = CCtx::create();
    context.set_parameter(CParameter::WindowLog(window_log)).unwrap();
    context.set_parameter(CParameter::ChecksumFlag(true)).unwrap();
    let mut flushed: Flushed = Vec::new();
    let mut room = vec![0; texts.concat().len() + 1024];
    for text in texts {
        let mut output = OutBuffer::around(&mut room[..]);
        let mut input = InBuffer::around(text);
        while input.pos() < text.len() {
            context.compress_stream(&mut output, &mut input).unwrap();
        }
        assert_eq!(context.flush_stream(&mut output), Ok(0));
        flushed.push(output.as_slice().to_vec());
    }
    let mut output = OutBuffer::around(&mut room[..]);
    assert_eq!(context.end_stream(&mut output), Ok(0));
    flushed.push(output.as_slice().to_vec());
    flushed
}

pub(super) fn encode(name: &str, texts: &[&[u8]]) -> Flushed {
    match name {
        "gzip" | "x-gzip" => flate!(GzEncoder, texts),
        "deflate" => flate!(ZlibEncoder, texts),
        "deflate-raw" => flate!(DeflateEncoder, texts),
        "br" => brotli(texts),
        "zstd" => zstd_with(17, texts),
        other => panic!("{other}"),
    }
}

pub(super) fn encode_whole(name: &str, text: &[u8]) -> Vec<u8> {
    encode(name, &[text]).concat()
}

/// Name in `Content-Encoding`, and of the encoder.
pub(super) const CODINGS: [(&str, &str); 6] = [
    ("gzip", "gzip"),
    ("X-Gzip", "gzip"),
    ("deflate", "deflate"),
    ("deflate", "deflate-raw"),
    ("br", "br"),
    ("zstd", "zstd"),
];

/// Text that compresses by some, of several blocks of every coding.
pub(super) fn text(len: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut text = Vec::new();
    while text.len() < len {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.extend_from_slice(format!("{:x} word{} ", state, state >> 29).as_bytes());
    }
    text.truncate(len);
    text
}

fn coded(coding: &str) -> Head {
    head(&[("content-encoding", coding)])
}

fn bytes(text: &[u8]) -> String {
    format!("'{}'", text.escape_ascii())
}

#[test]
fn what_was_coded_comes_out() {
    let text = text(300_000);
    for (name, encoder) in CODINGS {
        let packed = encode_whole(encoder, &text);
        for lengths in [&[][..], &[1460], &[1, 2, 5000]] {
            let got = run(Reader::of(&coded(name), &KEEP), KEEP, &[data(&packed)], lengths);
            assert!(got == [Got::Bytes(text.clone())], "{encoder} in pieces of {lengths:?}");
        }
        check(&coded(name), KEEP, &[data(&packed[..packed.len() / 2])], &{
            let got = run(Reader::of(&coded(name), &KEEP), KEEP, &[data(&packed[..packed.len() / 2])], &[]);
            assert!(show(&got).ends_with("' bad_coding"), "{encoder} is not complete");
            show(&got)
        });
        check(&coded(name), KEEP, &[], "");
    }
}

#[test]
fn what_was_flushed_comes_out_at_once() {
    let texts: [&[u8]; 4] = [b"data: a\n\n", b"data: bb\n\n", b"data: ccc\n\n", b"data: dddd\n\n"];
    for (name, encoder) in CODINGS {
        let head = head(&[("content-type", "text/event-stream"), ("content-encoding", name)]);
        let mut run = Run::new(Reader::of(&head, &SKIM), SKIM);
        for (time, piece) in encode(encoder, &texts).iter().enumerate() {
            run.data(piece, time as u64);
        }
        let got = run.end();
        let times = got.iter().filter_map(|got| match got {
            Got::Message(piece) => Some((piece.time.as_nanos(), piece.size)),
            _ => None,
        });
        assert_eq!(times.collect::<Vec<_>>(), [(0, 9), (1, 10), (2, 11), (3, 12)], "{encoder}");
        assert_eq!(got.len(), 8, "{encoder}: {}", show(&got));
    }
}

#[test]
fn codings_are_removed_in_turn() {
    let stacked = encode_whole("br", &encode_whole("gzip", b"hello"));
    check(&coded("gzip, br"), KEEP, &[data(&stacked)], "'hello'");
    let reader = Reader::of(&coded("gzip, identity, br"), &KEEP);
    assert_eq!((reader.coding(), reader.format()), (Some(Coding::Brotli), None));
    check(&coded("br, gzip"), KEEP, &[data(&stacked), data("x")], "bad_coding");
    let head =
        head(&[("content-encoding", "zstd"), ("content-encoding", "deflate"), ("content-type", "application/jsonl")]);
    let stacked = encode_whole("deflate", &encode_whole("zstd", b"{}\n[]\n"));
    check(&head, SKIM, &[data(stacked)], r"'{}\n' data:3 '[]\n' data:3");
    assert_eq!(Reader::of(&head, &SKIM).format(), Some(Format::JsonLines));
    let deep = (0..5).fold(b"hello".to_vec(), |bytes, _| encode_whole("gzip", &bytes));
    let below = bytes(&encode_whole("gzip", b"hello"));
    check(&coded("gzip,gzip,gzip,gzip,gzip"), KEEP, &[data(deep)], &format!("bad_coding {below}"));
}

#[test]
fn a_coding_that_nobody_knows_stays() {
    check(&coded("aws-chunked"), KEEP, &[data("abc"), Step::Gap(1), data("d")], "bad_coding 'abcd'");
    check(&coded("foo, gzip"), KEEP, &[data(encode_whole("gzip", b"abc"))], "bad_coding 'abc'");
    check(&coded("snappy"), KEEP, &[data("abc")], "bad_coding 'abc'");
    assert_eq!(Reader::of(&coded("foo"), &KEEP).coding(), None);
}

#[test]
fn gzip_may_have_members_and_every_part_of_a_header() {
    let plain = |text: &[u8]| encode_whole("gzip", text);
    let full = flate2::GzBuilder::new().filename("f").comment("c").extra(b"xyz".to_vec());
    let mut full = full.write(Vec::new(), Compression::fast());
    full.write_all(b"b").unwrap();
    let full = full.finish().unwrap();
    let members = [plain(b"a"), full.clone(), plain(b""), plain(b"c")].concat();
    check(&coded("gzip"), KEEP, &[data(&members)], "'abc'");
    // FHCRC, which the builder has not: flag 2, and two bytes before the body.
    let name_end = full.iter().rposition(|byte| *byte == b'c').unwrap() + 2;
    let mut crc = [&full[..name_end], &[1, 2], &full[name_end..]].concat();
    crc[3] |= 2;
    check(&coded("gzip"), KEEP, &[data(crc)], "'b'");
    check(&coded("gzip"), KEEP, &[data([&members[..], &[0; 9]].concat())], "'abc'");
    check(&coded("gzip"), KEEP, &[data([&members[..], b"\0x", b"y"].concat())], "'abc' bad_coding");
    check(&coded("gzip"), KEEP, &[data([&members[..], b"x"].concat())], "'abc' bad_coding");
    let mut wrong = plain(b"abc");
    *wrong.last_mut().unwrap() ^= 1;
    check(&coded("gzip"), KEEP, &[data(&wrong)], "'abc' bad_coding");
}

#[test]
fn zstd_may_have_frames_and_windows_of_8_mib() {
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0xyz";
    let frames = [&encode_whole("zstd", b"a")[..], skippable, &encode_whole("zstd", b"b")].concat();
    check(&coded("zstd"), KEEP, &[data(&frames)], "'ab'");
    check(&coded("zstd"), KEEP, &[data([&frames[..], b"what"].concat())], "'ab' bad_coding");
    check(&coded("zstd"), KEEP, &[data(zstd_with(23, &[b"abc"]).concat())], "'abc'");
    check(&coded("zstd"), KEEP, &[data(zstd_with(24, &[b"abc"]).concat())], "content_limit");
}

#[test]
fn what_follows_the_end_is_not_of_the_coding() {
    for encoder in ["deflate", "deflate-raw", "br"] {
        let name = encoder.trim_end_matches("-raw");
        check(&coded(name), KEEP, &[data([&encode_whole(encoder, b"abc")[..], b"x"].concat())], "'abc' bad_coding");
    }
}

#[test]
fn nothing_is_decoded_after_a_gap() {
    for (name, encoder) in CODINGS {
        let packed = encode_whole(encoder, b"hello");
        check(&coded(name), KEEP, &[data(&packed), Step::Gap(1), Step::Gap(1), data("x")], "'hello' bad_coding");
        let events = head(&[("content-type", "text/event-stream"), ("content-encoding", name)]);
        let packed = encode_whole(encoder, b"data: a\n\ndata: b");
        let expected = r"'data: a\n\ndata: b' bad_coding".replace(r"a\n\nd", r"a\n\n' data:9 'd") + " data:7torn";
        check(&events, SKIM, &[data(&packed), Step::Gap(1), data("x")], &expected);
    }
}
