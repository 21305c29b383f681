use std::io::{self, Write};

use serde_json::ser::Formatter;

use crate::sink::escape::acts;

/// JSON on one line that can be shown on a terminal. RFC 8259 wants only U+0000 to U+001F escaped; what else could move
/// the cursor or turn the reading direction is written as `\u202e` too, which is the same string to a parser.
pub(in crate::sink) struct Printable;

impl Formatter for Printable {
    fn write_string_fragment<W: Write + ?Sized>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        // DEL or beyond ASCII, which is 0x80 or more once 1 is added; without an early exit, so that many bytes are looked
        // at at once.
        if fragment.bytes().fold(0, |all, byte| all | byte.wrapping_add(1)) < 0x80 {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| acts(*c)) {
            let (before, after) = rest.split_at(at);
            writer.write_all(before.as_bytes())?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after.get(c.len_utf8()..).unwrap_or_default();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize as _;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = Vec::new();
        text.serialize(&mut serde_json::Serializer::with_formatter(&mut out, Printable)).expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn nothing_in_a_string_speaks_to_the_terminal_and_it_stays_the_same_string() {
        for (text, expected) in [
            ("plain \"x\"", r#""plain \"x\"""#),
            ("\u{9b}31m\u{7f}", r#""\u009b31m\u007f""#),
            ("a\u{202e}gpj\u{2066}\u{feff}", r#""a\u202egpj\u2066\ufeff""#),
            ("\u{e0041}", r#""\udb40\udc41""#),
            ("Grüße, 世界\n", r#""Grüße, 世界\n""#),
        ] {
            assert_eq!(written(text), expected);
        }
        let all: String = ('\0'..='\u{10ffff}').collect();
        let json = written(&all);
        assert!(!json.contains(acts));
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), all);
    }
}
