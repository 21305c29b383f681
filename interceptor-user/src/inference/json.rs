//! JSON as model servers write it, and members of its objects.

use serde::de::DeserializeOwned;
use serde_json::Value;

/// What Python's `json` and TensorFlow Serving write for numbers that JSON has no form for (RFC 8259 section 6).
const LITERALS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Reads a text; what is no finite number is null.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Option<T> {
    serde_json::from_slice(text).ok().or_else(|| serde_json::from_slice(&without_literals(text)?).ok())
}

/// The text with null for NaN, Infinity and -Infinity outside of strings; None where there are none. One pass; a text that was
/// no JSON beside them stays none.
pub(super) fn without_literals(text: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr2(b'N', b'I', text)?;
    let (mut out, mut from, mut at) = (Vec::new(), 0, 0);
    let (mut quoted, mut escaped) = (false, false);
    while let Some(byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        if quoted {
            (quoted, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
        } else if *byte == b'"' {
            quoted = true;
        } else if let Some(literal) = LITERALS.iter().find(|literal| rest.starts_with(literal)) {
            out.extend_from_slice(text.get(from..at)?);
            out.extend_from_slice(b"null");
            at += literal.len();
            from = at;
            continue;
        }
        at += 1;
    }
    out.extend_from_slice(text.get(from..)?);
    (from > 0).then_some(out)
}

/// A string.
pub(super) fn string<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// A number that counts something.
pub(super) fn count(object: &Value, name: &str) -> Option<u64> {
    object.get(name)?.as_u64()
}

/// The elements of an array; none where it is something else.
pub(super) fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_no_finite_number_is_null_where_a_number_may_stand() {
        let read = |text: &str| parse::<Value>(text.as_bytes());
        assert_eq!(
            read(r#"{"a":[NaN, 1.5,-Infinity ,Infinity],"NaN":"\"NaN","b":NaN}"#),
            Some(json!({"a": [null, 1.5, null, null], "NaN": "\"NaN", "b": null}))
        );
        assert_eq!(read("NaN"), Some(Value::Null));
        for none in ["[nan]", "[-NaN]", "[1NaN]", "[NaNs]", "{NaN:1}", "[+Infinity]", "[NaN", "[Inf]", "\"NaN"] {
            assert_eq!(read(none), None, "{none}");
        }
        assert_eq!(read("[1]"), Some(json!([1])));
    }
}
