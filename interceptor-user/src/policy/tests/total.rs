use proptest::prelude::*;

use super::parse;
use crate::policy::Policy;

proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in ".{0,400}") {
        let _ = Policy::parse(&[("f", &text)]);
        let _ = parse(&text);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = Policy::parse(&[("f", &String::from_utf8_lossy(&bytes))]);
    }

    /// A policy of which a piece is left out, doubled or moved.
    #[test]
    fn a_policy_that_was_damaged_is_taken_or_refused(start in 0_usize..900, length in 0_usize..60, to in 0_usize..900) {
        let text = WHOLE;
        let bounded = |at: usize| text.floor_char_boundary(at.min(text.len()));
        let (start, end, to) = (bounded(start), bounded(start + length), bounded(to));
        let without = text[..start].to_owned() + &text[end..];
        let _ = Policy::parse(&[("f", &without)]);
        let doubled = text[..to].to_owned() + &text[start..end] + &text[to..];
        let _ = Policy::parse(&[("f", &doubled)]);
    }
}

#[test]
fn the_policy_to_damage_is_right() {
    assert_eq!(Policy::parse(&[("f", WHOLE)]).unwrap().rules().len(), 2);
}

const WHOLE: &str = r#"
apiVersion: interceptor/v1alpha1
kind: Policy
metadata: { name: all, labels: { a: b } }
spec:
  unmatched: { sinks: [metrics] }
  rules:
    - name: one
      match: >-
        request.method == "POST" && (response.code >= 400
        || inference.model.startsWith("x"))
      sample: { rate: 0.5, key: 'request.headers["x"]', always: "!complete" }
      extract:
        - { name: a, header: x }
        - { name: b, from: response, jsonPath: "$.a[?@.b > 1].c" }
        - { name: c, protobuf: "a.b[0].c" }
      inspect: { inference: { estimateTokens: true }, pii: , transport: {} }
      redact: { headers: [x], query: [y], jsonPath: [$.z], pii: true }
      sinks: [lines]
      keep: { request: 64KiB, response: 1 }
      tenant: { jwtClaim: sub }
      action:
        rewrite:
          requestHeaderModifier: { set: [{ name: a, value: b }] }
    - name: two
      match: 'anomalies.exists(a, a == "gap")'
      action: { deny: { status: 429 } }
"#;
