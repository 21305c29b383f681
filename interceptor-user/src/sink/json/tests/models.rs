//! Lines of inferences, of what policies say, and of drift.

use super::*;
use crate::model::{DriftRecord, EdgeEnd, EdgeRecord, InspectorName, UninspectedReason};

fn valid(line: &Value) {
    let schema: Value = serde_json::from_str(&schema::exchange().expect("a schema")).expect("JSON");
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).expect("a valid schema");
    let errors: Vec<String> =
        schema.iter_errors(line).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?} in {line:#}");
}

fn drift_line(drift: DriftRecord) -> Value {
    let mut out = Vec::new();
    let mut sink = JsonSink::new(&mut out, everything());
    sink.record(&Record::Drift(Box::new(drift))).expect("written");
    sink.flush().expect("written");
    serde_json::from_slice(&out).expect("JSON")
}

/// What an exchange with a model server has beside the others.
fn added(exchange: Exchange, options: Options) -> Value {
    let line = line(exchange, options);
    valid(&line);
    let ours = |key: &String| {
        ["gen_ai.", "inference.", "interceptor.policy", "interceptor.findings", "interceptor.uninspected"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
    };
    line.as_object()
        .expect("an object")
        .iter()
        .filter(|(key, _)| ours(key))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[test]
fn inferences_and_verdicts_have_keys_that_the_schema_allows() {
    let lines = [added(sample::chat(), everything()), added(sample::tabular(), everything())];
    insta::assert_snapshot!(serde_json::to_string_pretty(&lines).expect("JSON"));
}

#[test]
fn prompts_are_shown_with_bodies_only() {
    let line = added(sample::chat(), Options::default());
    let told = line.to_string();
    assert!(!told.contains("hello") && told.contains("a**@e******.com"), "{told}");
}

#[test]
fn every_inspector_and_reason_is_in_the_schema() {
    for inspector in InspectorName::ALL {
        for reason in UninspectedReason::ALL {
            let mut exchange = sample::chat();
            let verdict = exchange.verdict.as_mut().expect("a verdict");
            verdict.findings[0].inspector = inspector;
            verdict.uninspected[0].inspector = inspector;
            verdict.uninspected[0].reason = reason;
            valid(&line(exchange, everything()));
        }
    }
}

#[test]
fn drift_has_a_line_of_its_own() {
    let line = drift_line(sample::drift());
    valid(&line);
    insta::assert_snapshot!(serde_json::to_string_pretty(&line).expect("JSON"));
    for score in [None, Some(f64::INFINITY), Some(f64::NAN)] {
        let line = drift_line(DriftRecord { test: None, score, ..sample::drift() });
        valid(&line);
        assert!(line.get("inference.drift.score").is_none(), "{line}");
    }
}

#[test]
fn an_edge_of_the_map_is_a_line_that_the_schema_allows() {
    let end = |kind, name: &str| EdgeEnd { kind, name: name.into() };
    let edge = EdgeRecord {
        start: sample::at(0),
        end: sample::at(60_000_000_000),
        client: end("pod", "pod/7f1b"),
        server: end("address", "10.0.0.2"),
        port: Some(8000),
        protocol: "http",
        model: Some("llama".into()),
        exchanges: 7,
        errors: 1,
        connections: 0,
        client_bytes: 10,
        server_bytes: 20,
        p50: Some(std::time::Duration::from_millis(3)),
        p99: None,
    };
    let mut sink = JsonSink::new(Vec::new(), everything());
    sink.record(&Record::Edge(Box::new(edge))).expect("written");
    let line: Value = serde_json::from_slice(&sink.take_lines().expect("lines")).expect("JSON");
    valid(&line);
    assert_eq!(line["interceptor.edge.client.name"], "pod/7f1b");
    assert_eq!(
        (&line["interceptor.edge.exchanges"], &line["interceptor.edge.duration.p50"]),
        (&7.into(), &0.003.into())
    );
    assert_eq!(line.get("interceptor.edge.duration.p99"), None);
}
