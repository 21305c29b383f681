//! Normalised JSONPaths (RFC 9535 section 2.7).

use std::fmt::Write as _;

/// Adds a member of an object.
pub(super) fn push_member(path: &mut String, name: &str) {
    path.push_str("['");
    for letter in name.chars() {
        match letter {
            '\'' | '\\' => path.extend(['\\', letter]),
            '\n' => path.push_str("\\n"),
            '\r' => path.push_str("\\r"),
            '\t' => path.push_str("\\t"),
            '\u{8}' => path.push_str("\\b"),
            '\u{c}' => path.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(path, "\\u{:04x}", u32::from(control));
            }
            letter => path.push(letter),
        }
    }
    path.push_str("']");
}
