use std::fmt::{self, Write};

/// Text from the wire, safe to print: whatever could move the cursor, change colours or turn the reading direction
/// becomes `\x1b` or `\u{202e}`, and so does what is not UTF-8. What is left cannot speak to the terminal.
pub(crate) struct Escaped<'a>(pub(crate) &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.iter().all(|byte| (b' '..=b'~').contains(byte)) {
            return f.write_str(str::from_utf8(self.0).unwrap_or_default());
        }
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    ' '..='~' => f.write_char(c)?,
                    '\0'..='\u{ff}' if c.is_control() => write!(f, "\\x{:02x}", u32::from(c))?,
                    c if commands(c) => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                    c => f.write_char(c)?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Does this character do something to a terminal instead of being seen?
pub(super) fn acts(c: char) -> bool {
    c.is_control() || commands(c)
}

/// Characters above U+00FF that are not seen but act: bidirectional controls, separators, joiners, tags.
const fn commands(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_wire_speaks_to_the_terminal() {
        for (bytes, expected) in [
            (&b"/plain?x=1"[..], "/plain?x=1"),
            (b"\x1b[2J\x1b]0;owned\x07", "\\x1b[2J\\x1b]0;owned\\x07"),
            (b"a\r\nb\tc", "a\\x0d\\x0ab\\x09c"),
            (b"\x9b31m", "\\x9b31m"),
            ("\u{9b}31m".as_bytes(), "\\x9b31m"),
            ("\u{202e}gpj".as_bytes(), "\\u{202e}gpj"),
            ("Grüße, 世界".as_bytes(), "Grüße, 世界"),
            (b"\xff\xfe", "\\xff\\xfe"),
            (b"\x7f\0", "\\x7f\\x00"),
        ] {
            assert_eq!(Escaped(bytes).to_string(), expected);
        }
    }

    #[test]
    fn no_control_character_is_left_whatever_it_is() {
        let all: String = ('\0'..='\u{10ffff}').filter(|c| c.is_control()).collect();
        assert!(!Escaped(all.as_bytes()).to_string().contains(char::is_control));
    }
}
