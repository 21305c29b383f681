//! The last messages of a content that is longer than what is kept of it: how a streamed answer ended, and what it counts.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::model::{KeptPiece, Piece, Tail};

/// Messages that are kept of the end.
const MESSAGES: usize = 16;
/// Their bytes.
const BYTES: usize = 8 * 1024;

/// The last messages so far.
#[derive(Debug, Default)]
pub(super) struct Last {
    messages: VecDeque<(Piece, Vec<u8>)>,
    /// Bytes of these.
    size: usize,
    /// The message that is coming.
    current: Vec<u8>,
    /// It began before, or is too long.
    torn: bool,
}

impl Last {
    /// Of a message that has begun already, if `torn`.
    pub(super) fn new(torn: bool) -> Self {
        Self { torn, ..Self::default() }
    }

    /// Bytes of memory that it holds at the most, however much is in it.
    pub(super) const MEMORY: usize = size_of::<Self>() + 2 * BYTES + MESSAGES * size_of::<(Piece, Vec<u8>)>();

    /// More of the message that is coming.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.torn |= self.current.len() + bytes.len() > BYTES;
        if !self.torn {
            self.current.extend_from_slice(bytes);
        }
    }

    /// What there is of the message that is coming is of one that is among the first.
    pub(super) fn skip(&mut self) {
        self.current.clear();
        self.torn = false;
    }

    /// It is over.
    pub(super) fn message(&mut self, piece: Piece) {
        let bytes = std::mem::take(&mut self.current);
        if std::mem::take(&mut self.torn) {
            return;
        }
        self.size += bytes.len();
        self.messages.push_back((piece, bytes));
        while self.messages.len() > MESSAGES || self.size > BYTES {
            let Some((_, bytes)) = self.messages.pop_front() else { break };
            self.size -= bytes.len();
        }
    }

    /// What is left in the end.
    pub(super) fn into_tail(self) -> Option<Box<Tail>> {
        if self.messages.is_empty() {
            return None;
        }
        let mut body = Vec::with_capacity(self.size);
        let mut kept = Vec::with_capacity(self.messages.len());
        for (piece, bytes) in &self.messages {
            kept.push(KeptPiece { piece: *piece, start: body.len() as u32, len: bytes.len() as u32 });
            body.extend_from_slice(bytes);
        }
        Some(Box::new(Tail { body: Bytes::from(body), kept }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Kind, Timestamp};

    fn piece(size: usize) -> Piece {
        let size = size as u64;
        Piece { kind: Kind::Data, time: Timestamp::default(), size, wire_size: size, compression: None, whole: true }
    }

    fn kept(last: Last) -> Vec<String> {
        let tail = last.into_tail().unwrap_or_default();
        tail.kept.iter().map(|kept| String::from_utf8_lossy(kept.of(&tail.body)).into_owned()).collect()
    }

    #[test]
    fn the_last_messages_are_kept() {
        let mut last = Last::new(true);
        last.bytes(b"the rest of one");
        last.message(piece(15));
        for number in 0..100 {
            last.bytes(b"no. ");
            last.bytes(format!("{number}").as_bytes());
            last.message(piece(5));
        }
        let kept = kept(last);
        assert_eq!(
            (kept.len(), kept.first().unwrap().as_str(), kept.last().unwrap().as_str()),
            (16, "no. 84", "no. 99")
        );
    }

    #[test]
    fn long_ones_are_left_out() {
        let mut last = Last::new(false);
        for size in [BYTES / 2, BYTES, BYTES + 1, 3] {
            for _ in 0..size {
                last.bytes(b"x");
            }
            last.message(piece(size));
        }
        assert_eq!(kept(last), ["xxx"]);
        assert!(Last::new(false).into_tail().is_none());
    }
}
