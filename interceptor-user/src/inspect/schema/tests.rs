use super::*;
use crate::{
    inspect::testing::{inspect, inspect_within, part, request},
    model::{Datatype, Dialect, Exchange, Fields, Head, Inference, Operation, Version},
};

fn schema(json: &str) -> Schema {
    Schema::new(&serde_json::from_str(json).unwrap(), |_| Ok(Vec::new())).unwrap()
}

fn told(report: &Report) -> Vec<String> {
    report.findings.iter().map(|finding| format!("{} {} {}", finding.kind, finding.place, finding.text)).collect()
}

const OBJECT: &str = r#"{"request":{"inline":{"type":"object","required":["id"],"properties":{
    "id":{"type":"integer","maximum":9},"tags":{"items":{"pattern":"^[a-z]+$"}}}}}}"#;

#[test]
fn violations_have_keyword_and_place_and_not_the_value() {
    let sent = request("/", &[], br#"{"id":77123,"tags":["ok","S3CRET"]}"#);
    let report = inspect(&mut schema(OBJECT), &sent, None);
    assert_eq!(
        told(&report),
        [
            "maximum $['id'] violates /properties/id/maximum",
            "pattern $['tags'][1] violates /properties/tags/items/pattern"
        ]
    );
    assert!(!format!("{:?}", report.findings).contains("S3CRET"));
    assert!(inspect(&mut schema(OBJECT), &request("/", &[], br#"{"id":1}"#), None).findings.is_empty());
    assert_eq!(
        told(&inspect(&mut schema(OBJECT), &request("/", &[], b"<html>"), None)),
        ["json $ the content is not JSON"]
    );
}

/// A value may serve as a key.
#[test]
fn names_that_were_sent_are_concealed() {
    let settings =
        r#"{"request":{"inline":{"additionalProperties":{"type":"integer"}}},"closed":true,"inputs":[{"name":"a"}]}"#;
    let place = |name: &str| {
        let body = serde_json::json!({ name: "x" }).to_string();
        let report = inspect(&mut schema(settings), &request("/", &[], body.as_bytes()), None);
        let place = report.findings[0].place.clone();
        let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
        inference.inputs = vec![
            Tensor { name: "a".into(), ..Tensor::default() },
            Tensor { name: name.to_owned().into(), ..Tensor::default() },
        ];
        let report = inspect(&mut schema(settings), &request("/", &[], b"{\"a\":1}"), Some(&inference));
        (place, report.findings[0].place.clone())
    };
    for (name, told) in [
        ("sepal.length_cm-2", "sepal.length_cm-2"),
        ("größe", "größe"),
        ("ann.smith@example.com", "***@example.com"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA****************"),
        ("Ann Smith", "***"),
        ("", "***"),
        ("id12345678", "***"),
        (&"x".repeat(65), "***"),
    ] {
        assert_eq!(place(name), (format!("$['{told}']"), format!("tensor:{told}")), "{name}");
    }
}

#[test]
fn findings_are_bounded() {
    let settings = r#"{"request":{"inline":{"items":{"type":"string"}}},"maxFindings":3}"#;
    let report = inspect(&mut schema(settings), &request("/", &[], b"[1,2,3,4,5]"), None);
    assert_eq!((report.findings.len(), report.uninspected.len()), (3, 1));
}

#[test]
fn what_was_not_checked_is_said() {
    let reasons = |exchange: &Exchange, budget: &mut Budget| {
        let report = inspect_within(&mut schema(OBJECT), exchange, None, budget);
        assert!(report.findings.is_empty());
        report.uninspected.into_iter().map(|skipped| skipped.reason).collect::<Vec<_>>()
    };
    let whole = || request("/", &[], b"{}");
    assert_eq!(reasons(&whole(), &mut Budget::new(1, None)), [UninspectedReason::Bytes]);
    let mut cut = whole();
    cut.request.as_mut().unwrap().body_size = 10;
    cut.request.as_mut().unwrap().decoded_size = 10;
    assert_eq!(reasons(&cut, &mut Budget::unlimited()), [UninspectedReason::NotKept]);
    let mut missing = whole();
    missing.request.as_mut().unwrap().body_missing = 1;
    assert_eq!(reasons(&missing, &mut Budget::unlimited()), [UninspectedReason::Missing]);
}

#[test]
fn responses_that_failed_are_not_checked() {
    let mut schema = schema(r#"{"response":{"inline":{"required":["x"]}}}"#);
    for (status, findings) in [(200, 1), (500, 0)] {
        let mut exchange = request("/", &[], b"");
        exchange.response = Some(part(Head::response(status, Version::Http11, Fields::default()), b"{}"));
        assert_eq!(inspect(&mut schema, &exchange, None).findings.len(), findings);
    }
}

#[test]
fn tensors_are_as_declared() {
    let settings = r#"{"closed":true,"inputs":[{"name":"a","datatype":"FP32","shape":[-1,4]},{"name":"b"},
        {"name":"c","required":false}]}"#;
    let tensor = |name: &'static str, shape: &[i64]| Tensor {
        name: name.into(),
        datatype: Some(Datatype::Fp64),
        shape: shape.to_vec(),
        ..Tensor::default()
    };
    let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
    inference.inputs = vec![tensor("a", &[1, 3]), tensor("d", &[1])];
    let report = inspect(&mut schema(settings), &request("/", &[], b""), Some(&inference));
    assert_eq!(
        told(&report),
        [
            "datatype tensor:a FP64 instead of FP32",
            "shape tensor:a [1, 3] instead of [-1, 4]",
            "required tensor:b it is not there",
            "additional tensor:d it is not declared"
        ]
    );
    assert_eq!(inspect(&mut schema(settings), &request("/", &[], b""), None).uninspected.len(), 1);
}

#[test]
fn schemas_that_do_not_compile_are_refused() {
    let refused = |json: &str, file: &str| {
        let read = |_: &str| Ok(file.as_bytes().to_vec());
        Schema::new(&serde_json::from_str(json).unwrap(), read).unwrap_err().to_string()
    };
    assert!(refused(r#"{"request":{"inline":{"type":"objekt"}}}"#, "").starts_with("request: no JSON Schema"));
    assert!(refused(r#"{"request":{"inline":{"$ref":"https://example.com/s"}}}"#, "").starts_with("request: no JSON"));
    assert!(refused(r#"{"request":{"inline":{"pattern":"(?=a)"}}}"#, "").starts_with("request: no JSON Schema"));
    assert!(refused(r#"{"response":{"file":"a.json"}}"#, "{").starts_with("response.file: a.json: "));
}
