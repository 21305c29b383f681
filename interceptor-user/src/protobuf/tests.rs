mod differential;
mod learn;
mod load;
mod total;

use prost_reflect::{DynamicMessage, prost::Message as _};
use serde_json::{Value, json};

use super::*;

/// The bytes of a message of a built-in type, written from its JSON.
fn encoded(name: &str, value: &Value) -> Vec<u8> {
    let descriptor = builtin::POOL.get_message_by_name(name).expect("a built-in type");
    DynamicMessage::deserialize(descriptor, value).expect("its JSON").encode_to_vec()
}

fn decoded(path: &str, role: Role, bytes: &[u8], truncated: bool) -> (How, Value, bool) {
    let registry = Registry::builtin();
    let decoded = registry.to_json(path, role, bytes, truncated);
    let value = serde_json::to_value(&decoded).expect("JSON");
    (decoded.how(), value, decoded.is_complete())
}

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";

fn inference() -> Value {
    json!({
        "modelName": "tiny",
        "id": "7",
        "parameters": { "priority": { "int64Param": "3" } },
        "inputs": [{
            "name": "x", "datatype": "FP32", "shape": ["1", "2"],
            "contents": { "fp32Contents": [0.5, -1.0] }
        }],
        "rawInputContents": ["AAE="]
    })
}

#[test]
fn every_service_that_comes_with_the_program_is_there() {
    let registry = Registry::builtin();
    for (path, streaming) in [
        (INFER, [false, false]),
        ("inference.GRPCInferenceService/ModelStreamInfer", [true, true]),
        ("/inference.GRPCInferenceService/RepositoryIndex", [false, false]),
        ("/inference.GRPCInferenceService/CudaSharedMemoryRegister", [false, false]),
        ("/inference.GRPCInferenceService/LogSettings", [false, false]),
        ("/tensorflow.serving.PredictionService/Predict", [false, false]),
        ("/tensorflow.serving.PredictionService/GetModelMetadata", [false, false]),
        ("/tensorflow.serving.ModelService/HandleReloadConfigRequest", [false, false]),
        ("/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions", [false, true]),
        ("/org.pytorch.serve.grpc.management.ManagementAPIsService/ScaleWorker", [false, false]),
        ("/grpc.health.v1.Health/Watch", [false, true]),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", [true, true]),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", [true, true]),
    ] {
        let method = registry.method(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!([method.is_client_streaming(), method.is_server_streaming()], streaming, "{path}");
    }
    for path in [
        "",
        "/",
        "/inference.GRPCInferenceService",
        "/inference.GRPCInferenceService/",
        "//",
        INFER.trim_end_matches('r'),
    ] {
        assert!(registry.method(path).is_none(), "{path}");
    }
}

#[test]
fn a_message_is_shown_by_its_descriptor() {
    let bytes = encoded("inference.ModelInferRequest", &inference());
    assert_eq!(decoded(INFER, Role::Request, &bytes, false), (How::Descriptor, inference(), true));
    assert_eq!(decoded(INFER, Role::Request, b"", false), (How::Descriptor, json!({}), true));
    let response = encoded("grpc.health.v1.HealthCheckResponse", &json!({ "status": "SERVING" }));
    let shown = decoded("/grpc.health.v1.Health/Check", Role::Response, &response, false);
    assert_eq!(shown, (How::Descriptor, json!({ "status": "SERVING" }), true));
}

#[test]
fn what_the_descriptor_does_not_know_is_under_its_number() {
    let mut bytes = encoded("grpc.health.v1.HealthCheckRequest", &json!({ "service": "a" }));
    bytes.extend(b"\x12\x02hi\x18\x07\x18\x08");
    let shown = decoded("/grpc.health.v1.Health/Check", Role::Request, &bytes, false);
    assert_eq!(shown, (How::Descriptor, json!({ "service": "a", "2": "hi", "3": [7, 8] }), true));
    // A number where the descriptor has a text: not of this type at all.
    let shown = decoded("/grpc.health.v1.Health/Check", Role::Request, b"\x08\x01", false);
    assert_eq!(shown, (How::Wire, json!({ "1": 1 }), true));
}

