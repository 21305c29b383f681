//! Any bytes give JSON.

use proptest::prelude::*;

use super::*;

/// Bytes that look like a message here and there.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let tag = (1..30_u8, 0..6_u8).prop_map(|(number, kind)| vec![number << 3 | kind]);
    let piece = prop_oneof![
        tag,
        proptest::collection::vec(any::<u8>(), 0..10),
        proptest::collection::vec(0..20_u8, 1..6),
        Just(b"\x0a\x03abc".to_vec()),
        Just(b"\x12\x04\x0a\x02\x08\x01".to_vec()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_give_json(bytes in bytes(), truncated: bool, request: bool) {
        let role = if request { Role::Request } else { Role::Response };
        let registry = Registry::builtin();
        for path in [
            INFER,
            "/inference.GRPCInferenceService/ModelConfig",
            "/tensorflow.serving.PredictionService/Predict",
            "/tensorflow.serving.PredictionService/GetModelMetadata",
            "/unknown/Method",
        ] {
            let text = serde_json::to_string(&registry.to_json(path, role, &bytes, truncated)).expect("written");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        }
        let any = registry.message("google.protobuf.Value").expect("built in");
        serde_json::to_string(&Decoded::new(&registry, Some(any), &bytes, truncated)).expect("written");
    }
}

#[test]
fn deep_messages_have_an_end() {
    let mut bytes = b"\x08\x01".to_vec();
    for _ in 0..4000 {
        let mut outer = vec![0x0a];
        let mut len = bytes.len();
        while len >= 0x80 {
            outer.push((len & 0x7f) as u8 | 0x80);
            len >>= 7;
        }
        outer.push(len as u8);
        outer.extend(&bytes);
        bytes = outer;
    }
    let (how, value, _) = decoded("/unknown/Method", Role::Request, &bytes, false);
    assert_eq!(how, How::Wire);
    let depth = std::iter::successors(Some(&value), |value| value.get("1")).count();
    assert!((40..60).contains(&depth), "{depth}");
    // A Value of a ListValue of a Value …
    let registry = Registry::builtin();
    let mut list = Vec::new();
    for level in 0..200 {
        let mut outer = vec![if level % 2 == 0 { 0x32 } else { 0x0a }];
        let len = list.len();
        outer.extend([(len & 0x7f) as u8 | 0x80, (len >> 7) as u8]);
        outer.extend(&list);
        list = outer;
    }
    let decoded = Decoded::new(&registry, registry.message("google.protobuf.ListValue"), &list, false);
    serde_json::to_string(&decoded).expect("JSON");
    assert!(!decoded.is_complete());
}
