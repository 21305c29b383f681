//! Bytes of a head that has not arrived whole.

use memchr::memchr;

/// The front is taken off without moving the rest, until that is worth it: so a search that rejects candidate after
/// candidate stays linear.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// Taken off.
    start: usize,
    /// No empty line ends before here.
    scanned: usize,
    /// The first line was looked at.
    pub(super) line_checked: bool,
    /// While searching: a head may begin at the first byte.
    pub(super) candidate: bool,
    /// Heads that ended at the next empty line and did not parse.
    pub(super) attempts: u8,
}

impl Buffer {
    pub(super) const NEW: Self =
        Self { bytes: Vec::new(), start: 0, scanned: 0, line_checked: false, candidate: false, attempts: 0 };

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory that it holds.
    pub(super) const fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds `more`. What was taken off is dropped once it is as much as what is left.
    pub(super) fn extend(&mut self, more: &[u8]) {
        if self.start > 0 && self.start >= self.len() {
            self.bytes.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(more);
    }

    /// Takes off the first `count` bytes.
    pub(super) fn discard(&mut self, count: usize) {
        self.start = (self.start + count).min(self.bytes.len());
        self.candidate = false;
        if self.scanned < self.start {
            self.scanned = self.start;
            self.attempts = 0;
        }
    }

    /// Drops what lies beyond the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.bytes.truncate(self.start + len);
        self.scanned = self.scanned.min(self.bytes.len());
    }

    /// Frees the memory.
    pub(super) fn clear(&mut self) {
        *self = Self::NEW;
    }

    /// The first line without its LF, if that has just come; to be asked before [`Buffer::head_end`].
    pub(super) fn first_line(&self) -> Option<&[u8]> {
        let feed = self.scanned + memchr(b'\n', self.bytes.get(self.scanned..)?)?;
        self.bytes.get(self.start..feed)
    }

    /// How many bytes there are up to the end of the first empty line that follows a line. Looks at each byte once.
    pub(super) fn head_end(&mut self) -> Option<usize> {
        loop {
            let Some(line) = self.bytes.get(self.scanned..).and_then(|rest| memchr(b'\n', rest)) else {
                self.scanned = self.bytes.len();
                return None;
            };
            let feed = self.scanned + line;
            self.scanned = feed;
            match self.bytes.get(feed + 1..)? {
                [b'\n', ..] => return Some(feed + 2 - self.start),
                [b'\r', b'\n', ..] => return Some(feed + 3 - self.start),
                [] | [b'\r'] => return None,
                _ => self.scanned = feed + 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_end_in_any_split() {
        for (bytes, end) in [
            (&b"a\r\nb\r\n\r\nxx"[..], Some(8)),
            (b"a\nb\n\nxx", Some(5)),
            (b"a\n\r\n", Some(4)),
            (b"a\r\n\rb\r\n\n", Some(8)),
            (b"a\r\nb\r\n\r", None),
        ] {
            let mut whole = Buffer::NEW;
            whole.extend(bytes);
            assert_eq!(whole.head_end(), end, "{}", bytes.escape_ascii());
            let mut split = Buffer::NEW;
            let mut found = None;
            for byte in bytes {
                split.extend(&[*byte]);
                found = found.or_else(|| split.head_end());
            }
            assert_eq!(found, end, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn the_front_comes_off() {
        let mut buffer = Buffer::NEW;
        buffer.extend(b"abcdef\r\n");
        assert_eq!(buffer.head_end(), None);
        buffer.discard(3);
        assert_eq!(buffer.bytes(), b"def\r\n");
        buffer.discard(4);
        buffer.extend(b"\r\nrest");
        assert_eq!(buffer.bytes(), b"\n\r\nrest");
        assert_eq!(buffer.head_end(), Some(3));
    }
}