#[test]
fn without_a_descriptor_fields_have_their_numbers() {
    let bytes = encoded("inference.ModelInferRequest", &inference());
    let (how, value, complete) = decoded("/unknown.Service/Method", Role::Request, &bytes, false);
    assert_eq!((how, complete), (How::Wire, true));
    assert_eq!(value["1"], "tiny");
    assert_eq!(value["4"], json!({ "1": "priority", "2": { "2": 3 } }));
    assert_eq!(value["5"]["1"], "x");
    assert_eq!(value["5"]["3"], json!([1, 2]));
    assert_eq!(decoded("/a/b", Role::Request, b"\xff\xff", false), (How::Opaque, json!("//8="), true));
    assert_eq!(decoded("/a/b", Role::Request, b"plain text", false), (How::Opaque, json!("plain text"), true));
}

#[test]
fn what_is_whole_of_a_truncated_message_is_shown() {
    let bytes = encoded("inference.ModelInferRequest", &inference());
    let cut_at = |len: usize, truncated| decoded(INFER, Role::Request, &bytes[..len], truncated);
    let within_the_contents = bytes.windows(2).position(|two| two == [0x32, 0x08]).expect("packed floats") + 6;
    let (how, value, complete) = cut_at(within_the_contents, true);
    assert_eq!((how, complete), (How::Descriptor, false));
    assert_eq!(value["modelName"], "tiny");
    assert_eq!(value["inputs"][0]["contents"]["fp32Contents"], json!([0.5]));
    assert_eq!(cut_at(within_the_contents, false).0, How::Opaque, "nothing explains how it ends");
    for len in 3..bytes.len() {
        let (how, value, _) = cut_at(len, true);
        assert_eq!(how, How::Descriptor, "{len}: {value}");
        assert_eq!(value["modelName"], "tiny"[..(len - 2).min(4)], "{len}: {value}");
    }
}

#[test]
fn output_grows_no_further_than_a_bound() {
    // A long name for each five bytes.
    let entry = json!({ "batchInput": [{ "kind": "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO" }] });
    let entry = encoded("inference.ModelConfig", &entry);
    let config = entry.repeat(60_000);
    let mut bytes = vec![0x0a];
    let mut len = config.len();
    while len >= 0x80 {
        bytes.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(config);
    let registry = Registry::builtin();
    let decoded = registry.to_json("/inference.GRPCInferenceService/ModelConfig", Role::Response, &bytes, false);
    let text = serde_json::to_string(&decoded).expect("JSON");
    assert!(!decoded.is_complete());
    assert!(text.len() < 10 * bytes.len() + (128 << 10), "{} of {}", text.len(), bytes.len());
    assert!(text.len() > 4 * bytes.len());
}

#[test]
fn details_of_an_error() {
    let status = json!({
        "code": 3,
        "message": "bad",
        "details": [
            { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [{ "field": "x", "description": "not a number" }] },
            { "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s" },
            { "@type": "type.googleapis.com/google.protobuf.Duration", "value": "2s" }
        ]
    });
    let mut bytes = encoded("google.rpc.Status", &status);
    // One of a type that nobody knows.
    let any = b"\x0a\x05x/y.Z\x12\x02\x08\x07";
    bytes.extend([0x1a, any.len() as u8]);
    bytes.extend(any);
    let mut expected = status["details"].clone();
    expected.as_array_mut().expect("a list").push(json!({ "@type": "x/y.Z", "value": { "1": 7 } }));
    let registry = Registry::builtin();
    let text = base64::engine::general_purpose::STANDARD.encode(&bytes);
    for text in [text.as_str(), text.trim_end_matches('=')] {
        assert_eq!(registry.status_details(text.as_bytes()), Some(expected.clone()), "{text}");
    }
    assert_eq!(registry.status_details(b"no base64!"), None);
    assert_eq!(registry.status_details(b"////"), None);
    assert_eq!(registry.status_details(b""), None);
}
