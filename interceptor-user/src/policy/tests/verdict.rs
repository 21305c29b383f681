use std::sync::Arc;

use serde_json::{Value, json};

use super::policy;
use crate::{
    model::{Dialect, Exchange, Format, Inference, Kind, Operation, Sampled, SinkName, Sinks, Tensor, Values, Verdict},
    policy::Policy,
    protobuf::Registry,
    sink::sample,
};

fn verdict(policy: &Policy, exchange: &Exchange) -> Verdict {
    policy.verdict(exchange, None, &Registry::builtin())
}

/// The sample is `POST /v2/models/tiny/infer?trace=1` answered 200, the call is answered NOT_FOUND.
#[test]
fn rules_against_exchanges() {
    let (exchange, call) = (sample::exchange(), sample::call());
    let mut open = sample::exchange();
    open.response = None;
    for (condition, expected) in [
        ("true", [true, true, true]),
        ("request.method == \"POST\"", [true, true, true]),
        ("response.code == 200", [true, true, false]),
        ("response.code != 200", [false, false, false]),
        ("!has(response.code)", [false, false, true]),
        ("response.grpc_status == 5", [false, true, false]),
        ("complete", [true, true, false]),
        ("has(inference.dialect)", [false, false, false]),
    ] {
        let policy = policy(&format!("  - {{name: r, match: '{condition}'}}"));
        let found = [&exchange, &call, &open].map(|exchange| !verdict(&policy, exchange).rules.is_empty());
        assert_eq!(found, expected, "{condition}");
    }
}

#[test]
fn sinks_are_those_of_all_rules_that_match() {
    let policy = policy(
        "  - {name: a, match: 'complete', sinks: [lines]}\n  - {name: b, match: 'complete', sinks: [metrics]}\n  \
         - {name: c, match: '!complete', sinks: []}",
    );
    let found = verdict(&policy, &sample::exchange());
    assert_eq!(found.rules.iter().map(|rule| &*rule.rule).collect::<Vec<_>>(), ["p/a", "p/b"]);
    assert_eq!(found.sinks, Sinks::from_iter([SinkName::Lines, SinkName::Metrics]));
    let mut open = sample::exchange();
    open.response = None;
    assert_eq!(verdict(&policy, &open).sinks, Sinks::NONE);
}

#[test]
fn what_no_rule_matches_goes_where_policies_say() {
    let text = |name: &str, unmatched: &str| {
        format!(
            "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{name: {name}}}\nspec:\n  {unmatched}\n  \
             rules: [{{name: r, match: '!complete'}}]\n"
        )
    };
    let none = text("a", "");
    let metrics = text("b", "unmatched: {sinks: [metrics]}");
    let nothing = text("c", "unmatched: {sinks: []}");
    let sinks = |texts: &[&String]| {
        let files: Vec<(&str, &str)> = texts.iter().map(|text| ("f", text.as_str())).collect();
        verdict(&Policy::parse(&files).unwrap(), &sample::exchange()).sinks
    };
    let only_metrics = Sinks::only(SinkName::Metrics);
    assert_eq!(sinks(&[]), Sinks::ALL);
    assert_eq!(sinks(&[&none]), Sinks::ALL);
    assert_eq!(sinks(&[&none, &metrics]), only_metrics);
    assert_eq!(sinks(&[&metrics, &nothing]), only_metrics);
    assert_eq!(sinks(&[&nothing]), Sinks::NONE);
}

#[test]
fn what_is_out_of_the_sample_is_counted_and_nothing_else() {
    let policy = policy("  - {name: r, sample: {rate: 0.0000001}, extract: [{name: h, header: host}]}");
    let found = verdict(&policy, &sample::exchange());
    assert_eq!((found.rules[0].sampled, found.rules[0].extracted.len()), (Sampled::Out, 0));
    assert_eq!(found.sinks, Sinks::only(SinkName::Metrics));
}

fn extracted(place: &str, exchange: &Exchange, inference: Option<&Inference>) -> Option<Value> {
    let policy = policy(&format!("  - {{name: r, extract: [{{name: x, {place}}}]}}"));
    let verdict = policy.verdict(exchange, inference, &Registry::builtin());
    verdict.rules[0].extracted.first().map(|(_, value)| value.clone())
}

#[test]
fn values_are_taken_out() {
    let mut exchange = sample::exchange();
    let part = exchange.request.as_mut().unwrap();
    part.body = br#"{"a": {"b": [1, "x", null]}, "long": "0123456789"}"#[..].into();
    let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
    inference.inputs =
        vec![Tensor { name: "t".into(), values: Values::Numbers(vec![1.5, f64::NAN]), ..Tensor::default() }];
    for (place, expected) in [
        ("header: HOST", Some(json!("model.default.svc:8000"))),
        ("header: accept", Some(json!("a/b,c/d"))),
        ("header: x", None),
        ("from: response, header: content-type", Some(json!("application/json"))),
        ("trailer: x", None),
        ("query: trace", Some(json!("1"))),
        ("query: x", None),
        ("jsonPath: '$.a.b[0]'", Some(json!(1))),
        ("jsonPath: '$.a.b[*]'", Some(json!([1, "x", null]))),
        ("jsonPath: '$.a'", Some(json!({"b": [1, "x", null]}))),
        ("jsonPath: '$..b[1]'", Some(json!("x"))),
        ("jsonPath: '$.c'", None),
        ("from: response, jsonPath: '$.outputs[0]'", Some(json!(2))),
        ("protobuf: a", None),
        ("tensor: t", Some(json!([1.5, null]))),
        ("tensor: u", None),
        ("from: response, tensor: t", None),
    ] {
        assert_eq!(extracted(place, &exchange, Some(&inference)), expected, "{place}");
    }
}

