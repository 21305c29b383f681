#![allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::float_cmp, reason = "small, exact numbers")]

use proptest::prelude::*;

use crate::{
    inference::tests::said::{JSON, Said, all, bytes, called, got, inference, integer, posted, varint},
    model::{Dialect, Exchange, Format, Kind, ModelError, Operation, Role, Unread},
    sink::sample::{fields, framed},
};

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const STREAM: &str = "/inference.GRPCInferenceService/ModelStreamInfer";

#[test]
fn paths() {
    use Operation::{Explain, Infer, Manage, Metadata, Statistics, TextCompletion};
    let named = Some("iris");
    for (method, path, operation, model, version) in [
        ("GET", "/v2/health/live", Some(Metadata), None, None),
        ("GET", "/v2/models/iris", Some(Metadata), named, None),
        ("GET", "/v2/models/iris/versions/3", Some(Metadata), named, Some("3")),
        ("GET", "/v2/models/iris/versions/3/ready", Some(Metadata), named, Some("3")),
        ("GET", "/v2/models/iris/config", Some(Metadata), named, None),
        ("GET", "/v2/models/stats", Some(Statistics), None, None),
        ("GET", "/v2/models/iris/versions/3/stats", Some(Statistics), named, Some("3")),
        ("POST", "/v2/models/iris/infer", Some(Infer), named, None),
        ("POST", "/seldon/ml/x/v2/models/iris/infer", Some(Infer), named, None),
        ("POST", "/v2/models/ir%69s/versions/v1.2/infer", Some(Infer), named, Some("v1.2")),
        ("POST", "/v2/models/iris/explain", Some(Explain), named, None),
        ("POST", "/v2/models/iris/generate", Some(TextCompletion), named, None),
        ("POST", "/v2/models/iris/versions/1/generate_stream", Some(TextCompletion), named, Some("1")),
        ("POST", "/v2/repository/index", Some(Metadata), None, None),
        ("POST", "/v2/repository/models/iris/load", Some(Manage), named, None),
        ("POST", "/v2/cudasharedmemory/region/r/register", Some(Manage), None, None),
        ("GET", "/v2/systemsharedmemory/status", Some(Metadata), None, None),
        ("POST", "/v2/logging", Some(Manage), None, None),
        // Nobody's, or a registry of images'.
        ("GET", "/v2/models/iris/infer", None, None, None),
        ("GET", "/v2", None, None, None),
        ("GET", "/v2/models/iris/manifests/latest", None, None, None),
        ("GET", "/v20/models/iris", None, None, None),
        ("POST", "/v2/_catalog", None, None, None),
    ] {
        let found = Said { method, ..posted(path, "", "") }.read();
        let found = found.map(|found| (found.dialect, found.operation, found.model, found.version));
        let expected = operation
            .map(|operation| (Dialect::OpenInference, operation, model.map(str::to_owned), version.map(str::to_owned)));
        assert_eq!(found, expected, "{method} {path}");
    }
}

#[test]
fn a_server_says_what_it_is() {
    let server = got("/v2", r#"{"name":"triton","version":"2.50","extensions":["statistics"]}"#).read().unwrap();
    assert_eq!((server.operation, server.response_model.as_deref()), (Operation::Metadata, Some("triton")));
    assert_eq!(got("/v2/", "{}").read(), None);
}

const REQUEST: &str = r#"{"id":"42","parameters":{"content_type":"pd","sequence_id":7},"inputs":[
    {"name":"x","shape":[2,3],"datatype":"FP32","data":[1,2.5,-3,4,5,6]},
    {"name":"nested","shape":[2,2],"datatype":"INT64","data":[[1,2],[3,4]]},
    {"name":"s","shape":[2],"datatype":"BYTES","parameters":{"content_type":"str"},"data":["a","\u00e9"]},
    {"name":"b","shape":[2],"datatype":"BOOL","data":[true,false]}]}"#;
const ANSWER: &str = r#"{"model_name":"iris","model_version":"v1","id":"42","outputs":[
    {"name":"predict","shape":[2,1],"datatype":"INT64","parameters":{"content_type":"np"},"data":[2,0]}]}"#;

