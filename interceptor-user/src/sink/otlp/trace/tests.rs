use std::{collections::BTreeSet, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{span::SpanKind, status::StatusCode},
};

use super::*;
use crate::{
    config::Otlp,
    model::{Anomaly, FlowInfo, Part, Peer, Process},
    sink::sample,
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn parents() -> Parents {
    Parents::new(Duration::from_secs(5), Limits::default())
}

/// Spans of this exchange, if these ends are here.
fn spans_of(exchange: &Exchange, local: &[Side]) -> Vec<(Side, Span)> {
    let mut flow = FlowInfo::clone(&exchange.flow);
    for side in Side::BOTH {
        let peer = flow.peer_mut(side);
        (peer.cookie, peer.cgroup) = (local.contains(&side).then_some(9), None);
    }
    let exchange = Exchange { flow: Arc::new(flow), ..exchange.clone() };
    spans(&exchange, &parents(), &mut Said::new())
}

fn one(exchange: &Exchange, side: Side) -> Span {
    let mut spans = spans_of(exchange, &[side]);
    assert_eq!(spans.len(), 1);
    spans.remove(0).1
}

fn text(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found: Vec<_> = attributes.iter().filter(|attribute| attribute.key == name).collect();
    assert!(found.len() <= 1, "{name} is there more than once");
    Some(match found.first()?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::ArrayValue(list) => format!("{:?}", list.values.iter().map(shown).collect::<Vec<_>>()),
        _ => "?".to_owned(),
    })
}

