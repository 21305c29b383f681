//! What the tests of this module share, and the properties that all formats and codings have.

mod coding;
mod grpc;
mod hostile;
mod maybe;
mod multipart;
mod split;
mod text;
mod websocket;

use super::{Item, Limits, Reader};
use crate::model::{Anomaly, Fields, Format, Head, Piece, Timestamp, Version};

/// Bodies are wanted, limits as they are by default.
const KEEP: Limits = Limits { keep: true, output: 256 << 20, ratio: 1000, message: 4 << 20 };
const SKIM: Limits = Limits { keep: false, ..KEEP };

/// An [`Item`], owned; adjacent bytes are one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Got {
    Bytes(Vec<u8>),
    Format(Format),
    Message(Piece),
    Trailers(Fields),
    Anomaly(Anomaly),
}

#[derive(Clone, Debug)]
enum Step {
    Data(Vec<u8>),
    Gap(u64),
}

fn data(bytes: impl AsRef<[u8]>) -> Step {
    Step::Data(bytes.as_ref().to_vec())
}

/// A response's head with these field lines.
fn head(lines: &[(&str, &str)]) -> Head {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    Head::response(200, Version::Http11, fields)
}

fn typed(content_type: &str) -> Head {
    head(&[("content-type", content_type)])
}

struct Run {
    reader: Reader,
    limits: Limits,
    got: Vec<Got>,
    most_memory: usize,
}

impl Run {
    fn new(reader: Reader, limits: Limits) -> Self {
        Self { reader, limits, got: Vec::new(), most_memory: 0 }
    }

    fn data(&mut self, bytes: &[u8], nanos: u64) {
        let Self { reader, limits, got, .. } = self;
        reader.data(bytes, Timestamp::from_nanos(nanos), limits, &mut |item| take(got, item));
        self.most_memory = self.most_memory.max(self.reader.memory());
    }

    fn gap(&mut self, len: u64) {
        let Self { reader, got, .. } = self;
        reader.gap(len, &mut |item| take(got, item));
    }

    fn end(mut self) -> Vec<Got> {
        let Self { reader, got, .. } = &mut self;
        reader.end(&mut |item| take(got, item));
        self.got
    }
}

fn take(got: &mut Vec<Got>, item: Item<'_>) {
    match (item, got.last_mut()) {
        (Item::Bytes(bytes), Some(Got::Bytes(last))) => last.extend_from_slice(bytes),
        (Item::Bytes(bytes), _) => got.push(Got::Bytes(bytes.to_vec())),
        (Item::Format(format), _) => got.push(Got::Format(format)),
        (Item::Message(piece), _) => got.push(Got::Message(piece)),
        (Item::Trailers(fields), _) => got.push(Got::Trailers(fields)),
        (Item::Anomaly(anomaly), _) => got.push(Got::Anomaly(anomaly)),
    }
}

/// Runs it with data cut into pieces of these lengths, in turn; uncut if there are none.
fn run(reader: Reader, limits: Limits, steps: &[Step], lengths: &[usize]) -> Vec<Got> {
    let mut run = Run::new(reader, limits);
    let mut lengths = lengths.iter().copied().cycle();
    for step in steps {
        match step {
            Step::Gap(len) => run.gap(*len),
            Step::Data(bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(lengths.next().unwrap_or(usize::MAX).min(rest.len()));
                    run.data(piece, 1);
                    rest = after;
                }
            }
        }
    }
    run.end()
}

/// As one line: bytes in quotes; messages by kind, size, size as sent where that differs, coding, and `torn` if not whole.
fn show(got: &[Got]) -> String {
    got.iter().map(show_one).collect::<Vec<_>>().join(" ")
}

fn show_one(got: &Got) -> String {
    let piece = match got {
        Got::Bytes(bytes) => return format!("'{}'", bytes.escape_ascii()),
        Got::Format(format) => return format!("={}", format.name()),
        Got::Trailers(fields) => return format!("{fields:?}"),
        Got::Anomaly(anomaly) => return anomaly.name().to_owned(),
        Got::Message(piece) => piece,
    };
    let mut text = format!("{}:{}", piece.kind.name(), piece.size);
    if piece.wire_size != piece.size {
        text = format!("{text}/{}", piece.wire_size);
    }
    if let Some(coding) = piece.compression {
        text = format!("{text}({})", coding.name());
    }
    if !piece.whole {
        text += "torn";
    }
    text
}

/// What comes out of these steps, uncut and byte by byte.
fn check(head: &Head, limits: Limits, steps: &[Step], expected: &str) {
    for lengths in [&[][..], &[1], &[2, 3]] {
        let got = run(Reader::of(head, &limits), limits, steps, lengths);
        assert_eq!(show(&got), expected, "{steps:?} in pieces of {lengths:?}");
    }
}

#[test]
fn a_reader_is_small() {
    assert!(size_of::<Reader>() <= 40, "{}", size_of::<Reader>());
}

#[test]
fn a_plain_content_passes() {
    let reader = Reader::of(&typed("application/json"), &KEEP);
    assert!(reader.is_plain());
    assert_eq!((reader.format(), reader.coding(), reader.memory()), (None, None, 0));
    check(&typed("application/json"), KEEP, &[data("a"), Step::Gap(3), data("b")], "'ab'");
    assert!(Reader::of(&head(&[("content-encoding", "gzip")]), &SKIM).is_plain(), "nobody wants it");
    assert!(Reader::of(&typed("multipart/mixed"), &KEEP).is_plain(), "no boundary");
    assert!(Reader::default().is_plain());
}
