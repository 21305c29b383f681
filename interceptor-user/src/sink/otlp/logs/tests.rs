use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    logs::v1::SeverityNumber,
};

use super::*;
use crate::{
    config::Otlp,
    model::{Anomaly, DriftRecord},
    sink::{otlp::trace::ids::Trace, sample},
};

fn logs() -> Logs {
    let config = Otlp { endpoint: "http://localhost:4317".parse().unwrap(), ..Otlp::default() };
    let settings = Settings::new(&config, &|_| None);
    Logs::new(settings.logs.as_ref().unwrap(), &settings).unwrap()
}

fn records(record: Record) -> Vec<LogRecord> {
    let request = logs().request(&[Arc::new(record)]);
    request
        .resource_logs
        .into_iter()
        .flat_map(|resource| resource.scope_logs)
        .flat_map(|scope| scope.log_records)
        .collect()
}

fn of(exchange: &Exchange) -> Vec<LogRecord> {
    records(Record::Exchange(Box::new(exchange.clone())))
}

fn body(record: &LogRecord) -> &str {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn shown(attributes: &[KeyValue], name: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()?;
    Some(match value {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

#[test]
fn findings_and_what_a_policy_would_have_done_are_records() {
    let exchange = sample::chat();
    let all = of(&exchange);
    let said: Vec<_> = all.iter().map(|record| (&*record.event_name, body(record), record.severity_number)).collect();
    let [info, warn] = [SeverityNumber::Info, SeverityNumber::Warn].map(|severity| severity as i32);
    assert_eq!(
        said,
        [
            ("interceptor.finding", "pii: EMAIL_ADDRESS in the request at $.messages[0].content, 2 times", warn),
            ("interceptor.finding", "transport: bare_lf: parsers may disagree", info),
            ("interceptor.would", "audit/keys would deny: 401", warn),
        ]
    );
    for (name, expected) in [
        ("interceptor.finding.kind", "EMAIL_ADDRESS"),
        ("interceptor.finding.masked", "a**@e******.com"),
        ("interceptor.finding.count", "2"),
        ("interceptor.finding.rule", "audit/prompts"),
        ("gen_ai.request.model", "llama"),
        ("http.request.method", "POST"),
        ("interceptor.exchange.number", "3"),
    ] {
        assert_eq!(shown(&all[0].attributes, name).as_deref(), Some(expected), "{name}");
    }
    assert_eq!(shown(&all[2].attributes, "interceptor.policy.rule").as_deref(), Some("audit/keys"));
    assert_eq!(shown(&all[2].attributes, "interceptor.policy.would.action").as_deref(), Some("deny"));
}

#[test]
fn records_belong_to_the_span_of_their_exchange() {
    let exchange = sample::chat();
    let trace = Trace::of(&exchange).unwrap();
    let record = &of(&exchange)[0];
    assert_eq!((&record.trace_id, &record.span_id), (&trace.id.to_vec(), &trace.span(Side::Client).to_vec()));
    assert_eq!((record.flags, record.time_unix_nano), (1, sample::at(3_210_000).as_nanos()));
    let unsampled = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")];
    let unsampled = Exchange { request: Some(sample::request("GET", "/", &unsampled, b"")), ..exchange };
    assert_eq!(of(&unsampled)[0].flags, 0);
}

#[test]
fn what_is_odd_or_incomplete_is_a_record() {
    assert!(of(&sample::exchange()).is_empty());
    let mut odd = sample::exchange();
    odd.anomalies.insert(Anomaly::BareLf);
    let mut cut = Exchange { response: None, ..sample::exchange() };
    cut.anomalies.insert(Anomaly::Reset);
    cut.anomalies.insert(Anomaly::NoResponse);
    for (exchange, event, text, severity) in [
        (&odd, "interceptor.anomaly", "complete: bare_lf", SeverityNumber::Info),
        (&cut, "interceptor.incomplete", "incomplete: reset, no_response", SeverityNumber::Warn),
    ] {
        let all = of(exchange);
        let [record] = &*all else { panic!("{all:?}") };
        assert_eq!((&*record.event_name, body(record), record.severity_number), (event, text, severity as i32));
        let complete = shown(&record.attributes, "interceptor.complete");
        assert_eq!(complete, Some(exchange.complete().to_string()));
    }
    let unknown = Exchange { request: None, ..cut };
    assert_eq!(of(&unknown)[0].trace_id.len(), 0, "without a request there is no span");
}

#[test]
fn drift_is_a_record_of_ours() {
    let drifted = Record::Drift(Box::new(sample::drift()));
    let request = logs().request(&[Arc::new(drifted.clone())]);
    let resource = request.resource_logs[0].resource.as_ref().unwrap();
    assert_eq!(shown(&resource.attributes, "service.name").as_deref(), Some("interceptor"));
    let record = &records(drifted)[0];
    assert_eq!(body(record), "drift in input x[0] of iris: ks 0.001 (threshold 0.05)");
    assert_eq!((&*record.severity_text, record.time_unix_nano), ("WARN", sample::at(1_000_000_000).as_nanos()));
    assert_eq!(shown(&record.attributes, "inference.drift.feature").as_deref(), Some("x[0]"));
    let few = DriftRecord { drifted: false, test: None, score: None, ..sample::drift() };
    let record = &records(Record::Drift(Box::new(few)))[0];
    assert_eq!((&*record.severity_text, body(record)), ("INFO", "too few values to tell drift in input x[0] of iris"));
}

#[test]
fn only_what_there_is_something_to_say_of_is_wanted() {
    let wants = |exchange: Exchange| Logs::wants(&Record::Exchange(Box::new(exchange)));
    assert!(!wants(sample::exchange()));
    assert!(wants(sample::chat()));
    assert!(wants(Exchange { response: None, ..sample::exchange() }));
    assert!(Logs::wants(&Record::Drift(Box::new(sample::drift()))));
    assert!(!Logs::wants(&Record::Flow(Box::new(sample::tls_flow()))));
}
