#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::float_cmp, reason = "small, exact numbers")]

use proptest::prelude::*;

use crate::{
    inference::tests::said::{Said, all, bytes, called, got, inference, integer, posted, varint},
    model::{Dialect, Inference, Operation, Unread},
};

fn read(path: &str, request: &str, response: &str) -> Inference {
    posted(path, request, response).read().unwrap()
}

#[test]
fn rows_and_columns() {
    let answer = "{\n    \"predictions\": [[0.5, 0.5], [1.0, 0.0]\n    ]\n}";
    let rows = read("/v1/models/m:predict", r#"{"instances":[{"a":1,"t":[1,2]},{"a":2,"t":[3,4]}]}"#, answer);
    assert_eq!((rows.dialect, rows.model.as_deref(), rows.batch), (Dialect::TensorflowServing, Some("m"), Some(2)));
    assert_eq!(all(&rows.inputs), ["a [2]: 1 2", "t [2, 2]: 1 2 3 4"]);
    assert_eq!(all(&rows.outputs), [" [2, 2]: 0.5 0.5 1 0"]);

    let request = r#"{"signature_name":"s","inputs":{"a":[1,2],"image":[{"b64":"aGk="},{"b64":"eW8="}]}}"#;
    let columns = read("/v1/models/m/labels/stable:predict", request, r#"{"outputs":{"y":[[1],[2]],"z":["p","q"]}}"#);
    assert_eq!((columns.version.as_deref(), columns.batch), (Some("stable"), Some(2)));
    assert_eq!(all(&columns.inputs), ["a [2]: 1 2", "image [2]: hi yo"]);
    assert_eq!(all(&columns.outputs), ["y [2, 1]: 1 2", "z [2]: p q"]);
    assert_eq!(columns.parameters, [("signature_name".to_owned(), "s".into())]);

    let request = r#"{"examples":[{"a":1},{"a":2}],"context":{"c":"x"}}"#;
    let classes = read("/v1/models/m/versions/7:classify", request, r#"{"results":[[["cat",0.9],["dog",0.1]]]}"#);
    assert_eq!((classes.operation, classes.version.as_deref()), (Operation::Classify, Some("7")));
    assert_eq!((all(&classes.inputs), classes.outputs.len()), (vec!["a [2]: 1 2".to_owned()], 1));
    let regress = read("/v1/models/m:regress", request, r#"{"results":[1.5,2.5]}"#);
    assert_eq!(all(&regress.outputs), [" [2]: 1.5 2.5"]);
}

/// The path is both's.
#[test]
fn whose_path_it_is() {
    use Dialect::{KserveV1, TensorflowServing};
    let rows = r#"{"instances":[[1]]}"#;
    for (path, request, response, expected) in [
        ("/v1/models/m:predict", rows, r#"{"predictions":[1]}"#, KserveV1),
        ("/v1/models/m:explain", rows, r#"{"explanations":[1]}"#, KserveV1),
        ("/v1/models/m:predict", rows, "{\n    \"predictions\": [1]\n}", TensorflowServing),
        ("/v1/models/m:predict", r#"{"inputs":[[1]]}"#, "{}", TensorflowServing),
        ("/v1/models/m/versions/1:predict", rows, r#"{"predictions":[1]}"#, TensorflowServing),
        ("/v1/models/m:predict", rows, "{\n    \"error\": \"Malformed request\"\n}", TensorflowServing),
    ] {
        let found = read(path, request, response);
        assert_eq!((found.dialect, found.model.as_deref()), (expected, Some("m")), "{path} {request} {response}");
    }
    for (path, response, expected) in [
        ("/v1/models/m", r#"{"model_version_status":[{"version":"1","state":"AVAILABLE"}]}"#, Some(TensorflowServing)),
        ("/v1/models/m/metadata", "", Some(TensorflowServing)),
        ("/v1/models/m", r#"{"name":"m","ready":"True"}"#, Some(KserveV1)),
        ("/v1/models/m", r#"{"error":"Model with name m does not exist."}"#, Some(KserveV1)),
        ("/v1/models", r#"{"models":["m"]}"#, Some(KserveV1)),
    ] {
        assert_eq!(got(path, response).read().map(|found| found.dialect), expected, "{path} {response}");
    }
    for (path, response) in [
        ("/v1/models", r#"{"object":"list","data":[]}"#),
        ("/v1/models/gpt", r#"{"id":"gpt","object":"model"}"#),
        ("/v1/models/org/gpt", r#"{"id":"gpt","object":"model"}"#),
    ] {
        let found = got(path, response).read().map(|found| found.dialect);
        assert!(!matches!(found, Some(KserveV1 | TensorflowServing)), "{path} {response}");
    }
}

#[test]
fn kserve() {
    let found = read("/v1/models/iris:predict", r#"{"instances":[[6.8,2.8],[6.0,3.4]]}"#, r#"{"predictions":[1,2]}"#);
    assert_eq!(
        (all(&found.inputs), all(&found.outputs)),
        (vec![" [2, 2]: 6.8 2.8 6 3.4".into()], vec![" [2]: 1 2".to_owned()])
    );
    assert_eq!((found.batch, found.unread), (Some(2), None));
    let error = Said { status: 500, ..posted("/v1/models/iris:predict", "{}", r#"{"error":"KeyError : 'x'"}"#) };
    assert_eq!(error.read().unwrap().error.unwrap().message, "KeyError : 'x'");
}

const PREDICT: &str = "/tensorflow.serving.PredictionService/Predict";

fn entry(name: &str, tensor: &[u8]) -> Vec<u8> {
    [bytes(1, name.as_bytes()), bytes(2, tensor)].concat()
}

/// `TensorProto` of this type and shape.
fn proto(datatype: i64, shape: &[i64], elements: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|size| bytes(2, &integer(1, *size))).collect();
    [integer(1, datatype), bytes(2, &dims), elements.to_vec()].concat()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn predict(inputs: &[Vec<u8>], outputs: &[Vec<u8>]) -> Inference {
    let spec = [bytes(1, b"m"), bytes(2, &integer(1, 7)), bytes(3, b"serving_default")].concat();
    let of = |number, tensors: &[Vec<u8>]| tensors.iter().flat_map(|entry| bytes(number, entry)).collect::<Vec<u8>>();
    let request = [bytes(1, &spec), of(2, inputs)].concat();
    let response = [of(1, outputs), bytes(2, &spec)].concat();
    inference(&called(PREDICT, &[&request], &[&response], &[("grpc-status", "0")])).unwrap()
}

#[test]
fn a_stream_of_answers_is_timed() {
    let answer = bytes(1, &entry("y", &proto(1, &[1], &bytes(5, &floats(&[2.0])))));
    let found = inference(&called(&format!("{PREDICT}Streamed"), &[b""], &[&answer, &answer, &answer], &[])).unwrap();
    let gap = Some(std::time::Duration::from_micros(1));
    assert_eq!((found.streamed, found.timing.chunks, found.timing.longest_gap), (true, 3, gap));
}

#[test]
fn tensors_in_all_their_ways() {
    let packed = |number, values: &[i64]| {
        bytes(number, &values.iter().flat_map(|value| varint(*value as u64)).collect::<Vec<u8>>())
    };
    for (tensor, expected, unread) in [
        (proto(1, &[2, 1], &bytes(4, &floats(&[1.5, -2.0]))), "x FP32[2, 1]: 1.5 -2", None),
        (proto(1, &[2], &bytes(5, &floats(&[1.5, -2.0]))), "x FP32[2]: 1.5 -2", None),
        (proto(1, &[2, 2], &bytes(5, &floats(&[1.0, 3.0]))), "x FP32[2, 2]: 1 3 3 3", None),
        (proto(3, &[3], b""), "x INT32[3]: 0 0 0", None),
        (proto(9, &[3], &packed(10, &[-4])), "x INT64[3]: -4 -4 -4", None),
        (proto(10, &[2], &packed(11, &[1, 0])), "x BOOL[2]: 1 0", None),
        (proto(19, &[2], &packed(13, &[0x3c00, 0xc400])), "x FP16[2]: 1 -4", None),
        (proto(14, &[2], &packed(13, &[0x3f80, 0xc000])), "x BF16[2]: 1 -2", None),
        (proto(7, &[2], &[bytes(8, b"a"), bytes(8, b"b")].concat()), "x BYTES[2]: a b", None),
        (proto(7, &[], &bytes(8, b"alone")), "x BYTES[]: alone", None),
        (proto(8, &[1], b""), "x [1]: ?", None),
        (proto(1, &[0], b""), "x FP32[0]: ", None),
        (proto(1, &[-1], &bytes(5, &floats(&[1.0]))), "x FP32[-1]: 1", None),
        (proto(1, &[1], &bytes(4, b"abc")), "x FP32[1]: ", Some(Unread::Malformed)),
        (proto(1, &[1], &bytes(5, &floats(&[1.0, 2.0]))), "x FP32[1]: 1 2", Some(Unread::Malformed)),
    ] {
        let found = predict(&[entry("x", &tensor)], &[entry("x", &tensor)]);
        assert_eq!((all(&found.inputs), found.unread), (vec![expected.to_owned()], unread));
        assert_eq!(found.inputs, found.outputs);
        assert_eq!((found.model.as_deref(), found.version.as_deref()), (Some("m"), Some("7")));
    }
    let large = predict(&[entry("x", &proto(1, &[1 << 40], &bytes(5, &floats(&[1.0]))))], &[]);
    assert!(large.inputs[0].cut && large.inputs[0].values.len() <= 1 << 16);
    assert_eq!(large.unread, Some(Unread::TooMuch));
}

#[test]
fn examples() {
    let feature = |name: &str, feature: Vec<u8>| bytes(1, &entry(name, &feature));
    let example = |age: f32, kind: &str| {
        let features = [
            feature("age", bytes(2, &bytes(1, &floats(&[age])))),
            feature("kind", bytes(1, &bytes(1, kind.as_bytes()))),
            feature("ids", bytes(3, &bytes(1, &[1, 2]))),
        ];
        bytes(1, &bytes(1, &features.concat()))
    };
    let list = bytes(2, &bytes(1, &[example(1.5, "a"), example(2.5, "b")].concat()));
    let request = [bytes(1, &bytes(1, b"m")), list].concat();
    let class =
        |label: &str, score: f32| bytes(1, &[bytes(1, label.as_bytes()), vec![0x15], floats(&[score])].concat());
    let row = || bytes(1, &[class("cat", 0.75), class("dog", 0.25)].concat());
    let response = bytes(1, &[row(), row()].concat());
    let path = "/tensorflow.serving.PredictionService/Classify";
    let found = inference(&called(path, &[&request], &[&response], &[])).unwrap();
    assert_eq!((found.operation, found.batch), (Operation::Classify, Some(2)));
    assert_eq!(all(&found.inputs), ["age [2]: 1.5 2.5", "kind [2]: a b", "ids [2, 2]: 1 2 1 2"]);
    assert_eq!(all(&found.outputs), ["classes [2, 2]: cat dog cat dog", "scores [2, 2]: 0.75 0.25 0.75 0.25"]);
    let response = bytes(1, &[bytes(1, &[&[0x0d][..], &floats(&[4.5])].concat()), bytes(1, b"")].concat());
    let found =
        inference(&called("/tensorflow.serving.PredictionService/Regress", &[&request], &[&response], &[])).unwrap();
    assert_eq!(all(&found.outputs), ["value [2]: 4.5 0"]);
}

#[test]
fn failed_calls() {
    let end = [("grpc-status", "5"), ("grpc-message", "Servable not found")];
    let found = inference(&called(PREDICT, &[&bytes(1, &bytes(1, b"m"))], &[], &end)).unwrap();
    assert_eq!((found.error.unwrap().kind.as_deref(), found.model.as_deref()), (Some("NOT_FOUND"), Some("m")));
    let status =
        inference(&called("/tensorflow.serving.ModelService/GetModelStatus", &[&bytes(1, &bytes(1, b"m"))], &[], &[]));
    assert_eq!(status.unwrap().operation, Operation::Metadata);
}

proptest! {
    #[test]
    fn any_bytes_have_a_meaning(content in prop::collection::vec(any::<u8>(), 0..200)) {
        for method in ["Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata"] {
            let path = format!("/tensorflow.serving.PredictionService/{method}");
            inference(&called(&path, &[&content], &[&content], &[])).unwrap();
            let within = [bytes(1, &content), bytes(2, &entry("x", &content))].concat();
            inference(&called(&path, &[&within], &[&within], &[])).unwrap();
        }
    }
}
