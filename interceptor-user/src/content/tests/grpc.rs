//! gRPC and gRPC-Web.

use std::io::Write as _;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::{Compression, write::GzEncoder};

use super::*;

pub(super) fn message(flags: u8, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[flags], &len[..], payload].concat()
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn grpc() -> Head {
    typed("application/grpc+proto")
}

fn coded(name: &str) -> Head {
    head(&[("content-type", "application/grpc"), ("grpc-encoding", name)])
}

#[test]
fn each_message_has_its_length_before_it() {
    let bytes = [message(0, b"ab"), message(0, b""), message(0, b"cde")].concat();
    check(&grpc(), KEEP, &[data(&bytes)], "'ab' data:2 data:0 'cde' data:3");
    let reader = Reader::of(&grpc(), &KEEP);
    assert_eq!((reader.is_plain(), reader.format(), reader.memory()), (false, Some(crate::model::Format::Grpc), 0));
}

#[test]
fn a_message_that_is_cut_is_not_whole() {
    let bytes = message(0, b"abcd");
    check(&grpc(), KEEP, &[data(&bytes[..7])], "'ab' data:2torn");
    check(&grpc(), KEEP, &[data(&bytes[..3])], "bad_message");
    check(&grpc(), KEEP, &[data(&bytes[..5])], "data:0torn");
}

#[test]
fn flags_that_nobody_knows_are_no_message() {
    let bytes = [message(0, b"ab"), b"\x02hello".to_vec()].concat();
    check(&grpc(), KEEP, &[data(&bytes), Step::Gap(1), data("x")], r"'ab' data:2 bad_message '\x02hellox'");
    check(&grpc(), KEEP, &[data(message(0x80, b"a:b"))], r"bad_message '\x80\x00\x00\x00\x03a:b'");
}

#[test]
fn a_gap_within_a_message_is_survived() {
    let next = message(0, b"next");
    let begun = message(0, b"abcdef")[..7].to_vec();
    let steps = |gap, after: &[u8]| [data(&begun), Step::Gap(gap), data([after, &next].concat())];
    check(&grpc(), KEEP, &steps(2, b"ef"), "'abef' data:4/6torn 'next' data:4");
    check(&grpc(), KEEP, &steps(4, b""), "'ab' data:2/6torn 'next' data:4");
    check(&grpc(), KEEP, &steps(5, b""), r"'ab' data:2/6torn bad_message '\x00\x00\x00\x00\x04next'");
    let between = [data(&next), Step::Gap(1), data("x"), Step::Gap(1), data("y")];
    check(&grpc(), KEEP, &between, "'next' data:4 bad_message 'xy'");
}

#[test]
fn compressed_messages_are_decompressed() {
    let text = b"hello hello hello hello";
    let flush = |mut encoder: flate2::write::ZlibEncoder<Vec<u8>>| {
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let zlib = flush(flate2::write::ZlibEncoder::new(Vec::new(), Compression::default()));
    let mut zstd = vec![0; 100];
    let len = zstd_safe::compress(&mut zstd[..], text, 3).unwrap();
    zstd.truncate(len);
    let snappy = snap::raw::Encoder::new().compress_vec(text).unwrap();
    let mut framed = snap::write::FrameEncoder::new(Vec::new());
    framed.write_all(text).unwrap();
    for (name, packed) in [
        ("gzip", gzip(text)),
        ("deflate", zlib),
        ("zstd", zstd),
        ("snappy", snappy),
        ("snappy", framed.into_inner().unwrap()),
    ] {
        let steps = [data([message(1, &packed), message(0, b"plain"), message(1, &packed)].concat())];
        let one = format!("'{}' data:23/{}({name})", text.escape_ascii(), packed.len());
        check(&coded(name), KEEP, &steps, &format!("{one} 'plain' data:5 {one}"));
        let raw = format!("'{}' data:{}({name})", packed.escape_ascii(), packed.len());
        check(&coded(name), SKIM, &steps, &format!("{raw} 'plain' data:5 {raw}"));
    }
}

#[test]
fn what_cannot_be_decompressed_stays_as_it_is() {
    let steps = [data(message(1, b"abc")), data(message(1, b""))];
    check(&coded("gzip"), KEEP, &steps, "bad_coding data:0/3(gzip)torn data:0(gzip)");
    check(&coded("lz4"), KEEP, &steps, "bad_coding 'abc' data:3(unknown) data:0(unknown)");
    check(&grpc(), KEEP, &steps, "bad_coding 'abc' data:3(unknown) data:0(unknown)");
    check(&coded("identity"), SKIM, &steps, "'abc' data:3(unknown) data:0(unknown)");
    let packed = gzip(b"abc");
    let limits = Limits { message: packed.len() - 1, ..KEEP };
    let raw = packed.escape_ascii();
    let expected = format!("content_limit '{raw}' data:{}(gzip)", packed.len());
    check(&coded("gzip"), limits, &[data(message(1, &packed))], &expected);
    let torn = [data(&message(1, &packed)[..10]), Step::Gap(packed.len() as u64 - 5), data(message(0, b"x"))];
    let begun = packed[..5].escape_ascii();
    check(&coded("gzip"), KEEP, &torn, &format!("'{begun}' data:5/{}(gzip)torn 'x' data:1", packed.len()));
}

#[test]
fn the_trailers_of_grpc_web_are_in_the_content() {
    let trailers = b"grpc-status: 5\r\nGrpc-Message:not found: x\r\n";
    let bytes = [message(0, b"ab"), message(0x80, trailers)].concat();
    let expected = r#"'ab' data:2 {"grpc-status": "5", "Grpc-Message": "not found: x"}"#;
    check(&typed("application/grpc-web+proto"), KEEP, &[data(&bytes)], expected);
    let head = head(&[("content-type", "application/grpc-web"), ("grpc-encoding", "gzip")]);
    let packed = [message(0, b"ab"), message(0x81, &gzip(trailers))].concat();
    check(&head, SKIM, &[data(packed)], expected);
    check(&head, SKIM, &[data([message(0, b"ab"), message(0x80, b"")].concat())], "'ab' data:2");
    let long = message(0x80, &b"a".repeat(65537));
    check(&head, SKIM, &[data([long, message(0, b"ab")].concat())], "content_limit 'ab' data:2");

    let text = typed("application/grpc-web-text");
    check(&text, KEEP, &[data(BASE64_STANDARD.encode(&bytes))], expected);
    let pieces: String = bytes.chunks(7).map(|piece| BASE64_STANDARD.encode(piece)).collect();
    check(&text, KEEP, &[data(pieces)], expected);
    check(&text, KEEP, &[data("AAAAAAJhYg==*oops")], "'ab' data:2 bad_message '*oops'");
    check(&text, KEEP, &[data("AAAAAAJh"), Step::Gap(4), data("AAAA")], "'a' data:1torn bad_message 'AAAA'");
}