fn shown(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

fn traced(exchange: Exchange) -> Exchange {
    let fields = [("traceparent", PARENT), ("tracestate", "a=1"), ("Host", "model.default.svc:8000")];
    Exchange { request: Some(sample::request("POST", "/users/7/x?token=abc&q=1", &fields, b"{}")), ..exchange }
}

fn with_status(status: u16) -> Exchange {
    Exchange { response: Some(sample::response(status, &[], b"")), ..traced(sample::exchange()) }
}

#[test]
fn each_local_end_has_a_span_and_the_servers_hangs_on_the_clients() {
    let exchange = traced(sample::exchange());
    let on_wire = vec![0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31];
    let [client, server] = [Side::Client, Side::Server].map(|side| one(&exchange, side));
    assert_eq!((&client.parent_span_id, &server.parent_span_id), (&on_wire, &on_wire));
    assert_eq!((client.kind, server.kind), (SpanKind::Client as i32, SpanKind::Server as i32));
    assert_eq!((client.flags, &*client.trace_state), (0x301, "a=1"));
    assert_eq!(client.end_time_unix_nano - client.start_time_unix_nano, 3_210_000);

    let both = spans_of(&exchange, &Side::BOTH);
    let [(Side::Server, below), (Side::Client, above)] = &*both else { panic!("{both:?}") };
    assert_eq!((&above.span_id, &above.parent_span_id), (&client.span_id, &on_wire));
    assert_eq!((&below.span_id, &below.parent_span_id), (&server.span_id, &above.span_id));
    assert_eq!(below.trace_id, above.trace_id);

    let neither = spans_of(&exchange, &[]);
    assert!(matches!(&*neither, [(Side::Server, span)] if span.span_id == server.span_id));
    assert!(spans_of(&Exchange { request: None, ..exchange }, &Side::BOTH).is_empty());
}

#[test]
fn a_root_span_has_no_parent() {
    let span = one(&sample::exchange(), Side::Client);
    assert_eq!((span.parent_span_id.len(), span.flags), (0, 0x101));
    assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
}

#[test]
fn http_is_named_by_its_route_and_secrets_are_masked() {
    let [client, server] = [Side::Client, Side::Server].map(|side| one(&with_status(200), side));
    assert_eq!((&*client.name, &*server.name), ("POST /users/{id}/x", "POST /users/{id}/x"));
    for (name, of_client, of_server) in [
        ("http.request.method", Some("POST"), Some("POST")),
        ("http.response.status_code", Some("200"), Some("200")),
        ("http.route", None, Some("/users/{id}/x")),
        ("url.template", Some("/users/{id}/x"), None),
        ("url.path", Some("/users/7/x"), Some("/users/7/x")),
        ("url.query", Some("token=[masked]&q=1"), Some("token=[masked]&q=1")),
        ("url.full", Some("http://model.default.svc:8000/users/7/x?token=[masked]&q=1"), None),
        ("server.address", Some("model.default.svc"), Some("model.default.svc")),
        ("server.port", Some("8000"), Some("8000")),
        ("client.address", None, Some("10.0.0.2")),
        ("network.peer.address", Some("10.0.0.1"), Some("10.0.0.2")),
        ("network.peer.port", Some("8000"), Some("40000")),
        ("interceptor.peer.process.pid", None, Some("321")),
        ("interceptor.peer.container.id", Some("0123456789abcdef"), None),
        ("process.pid", None, None),
        ("timestamp", None, None),
        ("interceptor.complete", Some("true"), Some("true")),
    ] {
        assert_eq!(text(&client.attributes, name).as_deref(), of_client, "client: {name}");
        assert_eq!(text(&server.attributes, name).as_deref(), of_server, "server: {name}");
    }
}

#[test]
fn errors_are_those_of_the_side() {
    let cases = [(200, "", ""), (302, "", ""), (404, "404", ""), (503, "503", "503")];
    for (status, client, server) in cases {
        for (side, expected) in [(Side::Client, client), (Side::Server, server)] {
            let span = one(&with_status(status), side);
            let failed = span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
            assert_eq!(failed, !expected.is_empty(), "{side:?} {status}");
            assert_eq!(text(&span.attributes, "error.type").unwrap_or_default(), expected, "{side:?} {status}");
        }
    }
    let mut cut = Exchange { response: None, ..with_status(200) };
    cut.anomalies.insert(Anomaly::Reset);
    let span = one(&cut, Side::Server);
    assert_eq!(text(&span.attributes, "error.type").as_deref(), Some("reset"));
    assert_eq!(text(&span.attributes, "interceptor.anomalies").as_deref(), Some(r#"["reset"]"#));
    assert_eq!(span.end_time_unix_nano, sample::at(10_000).as_nanos());
}

#[test]
fn calls_are_named_by_their_method() {
    let span = one(&sample::call(), Side::Client);
    assert_eq!(span.name, "inference.GRPCInferenceService/ModelStreamInfer");
    assert_eq!(text(&span.attributes, "rpc.system.name").as_deref(), Some("grpc"));
    assert_eq!(text(&span.attributes, "rpc.method").as_deref(), Some(&*span.name));
    assert_eq!(text(&span.attributes, "rpc.response.status_code").as_deref(), Some("NOT_FOUND"));
    assert_eq!(text(&span.attributes, "error.type").as_deref(), Some("NOT_FOUND"));
    assert_eq!(span.status.map(|status| status.message).as_deref(), Some("no model"));
    assert_eq!(one(&sample::call(), Side::Server).status, None, "NOT_FOUND is no fault of the server's");
    assert!(!span.attributes.iter().any(|attribute| attribute.key.starts_with("http.")));
    let mut odd = sample::call();
    let fields = sample::fields(&[("content-type", "application/grpc")]);
    let head = crate::model::Head::request("POST", "/a b", crate::model::Version::Http2, fields);
    odd.request = odd.request.map(|part| Part { head, ..part });
    assert_eq!(one(&odd, Side::Server).name, "_OTHER");
}

#[test]
fn inferences_are_named_by_operation_and_model() {
    let span = one(&sample::chat(), Side::Client);
    assert_eq!(span.name, "chat llama");
    for (name, expected) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "openai"),
        ("gen_ai.request.model", "llama"),
        ("gen_ai.response.model", "llama-8b"),
        ("gen_ai.response.id", "chatcmpl-1"),
        ("gen_ai.usage.input_tokens", "12"),
        ("gen_ai.usage.output_tokens", "5"),
        ("gen_ai.response.finish_reasons", r#"["tool_calls"]"#),
        ("gen_ai.response.time_to_first_chunk", "0.25"),
    ] {
        assert_eq!(text(&span.attributes, name).as_deref(), Some(expected), "{name}");
    }
    let tabular = one(&sample::tabular(), Side::Server);
    assert_eq!(tabular.name, "infer iris");
    assert_eq!(text(&tabular.attributes, "error.type").as_deref(), Some("bad_input"));
    let mut long = sample::chat();
    long.inference.as_mut().unwrap().model = Some("x".repeat(1000));
    assert_eq!(one(&long, Side::Client).name, "chat");
}

#[test]
fn what_is_long_is_cut() {
    let target = format!("/{}", "é".repeat(5000));
    let exchange = Exchange { request: Some(sample::request("GET", &target, &[], b"")), ..sample::exchange() };
    let path = text(&one(&exchange, Side::Server).attributes, "url.path").unwrap();
    assert_eq!(path.len(), 4095, "between two characters");
}

fn traces(config: &Otlp) -> Traces {
    let settings = Settings::new(config, &|_| None);
    let target = settings.traces.clone().expect("there is an endpoint");
    Traces::new(&target, &settings, Limits::default()).expect("it is a good target")
}

fn config() -> Otlp {
    Otlp { endpoint: "http://localhost:4317".parse().unwrap(), ..Otlp::default() }
}

#[test]
fn spans_of_one_process_are_of_one_resource() {
    let flow = |pid: u32, id: u64| {
        let mut flow = sample::flow("10.0.0.2:40000", "10.0.0.1:8000");
        let process = Process { pid, command: "app".into() };
        flow.server = Peer { cookie: Some(1), process: Some(process), ..flow.server };
        flow.id = id;
        Arc::new(flow)
    };
    let exchange = |pid, id| Exchange { flow: flow(pid, id), ..sample::exchange() };
    let batch = [(7, 1), (8, 2), (7, 3)].map(|(pid, id)| Arc::new(Record::Exchange(Box::new(exchange(pid, id)))));
    let resource = ["deployment.environment.name=test", "host.name=node-1"];
    let config = Otlp { resource: resource.map(|pair| pair.parse().unwrap()).into(), ..config() };
    let request = traces(&config).request(&batch).encode_to_vec();
    let request = ExportTraceServiceRequest::decode(&*request).unwrap();
    let resources = &request.resource_spans;
    let spans: Vec<_> = resources.iter().map(|resource| resource.scope_spans[0].spans.len()).collect();
    assert_eq!(spans, [2, 1]);
    let attributes = &resources[0].resource.as_ref().unwrap().attributes;
    for (name, expected) in [
        ("service.name", "app"),
        ("process.pid", "7"),
        ("process.executable.name", "app"),
        ("host.name", "node-1"),
        ("deployment.environment.name", "test"),
    ] {
        assert_eq!(text(attributes, name).as_deref(), Some(expected), "{name}");
    }
    let scope = resources[0].scope_spans[0].scope.as_ref().unwrap();
    assert_eq!((&*scope.name, &*scope.version), ("interceptor", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_service_is_named_by_the_configuration_its_process_or_its_container() {
    let name = |config: &Otlp, exchange: Exchange, side: Side| {
        let traces = traces(config);
        let resource = traces.common.resource(&Entity::of(exchange.flow.peer(side)));
        text(&resource.attributes, "service.name").unwrap()
    };
    assert_eq!(name(&config(), sample::exchange(), Side::Client), "curl");
    assert_eq!(name(&config(), sample::exchange(), Side::Server), "0123456789ab");
    let nobody = Exchange { flow: Arc::new(sample::flow("1.1.1.1:1", "2.2.2.2:2")), ..sample::exchange() };
    assert_eq!(name(&config(), nobody, Side::Server), "unknown_service");
    let named = Otlp { service_name: "mine".into(), ..config() };
    assert_eq!(name(&named, sample::exchange(), Side::Client), "mine");
}

#[test]
fn only_what_is_sampled_is_wanted() {
    let wants = |exchange: Exchange, part| Traces::wants(&Record::Exchange(Box::new(exchange)), part);
    assert!(wants(traced(sample::exchange()), 0.0));
    assert!(!wants(sample::exchange(), 0.0));
    assert!(wants(sample::exchange(), 1.0));
    assert!(!wants(Exchange { request: None, ..sample::exchange() }, 1.0));
    assert!(!Traces::wants(&Record::Drift(Box::new(sample::drift())), 1.0));
}

/// Names of the conventions, with their version; names of our own begin otherwise.
#[test]
fn names_are_those_of_the_conventions() {
    let listed: BTreeSet<&str> = include_str!("../../../../../tests/semconv/attributes.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let exchanges = [sample::exchange(), with_status(500), sample::call(), sample::chat(), sample::tabular()];
    let traces = traces(&config());
    for exchange in &exchanges {
        for side in Side::BOTH {
            let span = one(exchange, side);
            let resource = traces.common.resource(&Entity::of(exchange.flow.peer(side)));
            for KeyValue { key, .. } in span.attributes.iter().chain(&resource.attributes) {
                let ours = key.starts_with("interceptor.") || key.starts_with("inference.");
                assert!(ours || listed.contains(&**key), "{key} is no name of the conventions");
            }
        }
    }
}
