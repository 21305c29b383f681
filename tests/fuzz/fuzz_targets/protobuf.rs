//! Any bytes as a message of any method, whole or cut, as status details and as what a server tells of itself: nothing
//! panics, what comes out is JSON, and its size is bounded by the input's.

#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use interceptor::{model::Role, protobuf::Registry};
use libfuzzer_sys::fuzz_target;

static BUILTIN: LazyLock<Registry> = LazyLock::new(Registry::builtin);

const METHODS: &[&str] = &[
    "inference.GRPCInferenceService/ModelInfer",
    "inference.GRPCInferenceService/ModelConfig",
    "tensorflow.serving.PredictionService/Predict",
    "grpc.health.v1.Health/Check",
    "unknown.Service/Method",
];

#[derive(Arbitrary, Debug)]
struct Input {
    method: u8,
    response: bool,
    cut: bool,
    bytes: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let path = METHODS[usize::from(input.method) % METHODS.len()];
    let role = if input.response { Role::Response } else { Role::Request };
    let json = serde_json::to_string(&BUILTIN.to_json(path, role, &input.bytes, input.cut)).expect("JSON");
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON that can be read");
    // Escapes take six bytes for one, and an empty message costs its braces and its number.
    assert!(json.len() <= 64 * input.bytes.len() + (256 << 10), "{} of {}", json.len(), input.bytes.len());
    BUILTIN.status_details(&input.bytes);
    Registry::default().learn(&input.bytes);
});
