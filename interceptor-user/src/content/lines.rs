//! A JSON text a line (NDJSON, JSON Lines).

use memchr::memchr;

use super::Item;
use crate::model::{Kind, Piece, Timestamp};

/// State of a stream of lines. Nothing is kept of the text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The line has more than white space.
    text: bool,
    /// Something of the line was lost.
    torn: bool,
    /// Bytes since the last message.
    size: u64,
}

impl Lines {
    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let mut rest = bytes;
        let mut at = 0;
        while let Some(line) = rest.get(at..).filter(|line| !line.is_empty()) {
            let end = memchr(b'\n', line);
            let text = end.map_or(line, |end| line.get(..end).unwrap_or_default());
            self.text |= text.iter().any(|byte| !byte.is_ascii_whitespace());
            at += text.len() + usize::from(end.is_some());
            // Empty lines come before the next message, as bytes of it.
            if end.is_some() && (self.text || self.torn) {
                let (message, after) = rest.split_at_checked(at).unwrap_or((rest, &[]));
                self.pass(message, out);
                self.message(time, out);
                (rest, at) = (after, 0);
            }
        }
        self.pass(rest, out);
    }

    fn pass(&mut self, bytes: &[u8], out: &mut impl FnMut(Item<'_>)) {
        if !bytes.is_empty() {
            self.size += bytes.len() as u64;
            out(Item::Bytes(bytes));
        }
    }

    fn message(&mut self, time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let size = std::mem::take(&mut self.size);
        let whole = !self.torn;
        out(Item::Message(Piece { kind: Kind::Data, time, size, wire_size: size, compression: None, whole }));
        (self.text, self.torn) = (false, false);
    }

    /// Goes on at the next line.
    pub(super) const fn gap(&mut self) {
        self.torn = true;
    }

    /// The last line may do without its LF.
    pub(super) fn end(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if self.text || self.torn {
            self.message(last, out);
        }
    }
}
