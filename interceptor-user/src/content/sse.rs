//! Server-sent events (WHATWG HTML, section 9.2.5): lines that end in LF, CR or CRLF, fields in them, and an empty line
//! after each event.

use memchr::memchr2;

use super::Item;
use crate::model::{Kind, Piece, Timestamp};

const BOM: [u8; 3] = [0xef, 0xbb, 0xbf];
const DATA: [u8; 4] = *b"data";

/// An event, as an `EventSource` would dispatch it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its type, where that is not `message`.
    pub event: Option<&'a str>,
    /// The values of its `data` fields, joined by LF.
    pub data: String,
    /// Its id.
    pub id: Option<&'a str>,
    /// How long to wait before reconnecting: milliseconds.
    pub retry: Option<u64>,
}

impl<'a> Event<'a> {
    /// Reads the text of one event, which may begin with the line ends and comments that came before it.
    pub fn parse(block: &'a str) -> Self {
        let mut event = Self::default();
        let mut any = false;
        let mut rest = block.strip_prefix('\u{feff}').unwrap_or(block);
        while !rest.is_empty() {
            let line;
            (line, rest) = split_line(rest);
            if line.is_empty() {
                // A block without data is no event: its type is forgotten.
                event.event = event.event.filter(|_| any);
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "event" => event.event = Some(value).filter(|value| !value.is_empty()),
                "data" => {
                    if std::mem::replace(&mut any, true) {
                        event.data.push('\n');
                    }
                    event.data.push_str(value);
                }
                "id" if !value.contains('\0') => event.id = Some(value),
                "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => event.retry = value.parse().ok(),
                _ => {}
            }
        }
        event
    }
}

/// The first line without its end, and what follows.
fn split_line(text: &str) -> (&str, &str) {
    let (line, rest) = text.find(['\n', '\r']).and_then(|end| text.split_at_checked(end)).unwrap_or((text, ""));
    let rest = rest.strip_prefix("\r\n").or_else(|| rest.get(1..)).unwrap_or_default();
    (line, rest)
}

/// What was seen of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    /// Nothing.
    #[default]
    Start,
    /// So many letters of `data`.
    Name(usize),
    /// Enough.
    Known,
}

/// What was seen of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Block {
    /// Nothing but comments.
    #[default]
    Empty,
    /// Fields, but no data: that dispatches nothing.
    Fields,
    Data,
}

/// How a line ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ended {
    #[default]
    Otherwise,
    /// In the CR that was the byte before, which may be half of a line end.
    Cr,
    CrLf,
}

/// State of an event stream. Nothing is kept of the text.
#[derive(Debug, Default)]
pub(super) struct EventStream {
    /// How much of the byte order mark, which only the first line may have, was seen; all of it once past that.
    bom: usize,
    line: Line,
    block: Block,
    /// How the line before ended.
    ended: Ended,
    /// An event is over but for the LF of its last line end. One that comes in a stream of CRLFs is waited for, so that
    /// it is the event's and not the next one's; in a stream of CRs there is none to wait for.
    due: bool,
    /// Something of the event was lost.
    torn: bool,
    /// Bytes since the last event.
    size: u64,
}

impl EventStream {
    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let mut rest = bytes;
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            if self.due {
                at += usize::from(byte == b'\n');
                self.ended = if byte == b'\n' { Ended::CrLf } else { Ended::Otherwise };
                rest = self.dispatch(rest, at, time, out);
                at = 0;
                continue;
            }
            if !matches!(byte, b'\n' | b'\r') {
                if self.ended == Ended::Cr {
                    self.ended = Ended::Otherwise;
                }
                at += self.within(byte, rest.get(at..).unwrap_or_default());
                continue;
            }
            at += 1;
            if self.line_end(byte) && !self.due {
                rest = self.dispatch(rest, at, time, out);
                at = 0;
            }
        }
        self.pass(rest, out);
    }

    /// A byte of a line, and what follows it; gives how many need no more looking at.
    fn within(&mut self, byte: u8, rest: &[u8]) -> usize {
        match self.line {
            Line::Known => return memchr2(b'\n', b'\r', rest).unwrap_or(rest.len()),
            Line::Start if BOM.get(self.bom) == Some(&byte) => {
                self.bom += 1;
                return 1;
            }
            Line::Start => {
                let part_of_mark = (1..BOM.len()).contains(&self.bom);
                self.bom = BOM.len();
                self.line = if byte == b'd' && !part_of_mark { Line::Name(1) } else { Line::Known };
                if byte != b':' || part_of_mark {
                    self.block = self.block.max(Block::Fields);
                }
            }
            Line::Name(seen) => match DATA.get(seen) {
                Some(next) if *next == byte => self.line = Line::Name(seen + 1),
                None if byte == b':' => (self.line, self.block) = (Line::Known, Block::Data),
                _ => self.line = Line::Known,
            },
        }
        1
    }

    /// A line end, or half of one. Says whether an event is over.
    fn line_end(&mut self, byte: u8) -> bool {
        if byte == b'\n' && self.ended == Ended::Cr {
            self.ended = Ended::CrLf;
            return false;
        }
        let crlf = self.ended == Ended::CrLf;
        self.ended = if byte == b'\r' { Ended::Cr } else { Ended::Otherwise };
        if (1..BOM.len()).contains(&self.bom) {
            self.block = self.block.max(Block::Fields);
        } else {
            match std::mem::take(&mut self.line) {
                Line::Start => return self.blank_line(byte, crlf),
                // A name alone is a field with an empty value.
                Line::Name(seen) if seen == DATA.len() => self.block = Block::Data,
                Line::Name(_) | Line::Known => {}
            }
        }
        self.bom = BOM.len();
        false
    }

    fn blank_line(&mut self, byte: u8, crlf: bool) -> bool {
        self.bom = BOM.len();
        let over = self.block == Block::Data || self.torn;
        if over {
            self.due = crlf && byte == b'\r';
            if self.due {
                self.ended = Ended::Otherwise;
            }
        } else {
            self.block = Block::Empty;
        }
        over
    }

    /// An event ends at `at`; gives what follows.
    fn dispatch<'b>(
        &mut self,
        bytes: &'b [u8],
        at: usize,
        time: Timestamp,
        out: &mut impl FnMut(Item<'_>),
    ) -> &'b [u8] {
        let (event, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
        self.pass(event, out);
        self.message(time, !self.torn, out);
        rest
    }

    fn pass(&mut self, bytes: &[u8], out: &mut impl FnMut(Item<'_>)) {
        if !bytes.is_empty() {
            self.size += bytes.len() as u64;
            out(Item::Bytes(bytes));
        }
    }

    fn message(&mut self, time: Timestamp, whole: bool, out: &mut impl FnMut(Item<'_>)) {
        let size = std::mem::take(&mut self.size);
        out(Item::Message(Piece { kind: Kind::Data, time, size, wire_size: size, compression: None, whole }));
        (self.block, self.torn, self.due) = (Block::Empty, false, false);
    }

    /// Goes on at the next line; the next event to be over is the torn one.
    pub(super) fn gap(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if self.due {
            self.message(last, !self.torn, out);
        }
        (self.line, self.torn, self.ended, self.bom) = (Line::Known, true, Ended::Otherwise, BOM.len());
    }

    /// An event without its empty line is not dispatched, so it is not whole.
    pub(super) fn end(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if self.due || self.block != Block::Empty || self.torn {
            self.message(last, self.due && !self.torn, out);
        }
    }
}
