//! Multipart bodies (RFC 2046 section 5.1): parts between lines that begin with a boundary.

use memchr::memchr;

use super::{Item, media};
use crate::model::{Anomaly, Head, Kind, Piece, Timestamp};

/// RFC 2046 allows 70; some send more.
const BOUNDARY_MAX: usize = 200;
/// The CRLF that a delimiter begins with; where a line begins anyway, at the start and after a delimiter, there is none.
const CRLF: usize = 2;

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A part, or what comes before the first one.
    Text,
    /// What follows a boundary: may yet be text that begins like one.
    Boundary,
    /// The same, and a hyphen.
    Hyphen,
    /// Space that may follow a boundary.
    Space,
    /// A boundary's line end.
    LineEnd,
    /// What comes after the last part.
    Epilogue,
    /// Out of step.
    Lost,
}

/// State of a multipart body. Nothing is kept of the parts: what may be a delimiter and turns out to be none is known.
#[derive(Debug)]
pub(super) struct Multipart {
    /// CRLF, two hyphens, the boundary.
    delimiter: Vec<u8>,
    /// So much of it was seen,
    matched: usize,
    /// of which so much is not really there.
    implied: usize,
    stage: Stage,
    /// In a part, not before the first one.
    inside: bool,
    /// Something of the part was lost.
    torn: bool,
    /// Bytes of the part.
    size: u64,
}

impl Multipart {
    /// `None` if the head names no boundary.
    pub(super) fn of(head: &Head) -> Option<Self> {
        let boundary = media::parameter(head.fields.get("content-type")?, "boundary")?;
        let usable = (1..=BOUNDARY_MAX).contains(&boundary.len()) && !boundary.contains(&b'\r');
        usable.then(|| Self {
            delimiter: [b"\r\n--", &*boundary].concat(),
            matched: CRLF,
            implied: CRLF,
            stage: Stage::Text,
            inside: false,
            torn: false,
            size: 0,
        })
    }

    pub(super) fn memory(&self) -> usize {
        self.delimiter.capacity()
    }

    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            rest = match self.stage {
                Stage::Text => self.text(rest, out),
                Stage::Epilogue => return,
                Stage::Lost => return out(Item::Bytes(rest)),
                Stage::Boundary | Stage::Hyphen | Stage::Space | Stage::LineEnd => {
                    if self.line(byte, time, out) {
                        after
                    } else {
                        rest
                    }
                }
            };
        }
    }

    /// Text up to where a delimiter may begin, or the next byte of that; gives what follows.
    fn text<'b>(&mut self, bytes: &'b [u8], out: &mut impl FnMut(Item<'_>)) -> &'b [u8] {
        if self.matched == 0 {
            let end = memchr(b'\r', bytes).unwrap_or(bytes.len());
            let (text, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
            self.pass(text, out);
            self.matched = usize::from(!rest.is_empty());
            return rest.get(self.matched..).unwrap_or_default();
        }
        let wanted = self.delimiter.get(self.matched..).unwrap_or_default();
        let same = wanted.iter().zip(bytes).take_while(|(wanted, byte)| wanted == byte).count();
        self.matched += same;
        let rest = bytes.get(same..).unwrap_or_default();
        if self.matched == self.delimiter.len() {
            self.stage = Stage::Boundary;
        } else if !rest.is_empty() {
            self.release(out);
        }
        rest
    }

    /// A byte after a boundary. Says whether it was used.
    fn line(&mut self, byte: u8, time: Timestamp, out: &mut impl FnMut(Item<'_>)) -> bool {
        match (self.stage, byte) {
            (Stage::Boundary, b'-') => self.stage = Stage::Hyphen,
            (Stage::Hyphen, b'-') => {
                self.part_over(time, out);
                self.stage = Stage::Epilogue;
            }
            (Stage::Boundary, b' ' | b'\t' | b'\r') => {
                self.part_over(time, out);
                self.stage = if byte == b'\r' { Stage::LineEnd } else { Stage::Space };
            }
            (Stage::Space, b' ' | b'\t') => {}
            (Stage::Space, b'\r') => self.stage = Stage::LineEnd,
            (Stage::LineEnd, b'\n') => {
                (self.stage, self.inside, self.matched, self.implied) = (Stage::Text, true, CRLF, CRLF);
            }
            (Stage::Boundary | Stage::Hyphen, _) => {
                self.release(out);
                return false;
            }
            _ => {
                self.stage = Stage::Lost;
                out(Item::Anomaly(Anomaly::BadMessage));
                return false;
            }
        }
        true
    }

    /// What looked like a delimiter is text.
    fn release(&mut self, out: &mut impl FnMut(Item<'_>)) {
        let delimiter = std::mem::take(&mut self.delimiter);
        self.pass(delimiter.get(self.implied..self.matched).unwrap_or_default(), out);
        if self.stage == Stage::Hyphen {
            self.pass(b"-", out);
        }
        self.delimiter = delimiter;
        (self.stage, self.matched, self.implied) = (Stage::Text, 0, 0);
    }

    /// What comes before the first part is nobody's.
    fn pass(&mut self, text: &[u8], out: &mut impl FnMut(Item<'_>)) {
        if self.inside && !text.is_empty() {
            self.size += text.len() as u64;
            out(Item::Bytes(text));
        }
    }

    fn part_over(&mut self, time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if std::mem::take(&mut self.inside) {
            self.message(time, !self.torn, out);
        }
    }

    fn message(&mut self, time: Timestamp, whole: bool, out: &mut impl FnMut(Item<'_>)) {
        let size = std::mem::take(&mut self.size);
        self.torn = false;
        out(Item::Message(Piece { kind: Kind::Data, time, size, wire_size: size, compression: None, whole }));
    }

    /// Goes on at the next delimiter.
    pub(super) fn gap(&mut self, out: &mut impl FnMut(Item<'_>)) {
        match self.stage {
            Stage::Text | Stage::Boundary | Stage::Hyphen => self.release(out),
            // The delimiter is certain, and so is that a part follows.
            Stage::Space | Stage::LineEnd => {
                (self.stage, self.inside, self.matched, self.implied) = (Stage::Text, true, 0, 0);
            }
            Stage::Epilogue | Stage::Lost => return,
        }
        self.torn = self.inside;
    }

    pub(super) fn end(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        match self.stage {
            Stage::Text | Stage::Boundary | Stage::Hyphen => {
                self.release(out);
                if self.inside {
                    self.message(last, false, out);
                } else {
                    out(Item::Anomaly(Anomaly::BadMessage));
                }
            }
            Stage::Space | Stage::LineEnd => out(Item::Anomaly(Anomaly::BadMessage)),
            Stage::Epilogue | Stage::Lost => {}
        }
        self.stage = Stage::Epilogue;
    }
}
