/// A text with its percent-encoding (RFC 3986 section 2.1) undone as often as it was done, in one pass however often that
/// is, and where in the text each byte of it came from.
pub(super) struct Decoded {
    bytes: Vec<u8>,
    origins: Vec<usize>,
}

impl Decoded {
    pub(super) fn of(text: &str) -> Self {
        let mut decoded = Self { bytes: Vec::with_capacity(text.len()), origins: Vec::with_capacity(text.len()) };
        for (origin, byte) in text.bytes().enumerate() {
            decoded.bytes.push(byte);
            decoded.origins.push(origin);
            // What was decoded may end another encoding: `%2541` is `%41` and that is `A`.
            while let Some(byte) = encoded(&decoded.bytes) {
                let start = decoded.bytes.len() - 3;
                decoded.bytes.truncate(start);
                decoded.bytes.push(byte);
                decoded.origins.truncate(start + 1);
            }
        }
        decoded
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the byte at this place begins in the text.
    pub(super) fn origin(&self, at: usize) -> Option<usize> {
        self.origins.get(at).copied()
    }
}

/// The byte that the last three encode, if they encode one.
fn encoded(bytes: &[u8]) -> Option<u8> {
    let Some([b'%', high, low]) = bytes.last_chunk() else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_is_undone_and_each_byte_knows_its_place() {
        for (text, bytes, last) in [
            ("a%3Db", "a=b", 4),
            ("a%253Db", "a=b", 6),
            ("%2525253d%", "=%", 9),
            ("%%33D%zz%4", "=%zz%4", 9),
            ("%c3%bc\u{fc}", "\u{fc}\u{fc}", 7),
        ] {
            let decoded = Decoded::of(text);
            assert_eq!(decoded.bytes(), bytes.as_bytes(), "{text}");
            assert_eq!(decoded.origin(decoded.bytes().len() - 1), Some(last), "{text}");
            assert_eq!(decoded.origins.len(), decoded.bytes.len());
        }
    }
}