#[test]
fn values_are_taken_out_of_each_message() {
    let mut exchange = sample::exchange();
    let framed = |format, messages: &[(Kind, &[u8])]| {
        let part = sample::response(200, &[], b"");
        sample::framed(part, format, messages)
    };
    let (one, two) = (&b"data: {\"n\": 1}\n"[..], &b"event: x\ndata: {\"n\":\ndata: 2}\n"[..]);
    exchange.response =
        Some(framed(Format::EventStream, &[(Kind::Data, one), (Kind::Data, two), (Kind::Data, b"data: [DONE]\n")]));
    assert_eq!(extracted("from: response, jsonPath: $.n", &exchange, None), Some(json!([1, 2])));
    exchange.response = Some(framed(Format::JsonLines, &[(Kind::Data, b"{\"n\": 3}"), (Kind::Data, b"{")]));
    assert_eq!(extracted("from: response, jsonPath: $.n", &exchange, None), Some(json!(3)));
}

#[test]
fn fields_are_taken_out_of_protobuf_messages() {
    let mut call = sample::call();
    let part = call.request.take().unwrap();
    // inference.ModelInferRequest: model_name, model_version, inputs { name, datatype }.
    let message = b"\x0a\x04tiny\x12\x011\x2a\x09\x0a\x01x\x12\x04FP32";
    call.request = Some(sample::framed(part, Format::Grpc, &[(Kind::Data, message)]));
    let method = call.rpc().unwrap().method.unwrap().to_owned();
    assert!(Registry::builtin().method(&method).is_some(), "{method}");
    for (path, expected) in [
        ("model_name", Some(json!("tiny"))),
        ("modelVersion", Some(json!("1"))),
        ("inputs[0].datatype", Some(json!("FP32"))),
        ("inputs[1].name", None),
        ("nothing", None),
    ] {
        assert_eq!(extracted(&format!("protobuf: '{path}'"), &call, None), expected, "{path}");
    }
}

#[test]
fn what_is_taken_out_is_bounded() {
    let mut exchange = sample::exchange();
    let many: Vec<String> = (0..1000).map(|n| format!("\"{n:0>100}\"")).collect();
    let body = format!("{{\"a\": [{}], \"s\": \"{}\"}}", many.join(","), "ä".repeat(10_000));
    exchange.request.as_mut().unwrap().body = body.into_bytes().into();
    for path in ["$.a[*]", "$.a", "$", "$.s"] {
        let found = extracted(&format!("jsonPath: '{path}'"), &exchange, None).expect("a value");
        assert!(found.to_string().len() < 6000, "{path}: {}", found.to_string().len());
    }
}

#[test]
fn tenants_are_believed_as_sent() {
    let tenant = |rule: &str, lines: &[(&str, &str)]| {
        let mut exchange = sample::exchange();
        exchange.request = Some(sample::request("GET", "/", lines, b""));
        verdict(&policy(&format!("  - {{name: r, tenant: {{{rule}}}}}")), &exchange).tenant
    };
    assert_eq!(tenant("header: X-Tenant", &[("x-tenant", " acme ")]), Some("acme".to_owned()));
    assert_eq!(tenant("header: X-Tenant", &[]), None);
    // {"sub":"acme","n":5}
    let bearer = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhY21lIiwibiI6NX0.";
    assert_eq!(tenant("jwtClaim: sub", &[("authorization", bearer)]), Some("acme".to_owned()));
    assert_eq!(tenant("jwtClaim: n", &[("authorization", bearer)]), Some("5".to_owned()));
    assert_eq!(tenant("jwtClaim: org", &[("authorization", bearer)]), None);
    for broken in ["Bearer x", "Basic a.b.c", "Bearer a.!.c", ""] {
        assert_eq!(tenant("jwtClaim: sub", &[("authorization", broken)]), None, "{broken}");
    }
}

#[test]
fn actions_are_reported_as_what_would_have_been() {
    for (action, expected) in [
        ("deny: {}", ("deny", "403")),
        ("deny: {status: 429, message: later}", ("deny", "429: later")),
        (
            "route: {backendRefs: [{name: a, namespace: n, port: 80, weight: 9}, {name: b}]}",
            ("route", "a.n:80 (weight 9), b"),
        ),
        (
            "rewrite: {urlRewrite: {hostname: h, path: {type: ReplaceFullPath, replaceFullPath: /x}}, \
             requestHeaderModifier: {set: [{name: k, value: secret}], remove: [z]}}",
            ("rewrite", "host h, path /x, set k, remove z"),
        ),
        ("break: {consecutive5xxErrors: 3}", ("break", "after 3 errors, for 30s")),
    ] {
        let found = verdict(&policy(&format!("  - {{name: r, action: {{{action}}}}}")), &sample::exchange());
        let would = found.rules[0].would.as_ref().expect("an action");
        assert_eq!((would.action, &*would.detail), expected);
    }
}

#[test]
fn rules_know_their_file() {
    assert_eq!(policy("  - {name: r}").rules()[0].file, Arc::from("p.yaml"));
}
