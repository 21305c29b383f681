//! Chunked transfer coding (RFC 9112 section 7.1), one byte of framing at a time.
//!
//! ```text
//! Size ─► Extension ─► SizeFeed ─► Data ─► DataReturn ─► DataFeed ─► Size
//!                          └─ size 0 ─► trailers
//! ```

use crate::model::{Anomalies, Anomaly};

/// Longest line with a size: extensions are not kept, and none that is used comes near.
const LINE_MAX: u16 = 4096;

/// Where in the coding we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a size.
    Size { value: u64, digits: bool, line: u16 },
    /// After them: white space or an extension.
    Extension { value: u64, line: u16, named: bool },
    /// After the CR that ends the line with the size.
    SizeFeed { value: u64 },
    /// That many bytes of content are left in this chunk.
    Data(u64),
    /// Before the CR that follows them.
    DataReturn,
    /// Before the LF that follows it.
    DataFeed,
}

/// What the framing bytes led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Content is next, or more bytes are needed.
    Content,
    /// The last chunk was read; trailers are next.
    Last,
    /// This is not chunked coding; the odd byte was not taken.
    Bad,
}

impl Chunked {
    /// Before the first chunk.
    pub(super) const START: Self = Self::Size { value: 0, digits: false, line: 0 };

    /// Takes framing bytes until content comes, or there are no more.
    pub(super) fn step(&mut self, data: &mut &[u8], anomalies: &mut Anomalies) -> Step {
        while let [byte, rest @ ..] = *data {
            if matches!(self, Self::Data(_)) {
                break;
            }
            let Some(next) = self.after(*byte, anomalies) else {
                return Step::Bad;
            };
            *data = rest;
            *self = next;
            if next == Self::Data(0) {
                return Step::Last;
            }
        }
        Step::Content
    }

    /// The state after a byte; `None` if it does not belong here.
    fn after(self, byte: u8, anomalies: &mut Anomalies) -> Option<Self> {
        match (self, byte) {
            (Self::Size { value, line, .. }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if line < LINE_MAX => {
                let digit = char::from(byte).to_digit(16)?;
                let value = value.checked_mul(16)?.checked_add(u64::from(digit))?;
                Some(Self::Size { value, digits: true, line: line + 1 })
            }
            (Self::Size { value, digits: true, .. } | Self::Extension { value, .. }, b'\r') => {
                Some(Self::SizeFeed { value })
            }
            (Self::Size { value, digits: true, .. } | Self::Extension { value, .. }, b'\n') => {
                anomalies.insert(Anomaly::BareLf);
                Some(Self::Data(value))
            }
            (Self::Size { value, digits: true, line }, b' ' | b'\t' | b';') => {
                Some(Self::Extension { value, line, named: byte == b';' })
            }
            (Self::Extension { value, line, named }, _) if line < LINE_MAX => {
                // White space before the semicolon is "bad" but allowed; anything else there is not.
                let named = named || byte == b';';
                (named || matches!(byte, b' ' | b'\t')).then_some(Self::Extension { value, line: line + 1, named })
            }
            (Self::SizeFeed { value }, b'\n') => Some(Self::Data(value)),
            (Self::DataReturn, b'\r') => Some(Self::DataFeed),
            (Self::DataReturn, b'\n') => {
                anomalies.insert(Anomaly::BareLf);
                Some(Self::START)
            }
            (Self::DataFeed, b'\n') => Some(Self::START),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(bytes: &[u8]) -> (Chunked, Step, Vec<Anomaly>) {
        let (mut chunked, mut anomalies, mut data) = (Chunked::START, Anomalies::default(), bytes);
        let step = chunked.step(&mut data, &mut anomalies);
        (chunked, step, anomalies.iter().collect())
    }

    #[test]
    fn sizes() {
        for (bytes, size) in [
            (&b"5\r\n"[..], 5),
            (b"00aB\r\n", 0xab),
            (b"5 \r\n", 5),
            (b"5;a\r\n", 5),
            (b"5 ; a=\"b\"\r\n", 5),
            (b"ffffffffffffffff\r\n", u64::MAX),
        ] {
            assert_eq!(run(bytes), (Chunked::Data(size), Step::Content, vec![]), "{}", bytes.escape_ascii());
        }
        assert_eq!(run(b"5\n"), (Chunked::Data(5), Step::Content, vec![Anomaly::BareLf]));
        assert_eq!(run(b"0;last\r\n").1, Step::Last);
    }

    #[test]
    fn bad_sizes() {
        let long = [b"5;".to_vec(), vec![b'x'; usize::from(LINE_MAX) + 1]].concat();
        let zeros = vec![b'0'; usize::from(LINE_MAX) + 1];
        for bytes in [
            &b"\r\n"[..],
            b";a\r\n",
            b"0x5\r\n",
            b"-1\r\n",
            b"+5\r\n",
            b" 5\r\n",
            b"5 5\r\n",
            b"5\r5",
            b"g\r\n",
            b"10000000000000000\r\n",
            &long,
            &zeros,
        ] {
            assert_eq!(run(bytes).1, Step::Bad, "{}", bytes.escape_ascii());
        }
    }
}
