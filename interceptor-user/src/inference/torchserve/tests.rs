use crate::{
    inference::tests::said::{Said, all, bytes, called, got, inference, integer, posted},
    model::{Dialect, Operation},
};

#[test]
fn predictions() {
    let found = posted("/predictions/bert/1.0", r#"{"data":["good","bad"]}"#, "[0.9, 0.1]").read().unwrap();
    assert_eq!((found.dialect, found.operation), (Dialect::Torchserve, Operation::Infer));
    assert_eq!((found.model.as_deref(), found.version.as_deref(), found.batch), (Some("bert"), Some("1.0"), Some(2)));
    assert_eq!(
        (all(&found.inputs), all(&found.outputs)),
        (vec!["data [2]: good bad".into()], vec![" [2]: 0.9 0.1".to_owned()])
    );

    // Without a type, as `curl -T kitten.jpg` sends it, and the answer of an image classifier.
    let picture = Said {
        method: "PUT",
        asks: &[],
        request: b"\xff\xd8\xff\xe0",
        ..posted("/predictions/d", "", r#"{"tabby":0.4,"tiger":0.3}"#)
    };
    let found = picture.read().unwrap();
    assert_eq!((found.inputs.len(), found.unread), (0, None));
    assert_eq!(all(&found.outputs), ["tabby []: 0.4", "tiger []: 0.3"]);

    let explained = posted("/explanations/bert", r#"[{"text":"a"}]"#, "[[1,2]]").read().unwrap();
    assert_eq!((explained.operation, all(&explained.inputs)), (Operation::Explain, vec!["text [1]: a".to_owned()]));
    let error = r#"{"code":404,"type":"ModelNotFoundException","message":"Model not found: x"}"#;
    let error = Said { status: 404, ..posted("/predictions/x", "1", error) }.read().unwrap().error.unwrap();
    assert_eq!((error.kind.as_deref(), error.message.as_str()), (Some("ModelNotFoundException"), "Model not found: x"));
}

#[test]
fn management_is_known_by_its_answers() {
    let list = r#"{"models":[{"modelName":"bert","modelUrl":"bert.mar"}]}"#;
    assert_eq!(got("/models", list).read().unwrap().operation, Operation::Metadata);
    let described = got("/models/bert", r#"[{"modelName":"bert","modelVersion":"1.0","workers":[]}]"#).read().unwrap();
    assert_eq!((described.model.as_deref(), described.version.as_deref()), (Some("bert"), Some("1.0")));
    let status = r#"{"status":"Model \"bert\" Version: 1.0 registered with 0 initial workers"}"#;
    assert_eq!(posted("/models?url=bert.mar", "", status).read().unwrap().operation, Operation::Manage);
    let scaled = Said { method: "PUT", ..posted("/models/bert?min_worker=3", "", r#"{"status":"Processing"}"#) };
    assert_eq!(scaled.read().unwrap().model.as_deref(), Some("bert"));
    assert_eq!(got("/ping", r#"{"status":"Healthy"}"#).read().unwrap().dialect, Dialect::Torchserve);
    for (path, answer) in [
        ("/models", r#"{"models":[{"name":"llama"}]}"#),
        ("/models", r#"{"object":"list","data":[]}"#),
        ("/ping", r#"{"status":"ok"}"#),
    ] {
        let found = got(path, answer).read().map(|found| found.dialect);
        assert_ne!(found, Some(Dialect::Torchserve), "{path} {answer}");
    }
}

#[test]
fn grpc() {
    const INFERENCE: &str = "/org.pytorch.serve.grpc.inference.InferenceAPIsService/";
    let input = |name: &str, value: &[u8]| bytes(3, &[bytes(1, name.as_bytes()), bytes(2, value)].concat());
    let request =
        [bytes(1, b"bert"), bytes(2, b"1.0"), input("text", b"so good"), input("n", b"[1,2]"), input("p", b"\xff\xd8")]
            .concat();
    let response = bytes(1, br#"{"label":"positive","score":0.75}"#);
    let found =
        inference(&called(&format!("{INFERENCE}Predictions"), &[&request], &[&response], &[("grpc-status", "0")]))
            .unwrap();
    assert_eq!((found.model.as_deref(), found.version.as_deref()), (Some("bert"), Some("1.0")));
    assert_eq!(all(&found.inputs), ["text []: so good", "n [2]: 1 2", "p []: ?"]);
    assert_eq!(all(&found.outputs), ["label []: positive", "score []: 0.75"]);

    let failed = bytes(3, &[integer(1, 13), bytes(2, b"worker died")].concat());
    let found =
        inference(&called(&format!("{INFERENCE}StreamPredictions"), &[&request], &[&bytes(1, b"to"), &failed], &[]))
            .unwrap();
    assert_eq!((found.timing.chunks, found.timing.longest_gap), (2, Some(std::time::Duration::from_micros(1))));
    let error = found.error.unwrap();
    assert_eq!(
        (error.kind.as_deref(), error.message.as_str(), found.streamed),
        (Some("INTERNAL"), "worker died", true)
    );
    assert_eq!(all(&found.outputs), [" []: to"]);

    let described = "/org.pytorch.serve.grpc.management.ManagementAPIsService/DescribeModel";
    let found = inference(&called(described, &[&request], &[], &[])).unwrap();
    assert_eq!((found.operation, found.model.as_deref()), (Operation::Metadata, Some("bert")));
    assert_eq!(inference(&called(&format!("{INFERENCE}Nothing"), &[], &[], &[])), None);
}
