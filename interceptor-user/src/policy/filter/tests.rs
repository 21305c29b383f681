use std::sync::Arc;

use super::*;
use crate::{
    model::{FlowInfo, Process},
    sink::sample,
};

fn parsed<T: std::str::FromStr<Err = Invalid>>(texts: &[&str]) -> Vec<T> {
    texts.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

fn range(ports: &str) -> std::ops::RangeInclusive<u16> {
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    first.parse().expect("a port")..=last.parse().expect("a port")
}

fn filter(condition: &str, values: &[&str]) -> Filter {
    let mut filter = Filter::default();
    match condition {
        "port" => filter.ports = values.iter().map(|ports| range(ports)).collect(),
        "host" => filter.hosts = parsed(values),
        "method" => filter.methods = parsed(values),
        "path" => filter.paths = parsed(values),
        "status" => filter.statuses = parsed(values),
        "grpc-status" => filter.calls = parsed(values),
        other => panic!("no condition {other}"),
    }
    filter
}

/// The sample is `POST /v2/models/tiny/infer?trace=1`, Host `model.default.svc:8000`, 10.0.0.2:40000 to 10.0.0.1:8000, 200.
#[test]
fn each_condition_against_one_exchange() {
    let exchange = sample::exchange();
    let cases: [(&str, &[&str], bool); 31] = [
        ("port", &["8000"], true),
        ("port", &["40000"], true),
        ("port", &["80"], false),
        ("port", &["7999-8001"], true),
        ("port", &["80", "8000"], true),
        ("host", &["model.default.svc"], true),
        ("host", &["MODEL.default.svc"], true),
        ("host", &["*.svc"], true),
        ("host", &["model"], false),
        ("host", &["10.0.0.1"], true),
        ("host", &["10.0.0.2"], true),
        ("host", &["10.0.0.0/30"], true),
        ("host", &["0.0.0.0/0"], true),
        ("host", &["10.0.0.4/30"], false),
        ("host", &["::/0"], false),
        ("method", &["post"], true),
        ("method", &["GET"], false),
        ("method", &["GET", "POST"], true),
        ("path", &["/v2"], true),
        ("path", &["/v2/models/tiny/infer"], true),
        ("path", &["/v2/models/tiny/infer/x"], false),
        ("path", &["/v2/*/infer"], true),
        ("path", &["*/infer"], true),
        ("path", &["/v2/*/tiny"], false),
        ("path", &["/models"], false),
        ("status", &["200"], true),
        ("status", &["2xx"], true),
        ("status", &["4xx", "5XX"], false),
        ("status", &["199-200"], true),
        ("status", &["201-299"], false),
        ("status", &["404", "200"], true),
    ];
    for (condition, values, expected) in cases {
        assert_eq!(filter(condition, values).matches(&exchange), expected, "--{condition} {values:?}");
    }
}

/// The sample is a call answered with 200 and NOT_FOUND.
#[test]
fn calls_by_their_status() {
    let mut call = sample::call();
    let cases: [(&[&str], bool); 9] = [
        (&["NOT_FOUND"], true),
        (&["not_found"], true),
        (&["5"], true),
        (&["OK", "5"], true),
        (&["OK"], false),
        (&["!OK"], true),
        (&["!NOT_FOUND"], false),
        (&["!5", "13"], false),
        (&["55"], false),
    ];
    for (values, expected) in cases {
        assert_eq!(filter("grpc-status", values).matches(&call), expected, "{values:?}");
    }
    assert!(filter("path", &["/inference.GRPCInferenceService/*"]).matches(&call));
    assert!(filter("status", &["200"]).matches(&call), "that of HTTP");
    assert!(!filter("grpc-status", &["!OK"]).matches(&sample::exchange()), "no call");
    assert!(!filter("grpc-status", &["!OK"]).matches_flow(&sample::tls_flow()));
    call.response.as_mut().expect("a response").trailers = sample::fields(&[]);
    assert!(!filter("grpc-status", &["!OK"]).matches(&call), "not known");
    for text in ["", "!", "NOTFOUND", "-1", "+5", "!!OK", "99999999999"] {
        let error = text.parse::<CallStatus>().expect_err(text);
        assert!(error.to_string().contains("NOT_FOUND"), "{text}: {error}");
    }
}

#[test]
fn conditions_are_conjoined_and_none_allows_everything() {
    let exchange = sample::exchange();
    assert!(Filter::default().is_empty() && Filter::default().matches(&exchange));
    let mut both = filter("path", &["/v2"]);
    both.statuses = parsed(&["200"]);
    assert!(both.matches(&exchange) && !both.is_empty());
    both.statuses = parsed(&["500"]);
    assert!(!both.matches(&exchange));
}

#[test]
fn what_is_unknown_meets_no_condition() {
    let mut exchange = sample::exchange();
    exchange.request = None;
    exchange.response = None;
    for (condition, value) in [("method", "POST"), ("path", "/"), ("status", "100-999"), ("host", "*")] {
        assert!(!filter(condition, &[value]).matches(&exchange), "{condition}");
    }
    assert!(filter("host", &["10.0.0.1"]).matches(&exchange), "addresses are known all the same");
}

#[test]
fn a_process_matches_by_id_or_else_by_cgroup() {
    let mut exchange = sample::exchange();
    let mut info = FlowInfo::clone(&exchange.flow);
    info.client.process = Some(Process { pid: 7, command: "curl".into() });
    info.server.process = None;
    info.server.cgroup = Some(99);
    exchange.flow = Arc::new(info);
    for (pid, cgroup, expected) in [(7, None, true), (8, None, false), (8, Some(99), true), (8, Some(98), false)] {
        let filter = Filter { processes: vec![ProcessPattern { pid, cgroup }], ..Filter::default() };
        assert_eq!(filter.matches(&exchange), expected, "{pid} {cgroup:?}");
    }
}

#[test]
fn errors_say_what_is_allowed() {
    for text in ["", "6", "abc", "20", "10xx", "0xx", "500-400", "200-", "1000", "-200"] {
        let error = text.parse::<StatusRange>().expect_err(text).to_string();
        assert!(error.contains("500-599"), "{error}");
    }
    for (text, says) in [
        ("", "allowed are"),
        ("a b", "allowed are"),
        ("model:8080", "--port"),
        ("10.0.0.0/33", "0 to 32"),
        ("::/129", "0 to 128"),
        ("model/8", "not an IP address"),
    ] {
        let error = text.parse::<HostPattern>().expect_err(text).to_string();
        assert!(error.contains(says), "{error}");
    }
    for text in ["", "v2", "http://model/v2"] {
        let error = text.parse::<PathPattern>().expect_err(text).to_string();
        assert!(error.contains("'/v2/models'"), "{error}");
    }
    for text in ["", "GE T", "GET\u{7f}"] {
        assert!(text.parse::<MethodName>().expect_err(text).to_string().contains("GET or POST"));
    }
    assert_eq!("[::1]".parse(), "::1".parse::<HostPattern>());
}

/// The sample is TLS that asks for `model.example`, 10.0.0.2:40000 to 10.0.0.1:8000.
#[test]
fn each_condition_against_a_flow_that_no_exchange_shows() {
    let record = sample::tls_flow();
    let cases: [(&str, &[&str], bool); 9] = [
        ("port", &["8000"], true),
        ("port", &["80"], false),
        ("host", &["model.example"], true),
        ("host", &["*.example"], true),
        ("host", &["10.0.0.1"], true),
        ("host", &["10.0.0.9"], false),
        ("method", &["GET"], false),
        ("path", &["/"], false),
        ("status", &["200"], false),
    ];
    for (condition, values, expected) in cases {
        assert_eq!(filter(condition, values).matches_flow(&record), expected, "{condition} {values:?}");
    }
    assert!(Filter::default().matches_flow(&record));
    let process = |pid| Filter { processes: vec![ProcessPattern { pid, cgroup: None }], ..Filter::default() };
    assert!(process(321).matches_flow(&record) && !process(322).matches_flow(&record));
}