#[test]
fn json_both_ways() {
    let found = posted("/v2/models/iris/infer", REQUEST, ANSWER).read().unwrap();
    assert_eq!(
        all(&found.inputs),
        ["x FP32[2, 3]: 1 2.5 -3 4 5 6", "nested INT64[2, 2]: 1 2 3 4", "s BYTES[2]: a é", "b BOOL[2]: 1 0"]
    );
    assert_eq!(all(&found.outputs), ["predict INT64[2, 1]: 2 0"]);
    assert_eq!(found.parameters, [("content_type".into(), "pd".into()), ("sequence_id".into(), 7.into())]);
    assert_eq!((found.id.as_deref(), found.version.as_deref(), found.batch), (Some("42"), Some("v1"), Some(2)));
    assert_eq!((found.response_model.as_deref(), found.unread, found.streamed), (Some("iris"), None, false));
}

#[test]
fn what_does_not_fit_is_said() {
    for (inputs, told, unread) in [
        (r#"[{"name":"x","shape":[3],"datatype":"FP32","data":[1]}]"#, "x FP32[3]: 1", Some(Unread::Malformed)),
        (r#"[{"name":"x","shape":[0],"datatype":"FP32","data":[]}]"#, "x FP32[0]: ", None),
        (r#"[{"name":"x","shape":[-1,1],"datatype":"FP32","data":[1]}]"#, "x FP32[-1, 1]: 1", None),
        (r#"[{"name":"x","shape":[1],"datatype":"FP8","data":[1]}]"#, "x [1]: 1", None),
        (r#"[{"name":"x","shape":[4],"datatype":"INT8"}]"#, "x INT8[4]: ?", None),
        (r#"[{"name":7,"data":[1]}]"#, " [1]: 1", None),
    ] {
        let request = format!(r#"{{"inputs":{inputs}}}"#);
        let found = posted("/v2/models/m/infer", &request, "{}").read().unwrap();
        assert_eq!((all(&found.inputs), found.unread), (vec![told.to_owned()], unread), "{inputs}");
    }
    let found = posted("/v2/models/m/infer", "{]", "no JSON").read().unwrap();
    assert_eq!((found.inputs.len(), found.unread), (0, Some(Unread::Malformed)));
}

#[test]
fn errors() {
    for (status, response, expected) in [
        (400, r#"{"error":"unknown model 'm'"}"#, Some((None, "unknown model 'm'"))),
        (200, r#"{"error":{"type":"bad","message":"no"}}"#, Some((Some("bad"), "no"))),
        (422, r#"{"detail":"field required"}"#, Some((None, "field required"))),
        (200, r#"{"error":null,"outputs":[]}"#, None),
        (200, r#"{"detail":"all is well"}"#, None),
    ] {
        let said = Said { status, ..posted("/v2/models/m/infer", "{}", response) };
        let error = |(kind, message): (Option<&str>, &str)| ModelError {
            kind: kind.map(str::to_owned),
            message: message.to_owned(),
        };
        assert_eq!(said.read().unwrap().error, expected.map(error), "{response}");
    }
}

/// As tritonclient sends them: JSON, then each tensor's bytes.
#[test]
fn binary_both_ways() {
    let json =
        br#"{"id":"1","inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","parameters":{"binary_data_size":8}},
        {"name":"t","shape":[1],"datatype":"INT8","data":[5]},
        {"name":"s","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}],
        "parameters":{"binary_data_output":true}}"#;
    let mut body = json.to_vec();
    body.extend([0, 0, 0xc0, 0x3f, 0, 0, 0, 0xc0]);
    body.extend(b"\x02\0\0\0hi\x01\0\0\0!");
    let answer = br#"{"model_name":"m","outputs":[{"name":"y","shape":[2],"datatype":"FP16","parameters":{"binary_data_size":4}}]}"#;
    let mut response = answer.to_vec();
    response.extend([0, 0x3c, 0, 0xc4]);
    let (asked, answered) = (json.len().to_string(), answer.len().to_string());
    let said = Said {
        asks: &[("Inference-Header-Content-Length", &asked)],
        request: &body,
        answers: &[("Inference-Header-Content-Length", &answered)],
        response: &response,
        ..posted("/v2/models/m/infer", "", "")
    };
    let found = said.read().unwrap();
    assert_eq!(all(&found.inputs), ["x FP32[1, 2]: 1.5 -2", "t INT8[1]: 5", "s BYTES[2]: hi !"]);
    assert_eq!(all(&found.outputs), ["y FP16[2]: 1 -4"]);
    assert_eq!((found.unread, found.batch), (None, None));

    let short = Said { request: &body[..body.len() - 1], ..said };
    assert_eq!(short.read().unwrap().unread, Some(Unread::Malformed));
    let mut exchange = short.exchange();
    let part = exchange.request.as_mut().unwrap();
    part.body_size += 1;
    let found = inference(&exchange).unwrap();
    assert_eq!((all(&found.inputs)[2].as_str(), found.unread), ("s BYTES[2]: hi…", Some(Unread::Cut)));

    let raw = Said { asks: &[("Inference-Header-Content-Length", "0")], request: b"\0\0", ..short };
    assert_eq!(all(&raw.read().unwrap().inputs), [" []: ?"]);
}

#[test]
fn generate() {
    let request = r#"{"text_input":"Say","parameters":{"temperature":0.5},"max_tokens":8,"stream":true}"#;
    let found =
        posted("/v2/models/m/generate", request, r#"{"model_name":"m","model_version":"1","text_output":"hi"}"#);
    let found = found.read().unwrap();
    let texts = |found: &crate::model::Inference| -> Vec<_> {
        found.texts.iter().map(|text| (text.role, text.path.clone(), text.text.clone())).collect()
    };
    let text = |role, path: &str, text: &str| (role, path.to_owned(), text.to_owned());
    let asked = text(Role::Request, "$['text_input']", "Say");
    assert_eq!(texts(&found), [asked.clone(), text(Role::Response, "$['text_output']", "hi")]);
    let names: Vec<_> = found.parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((names, found.streamed), (vec!["temperature", "max_tokens", "stream"], false));

    let mut exchange = posted("/v2/models/m/generate_stream", request, "").exchange();
    let events: [&[u8]; 3] = [
        b"data: {\"model_name\":\"m\",\"text_output\":\"he\"}\n\n",
        b"data: {\"text_output\":\"llo\"}\n\n",
        b"data: {\"error\":\"stopped\"}\n\n",
    ];
    let events = events.map(|event| (Kind::Data, event));
    exchange.response = exchange.response.map(|part| framed(part, Format::EventStream, &events));
    let found = inference(&exchange).unwrap();
    assert_eq!(texts(&found), [asked, text(Role::Response, "$['text_output']", "hello")]);
    assert_eq!((found.streamed, found.error.unwrap().message.as_str()), (true, "stopped"));
}

/// `InferInputTensor` or `InferOutputTensor`.
fn tensor(name: &str, datatype: &str, shape: &[i64], contents: &[u8]) -> Vec<u8> {
    let shape: Vec<u8> = shape.iter().flat_map(|size| varint(*size as u64)).collect();
    let mut out = [bytes(1, name.as_bytes()), bytes(2, datatype.as_bytes()), bytes(3, &shape)].concat();
    if !contents.is_empty() {
        out.extend(bytes(5, contents));
    }
    out
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn outcome(request: &[u8], response: &[u8]) -> Exchange {
    called(INFER, &[request], &[response], &[("grpc-status", "0")])
}

#[test]
fn grpc_typed_and_raw() {
    let parameter = |name: &str, value: Vec<u8>| bytes(4, &[bytes(1, name.as_bytes()), bytes(2, &value)].concat());
    let head = [bytes(1, b"iris"), bytes(2, b"3"), bytes(3, b"id")].concat();
    let ints: Vec<u8> = [-1_i64, 300].iter().flat_map(|value| varint(*value as u64)).collect();
    let typed = [
        head.clone(),
        parameter("n", integer(2, -5)),
        parameter("s", bytes(3, b"x")),
        parameter("b", integer(1, 1)),
        bytes(5, &tensor("x", "FP32", &[2, 1], &bytes(6, &floats(&[1.5, -2.0])))),
        bytes(5, &tensor("i", "INT16", &[2], &bytes(2, &ints))),
        bytes(5, &tensor("unpacked", "INT64", &[2], &[integer(3, -7), integer(3, 8)].concat())),
        bytes(5, &tensor("s", "BYTES", &[2], &[bytes(8, b"a"), bytes(8, b"")].concat())),
    ]
    .concat();
    let raw = [
        bytes(1, b"iris"),
        bytes(2, b"3"),
        bytes(5, &tensor("y", "BF16", &[2], b"")),
        bytes(5, &[tensor("z", "UINT16", &[1], b""), bytes(5, b"")].concat()),
        bytes(6, &[0x80, 0x3f, 0, 0xc0]),
        bytes(6, &[0xff, 0xff]),
    ]
    .concat();
    let found = inference(&outcome(&typed, &raw)).unwrap();
    assert_eq!(
        all(&found.inputs),
        ["x FP32[2, 1]: 1.5 -2", "i INT16[2]: -1 300", "unpacked INT64[2]: -7 8", "s BYTES[2]: a "]
    );
    assert_eq!(all(&found.outputs), ["y BF16[2]: 1 -2", "z UINT16[1]: 65535"]);
    let parameters = [("n".to_owned(), (-5).into()), ("s".to_owned(), "x".into()), ("b".to_owned(), true.into())];
    assert_eq!(found.parameters, parameters);
    assert_eq!((found.model.as_deref(), found.version.as_deref(), found.batch), (Some("iris"), Some("3"), Some(2)));
    assert_eq!((found.unread, found.error, found.operation), (None, None, Operation::Infer));

    let wrong = [head, bytes(5, &tensor("x", "FP32", &[1], b"")), bytes(7, b"abc")].concat();
    assert_eq!(inference(&outcome(&wrong, &raw)).unwrap().unread, Some(Unread::Malformed));
    assert_eq!(inference(&outcome(b"\xff", &raw)).unwrap().unread, Some(Unread::Malformed));
}

#[test]
fn a_stream_is_many_requests() {
    let asked = |values: &[f32]| {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = [values.len() as i64, 1];
        [bytes(1, b"m"), bytes(5, &tensor("x", "FP32", &shape, b"")), bytes(7, &raw)].concat()
    };
    let answered = |text: &str| {
        let contents = bytes(8, text.as_bytes());
        bytes(2, &[bytes(1, b"m"), bytes(2, b"1"), bytes(5, &tensor("text", "BYTES", &[1], &contents))].concat())
    };
    let (asks, answers) = ([asked(&[1.0]), asked(&[2.0, 3.0])], [answered("a"), answered("b"), bytes(1, b"no more")]);
    let asks: Vec<_> = asks.iter().map(Vec::as_slice).collect();
    let answers: Vec<_> = answers.iter().map(Vec::as_slice).collect();
    let found = inference(&called(STREAM, &asks, &answers, &[("grpc-status", "0")])).unwrap();
    assert_eq!((all(&found.inputs), found.batch), (vec!["x FP32[3, 1]: 1 2 3".to_owned()], Some(3)));
    assert_eq!(all(&found.outputs), ["text BYTES[2]: a b"]);
    assert_eq!((found.error.as_ref().unwrap().message.as_str(), found.streamed), ("no more", true));
    // The samples' messages are a microsecond apart.
    let timing = found.timing;
    assert_eq!((timing.chunks, timing.longest_gap), (answers.len() as u64, Some(std::time::Duration::from_micros(1))));
    assert!(timing.first_token.is_some());
}

#[test]
fn other_methods_and_failed_calls() {
    for (method, operation, model) in [
        ("ModelMetadata", Operation::Metadata, Some("m")),
        ("ModelStatistics", Operation::Statistics, Some("m")),
        ("ServerLive", Operation::Metadata, None),
        ("RepositoryModelLoad", Operation::Manage, Some("2")),
    ] {
        let path = format!("/inference.GRPCInferenceService/{method}");
        let request = [bytes(1, b"m"), bytes(2, b"2")].concat();
        let end = [("grpc-status", "5"), ("grpc-message", "no%20m")];
        let found = inference(&called(&path, &[&request], &[], &end)).unwrap();
        assert_eq!((found.operation, found.model.as_deref()), (operation, model), "{method}");
        let error = ModelError { kind: Some("NOT_FOUND".into()), message: "no m".into() };
        assert_eq!(found.error, Some(error));
    }
    assert_eq!(inference(&called("/inference.GRPCInferenceService/Other", &[], &[], &[])), None);
}

prop_compose! {
    fn matrix()(rows in 0_usize..5, columns in 1_usize..4)
        (values in prop::collection::vec(any::<i16>(), rows * columns), columns in Just(columns), rows in Just(rows))
        -> (usize, usize, Vec<f32>) {
        (rows, columns, values.into_iter().map(|value| f32::from(value) / 4.0).collect())
    }
}

proptest! {
    #[test]
    fn json_bytes_and_messages_tell_the_same((rows, columns, values) in matrix(), texts in prop::collection::vec("[a-zé]{0,4}", 0..4)) {
        let raw = floats(&values);
        let mut lengths = Vec::new();
        for text in &texts {
            lengths.extend((text.len() as u32).to_le_bytes());
            lengths.extend(text.as_bytes());
        }
        let size = |bytes: &[u8]| serde_json::json!({ "binary_data_size": bytes.len() });
        let shapes = [vec![rows as i64, columns as i64], vec![texts.len() as i64]];
        let json = |data: [(&str, serde_json::Value); 2]| {
            let [x, s] = data;
            serde_json::json!({"inputs": [
                {"name": "x", "datatype": "FP32", "shape": shapes[0], x.0: x.1},
                {"name": "s", "datatype": "BYTES", "shape": shapes[1], s.0: s.1},
            ]}).to_string()
        };
        let plain = json([("data", values.clone().into()), ("data", texts.clone().into())]);
        let plain = posted("/v2/models/m/infer", &plain, "{}").read().unwrap();

        let header = json([("parameters", size(&raw)), ("parameters", size(&lengths))]);
        let body = [header.as_bytes(), &raw, &lengths].concat();
        let length = header.len().to_string();
        let asks = [("inference-header-content-length", length.as_str())];
        let binary = Said { asks: &asks, request: &body, ..posted("/v2/models/m/infer", "", "{}") }.read().unwrap();

        let (x, s) = (tensor("x", "FP32", &shapes[0], b""), tensor("s", "BYTES", &shapes[1], b""));
        let message = [bytes(5, &x), bytes(5, &s), bytes(7, &raw), bytes(7, &lengths)].concat();
        let grpc = inference(&outcome(&message, b"")).unwrap();

        prop_assert_eq!(&plain.inputs, &binary.inputs);
        prop_assert_eq!(&plain.inputs, &grpc.inputs);
        prop_assert_eq!([plain.batch, binary.batch], [grpc.batch; 2]);
        prop_assert_eq!([plain.unread, binary.unread, grpc.unread], [None; 3]);
    }

    #[test]
    fn any_bytes_have_a_meaning(content in prop::collection::vec(any::<u8>(), 0..200), length in 0_usize..300) {
        inference(&outcome(&content, &content)).unwrap();
        inference(&called(STREAM, &[&content, &content], &[&content], &[])).unwrap();
        let length = length.to_string();
        let asks = [("inference-header-content-length", length.as_str()), JSON[0]];
        Said { asks: &asks, request: &content, answers: &asks, response: &content, ..posted("/v2/models/m/infer", "", "") }
            .read()
            .unwrap();
    }
}

#[test]
fn the_type_of_a_call_may_be_missing() {
    let mut exchange = outcome(&bytes(1, b"m"), b"");
    exchange.request.as_mut().unwrap().head =
        crate::model::Head::request("POST", INFER, crate::model::Version::Http2, fields(&[]));
    assert_eq!(inference(&exchange).unwrap().model.as_deref(), Some("m"));
}
