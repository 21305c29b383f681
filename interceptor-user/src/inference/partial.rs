//! The beginning of a JSON text (RFC 8259), read as far as it goes.

use serde_json::Value;

use super::json;

/// As deep as `serde_json` goes.
const DEPTH: usize = 127;

/// The object or array that begins here, without the member in which the text is cut. One pass, then one parse.
pub(super) fn parse(text: &[u8]) -> Option<Value> {
    // The brackets that close what is open. It changes where `sound` does, so at the end it belongs to that place.
    let mut open = Vec::new();
    // Up to here the text lacks nothing but these brackets.
    let mut sound = 0;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.iter().enumerate() {
        if quoted {
            (quoted, escaped) = (escaped || *byte != b'"', !escaped && *byte == b'\\');
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' if open.len() == DEPTH => return None,
            b'{' | b'[' => {
                open.push(if *byte == b'{' { b'}' } else { b']' });
                sound = at + 1;
            }
            b'}' | b']' => {
                open.pop().filter(|close| close == byte)?;
                sound = at + 1;
            }
            b',' => sound = at,
            _ => {}
        }
        if sound > 0 && open.is_empty() {
            break;
        }
    }
    let mut whole = text.get(..sound)?.to_vec();
    whole.extend(open.iter().rev());
    json::parse(&whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_open_is_closed_and_what_is_cut_is_left_out() {
        let text = r#"{"model":"m,\"]}","n":[1,{"a":"x"},22],"messages":[{"role":"user","content":"Hel"#;
        for (end, expected) in [
            (text.len(), json!({"model": "m,\"]}", "n": [1, {"a": "x"}, 22], "messages": [{"role": "user"}]})),
            (37, json!({"model": "m,\"]}", "n": [1, {"a": "x"}]})),
            (24, json!({"model": "m,\"]}", "n": []})),
            (12, json!({})),
            (1, json!({})),
        ] {
            assert_eq!(parse(&text.as_bytes()[..end]), Some(expected), "{}", &text[..end]);
        }
        assert_eq!(parse(br#"{"a":1} and more"#), Some(json!({"a": 1})));
        for bad in ["", "12", "\"a", "{]", "{a:1,", "[1,,"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse("[".repeat(1_000_000).as_bytes()), None, "depth has a bound");
        assert!(parse("[".repeat(DEPTH).as_bytes()).is_some(), "and that is what serde_json takes");
    }

    proptest! {
        #[test]
        fn any_bytes_and_any_beginning_of_json_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200), end in 0_usize..90) {
            parse(&bytes);
            let text = r#"{"a":{"b":["é\"\\",-1.5e3,{"c":null}],"d":true},"e":[[],{}],"f":"\u00e9"}"#.as_bytes();
            let begun = &text[..end.min(text.len())];
            prop_assert_eq!(parse(begun).is_some(), !begun.is_empty());
        }
    }
}
