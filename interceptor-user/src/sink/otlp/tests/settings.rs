use std::{collections::HashMap, time::Duration};

use crate::{
    config::{Otlp, OtlpCompression, OtlpEndpoint, OtlpProtocol, OtlpSignal, Pair, Period},
    sink::otlp::{Protocol, Settings, Target},
};

fn settings(config: &Otlp, variables: &[(&str, &str)]) -> Settings {
    let variables: HashMap<_, _> = variables.iter().copied().collect();
    Settings::new(config, &|name| variables.get(name).map(|value| (*value).to_owned()))
}

fn ours(endpoint: &str) -> Otlp {
    Otlp { endpoint: OtlpEndpoint(endpoint.to_owned()), ..Otlp::default() }
}

fn place(target: Option<Target>) -> Option<(Protocol, String)> {
    target.map(|target| (target.protocol, target.url))
}

fn at(protocol: Protocol, url: &str) -> (Protocol, String) {
    (protocol, url.to_owned())
}

#[test]
fn nothing_is_sent_unless_it_is_asked_for() {
    let none = settings(&Otlp::default(), &[]);
    assert!(none.traces.is_none() && none.metrics.is_none() && none.logs.is_none());
    let disabled =
        settings(&Otlp::default(), &[("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317")]);
    assert!(disabled.traces.is_none());
    let some = Otlp { signals: vec![OtlpSignal::Logs], ..ours("http://c:4317") };
    let some = settings(&some, &[]);
    assert!(some.traces.is_none() && some.metrics.is_none() && some.logs.is_some());
}

#[test]
fn endpoints_are_read_as_the_specification_says() {
    use Protocol::{Grpc, Http};
    let general = |url| settings(&ours(url), &[]);
    assert_eq!(place(general("http://c:4317").traces), Some(at(Grpc, "http://c:4317")));
    assert_eq!(place(general("http://c:4318").traces), Some(at(Http, "http://c:4318/v1/traces")));
    assert_eq!(place(general("https://c/otlp").logs), Some(at(Http, "https://c/otlp/v1/logs")));
    let grpc = Otlp { protocol: OtlpProtocol::Grpc, ..ours("http://c:4318/x") };
    assert_eq!(place(settings(&grpc, &[]).metrics), Some(at(Grpc, "http://c:4318")));

    let variables = |given: &[(&str, &str)]| settings(&Otlp::default(), given);
    let both = variables(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://t:9/own/path"),
        ("OTEL_METRICS_EXPORTER", "none"),
    ]);
    assert_eq!(place(both.traces), Some(at(Http, "http://t:9/own/path")));
    assert_eq!(place(both.logs), Some(at(Http, "http://c:4318/v1/logs")));
    assert!(both.metrics.is_none());
    let asked = variables(&[("OTEL_TRACES_EXPORTER", "otlp")]);
    assert_eq!(place(asked.traces), Some(at(Grpc, "http://localhost:4317")));
    let http = variables(&[("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")]);
    assert_eq!(place(http.logs), Some(at(Http, "http://localhost:4318/v1/logs")));
    let secret = variables(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://user:hunter2@c:4317")]);
    assert!(secret.traces.is_none() && !secret.warnings.is_empty());
    assert!(secret.warnings.iter().all(|warning| !warning.contains("hunter2")), "{:?}", secret.warnings);
    let bare = [("OTEL_EXPORTER_OTLP_ENDPOINT", "c:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
    assert_eq!(place(variables(&bare).logs), Some(at(Grpc, "http://c:4317")));
    assert_eq!(place(variables(&bare[..1]).logs), Some(at(Grpc, "https://c:4317")));
    let protocol = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:1"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
    ];
    assert_eq!(place(variables(&protocol).traces), Some(at(Http, "http://c:1/v1/traces")));
    assert_eq!(place(variables(&protocol).logs), Some(at(Grpc, "http://c:1")));
}

#[test]
fn ours_is_above_the_standard_variables_and_what_they_say_wrong_is_told() {
    let variables = [
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Bearer%20abc,x-a=1"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_SERVICE_NAME", "named"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
    ];
    let read = settings(&ours("http://c:4317"), &variables);
    let target = read.traces.expect("is on");
    assert_eq!(
        target.headers,
        [("authorization".to_owned(), "Bearer abc".to_owned()), ("x-a".to_owned(), "1".to_owned())]
    );
    assert_eq!((target.timeout, target.gzip), (Duration::from_millis(2500), true));
    assert_eq!(read.service_name.as_deref(), Some("named"));
    assert_eq!(read.resource, [("deployment.environment.name".to_owned(), "test".to_owned())]);
    assert_eq!(read.metrics_interval, Duration::from_secs(15));
    assert_eq!(read.warnings, Vec::<String>::new());

    let config = Otlp {
        headers: vec![Pair { name: "X-A".to_owned(), value: "2".to_owned() }],
        timeout: Period(Duration::from_secs(1)),
        compression: OtlpCompression::Gzip,
        service_name: "ours".to_owned(),
        ..ours("http://c:4317")
    };
    let read = settings(&config, &variables);
    let target = read.traces.expect("is on");
    assert_eq!(target.headers.last(), Some(&("x-a".to_owned(), "2".to_owned())));
    assert_eq!((target.timeout, read.service_name.as_deref()), (Duration::from_secs(1), Some("ours")));

    let wrong = [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
    ];
    let read = settings(&Otlp { signals: vec![OtlpSignal::Traces], ..ours("http://c:4317") }, &wrong);
    assert_eq!(read.warnings.len(), 4, "{:?}", read.warnings);
    assert!(read.warnings.iter().all(|warning| !warning.contains("secret")));
    assert_eq!(read.traces.map(|target| target.timeout), Some(Duration::from_secs(10)));
}
