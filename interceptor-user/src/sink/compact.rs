use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::escape::acts;

/// What a JSON line may nest; readers have limits (128 for serde_json), and the line takes a few itself.
const DEPTH: usize = 100;

/// A JSON object or array without its white space, on one line that can be shown on a terminal; every number and name stays
/// as it was sent, and in its place. None if the text is not one, or not one that every reader takes.
pub(super) fn compact(text: &str) -> Option<Box<RawValue>> {
    if !text.trim_start().starts_with(['{', '[']) || serde_json::from_str::<serde_json::Value>(text).is_err() {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for c in text.chars() {
        match c {
            // Between strings only white space is left of what acts.
            c if acts(c) && in_string => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
                continue;
            }
            c if !in_string && c.is_ascii_whitespace() => continue,
            '"' if !escaped => in_string = !in_string,
            '{' | '[' if !in_string => depth += 1,
            '}' | ']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH {
            return None;
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
    }
    RawValue::from_string(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_json_on_one_line() {
        for (text, expected) in [
            ("{ \"b\" : 1.10,\n\t\"a\": [ ] }", Some(r#"{"b":1.10,"a":[]}"#)),
            (r#"[18446744073709551616, " \" { \\", "\\"]"#, Some(r#"[18446744073709551616," \" { \\","\\"]"#)),
            ("[\"\u{202e}x\u{7f}\u{e0041}\"]", Some(r#"["\u202ex\u007f\udb40\udc41"]"#)),
            ("5", None),
            ("\"text\"", None),
            ("[DONE]", None),
            ("{} {}", None),
            ("[\"\\ud800\"]", None),
            ("[1e999]", None),
            ("", None),
        ] {
            assert_eq!(compact(text).as_deref().map(RawValue::get), expected, "{text}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(compact(&nested(DEPTH)).is_some());
        assert!(compact(&nested(DEPTH + 1)).is_none());
    }
}
