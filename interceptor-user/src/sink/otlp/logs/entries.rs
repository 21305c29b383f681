use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    logs::v1::{LogRecord, SeverityNumber},
};
use serde_json::{Map, Value};

use crate::{
    model::{
        Anomaly, DriftRecord, EdgeRecord, Exchange, Finding, InspectorName, Role, RuleVerdict, Side, Timestamp, Would,
    },
    sink::{
        json::Said,
        otlp::{attributes, trace::ids::Trace},
    },
};

/// What each record says of its exchange; the span has the rest.
const OF_EXCHANGE: [&str; 16] = [
    "interceptor.flow.id",
    "interceptor.exchange.number",
    "client.address",
    "client.port",
    "server.address",
    "server.port",
    "network.protocol.name",
    "network.protocol.version",
    "http.request.method",
    "http.response.status_code",
    "url.path",
    "rpc.method",
    "rpc.response.status_code",
    "gen_ai.operation.name",
    "gen_ai.request.model",
    "inference.tenant.unverified",
];

/// It is not whole, or something about it is odd.
pub(super) fn is_odd(exchange: &Exchange) -> bool {
    !exchange.anomalies.is_empty() || !exchange.complete()
}

/// A record for each finding, for each rule that would have done something, and for what is odd.
pub(super) fn of_exchange(exchange: &Exchange, side: Side, sample: f64, said: &mut Said) -> Vec<LogRecord> {
    let mut line = said.exchange(exchange);
    let mut take = |name: &str| match line.remove(name) {
        Some(Value::Array(values)) => values,
        _ => Vec::new(),
    };
    let (findings, rules) = (take("interceptor.findings"), take("interceptor.policy.rules"));
    let common: Vec<KeyValue> =
        OF_EXCHANGE.iter().filter_map(|name| attributes::plain((*name).to_owned(), line.remove(*name)?)).collect();
    let base = LogRecord { attributes: common, ..linked(exchange, side, sample) };
    let mut records = Vec::new();
    let Some(verdict) = exchange.verdict.as_deref() else { return odd(exchange, line, base).into_iter().collect() };
    for (finding, members) in verdict.findings.iter().zip(findings) {
        let Value::Object(members) = members else { continue };
        let members = members.into_iter().map(|(name, value)| (format!("interceptor.finding.{name}"), value));
        let of = LogRecord { event_name: "interceptor.finding".to_owned(), ..base.clone() };
        records.push(record(of, weight(finding.inspector), finding_text(finding), members));
    }
    for (rule, _) in verdict.rules.iter().zip(rules) {
        let Some(would) = &rule.would else { continue };
        records.push(would_have(rule, would, base.clone()));
    }
    records.extend(odd(exchange, line, base));
    records
}

/// When, and to which span it belongs.
fn linked(exchange: &Exchange, side: Side, sample: f64) -> LogRecord {
    let last = exchange.response.as_ref().or(exchange.request.as_ref());
    let mut record = at(last.map_or(exchange.flow.start, |part| part.last_byte));
    if let Some(trace) = Trace::of(exchange) {
        record.trace_id = trace.id.to_vec();
        record.span_id = trace.span(side).to_vec();
        record.flags = u32::from(trace.is_sampled(sample));
    }
    record
}

fn at(time: Timestamp) -> LogRecord {
    let time = time.as_nanos();
    LogRecord { time_unix_nano: time, observed_time_unix_nano: time, ..LogRecord::default() }
}

fn record(
    base: LogRecord,
    severity: SeverityNumber,
    body: String,
    more: impl Iterator<Item = (String, Value)>,
) -> LogRecord {
    let mut record = base;
    record.attributes.extend(more.filter_map(|(name, value)| attributes::whole(name, value)));
    record.severity_number = severity as i32;
    record.severity_text.push_str(if severity == SeverityNumber::Warn { "WARN" } else { "INFO" });
    record.body = Some(attributes::any_text(body));
    record
}

const fn warn_if(is_so: bool) -> SeverityNumber {
    if is_so { SeverityNumber::Warn } else { SeverityNumber::Info }
}

/// How it was carried may be odd without harm; what was asked for by name and found is worth a warning.
const fn weight(inspector: InspectorName) -> SeverityNumber {
    warn_if(!matches!(inspector, InspectorName::Transport))
}

fn finding_text(finding: &Finding) -> String {
    let Finding { inspector, kind, role, place, text, count, .. } = finding;
    let mut said = format!("{}: {kind}", inspector.name());
    if let Some(role) = role {
        said = format!("{said} in the {}", role.name());
    }
    if !place.is_empty() {
        said = format!("{said} at {place}");
    }
    if *count > 1 {
        said = format!("{said}, {count} times");
    }
    if text.is_empty() { said } else { format!("{said}: {text}") }
}

fn would_have(rule: &RuleVerdict, would: &Would, base: LogRecord) -> LogRecord {
    let of = LogRecord { event_name: format!("interceptor.{}", would.name()), ..base };
    let body = match &*would.detail {
        "" => format!("{} {} {}", rule.rule, would.name(), would.action),
        detail => format!("{} {} {}: {detail}", rule.rule, would.name(), would.action),
    };
    let more = [
        ("interceptor.policy.rule", &*rule.rule),
        ("interceptor.policy.would.action", would.action),
        ("interceptor.policy.would.detail", &*would.detail),
    ];
    let more = more.into_iter().filter(|(_, value)| !value.is_empty());
    let stops = matches!(would.action, "deny" | "break");
    record(of, warn_if(stops), body, more.map(|(name, value)| (name.to_owned(), value.into())))
}

fn odd(exchange: &Exchange, mut line: Map<String, Value>, base: LogRecord) -> Option<LogRecord> {
    if !is_odd(exchange) {
        return None;
    }
    let names: Vec<&str> = exchange.anomalies.iter().map(Anomaly::name).collect();
    let (complete, event) = if exchange.complete() {
        ("complete", "interceptor.anomaly")
    } else {
        ("incomplete", "interceptor.incomplete")
    };
    let body = if names.is_empty() { complete.to_owned() } else { format!("{complete}: {}", names.join(", ")) };
    let more =
        [("complete", "interceptor.complete"), ("anomalies", "interceptor.anomalies"), ("error.type", "error.type")];
    let more = more.into_iter().filter_map(|(name, ours)| Some((ours.to_owned(), line.remove(name)?)));
    let of = LogRecord { event_name: event.to_owned(), ..base };
    Some(record(of, warn_if(!exchange.complete()), body, more.collect::<Vec<_>>().into_iter()))
}

/// A feature in a window.
pub(super) fn of_drift(drift: &DriftRecord, said: &mut Said) -> LogRecord {
    let what = if drift.role == Role::Request { "input" } else { "output" };
    let model = drift.model.as_deref().unwrap_or("a model without a name");
    let found = match (drift.drifted, drift.test) {
        (true, _) => "drift",
        (false, Some(_)) => "no drift",
        (false, None) => "too few values to tell drift",
    };
    let mut body = format!("{found} in {what} {} of {model}", drift.feature);
    if let (Some(test), Some(score)) = (drift.test, drift.score) {
        body = format!("{body}: {} {score} (threshold {})", test.name(), drift.threshold);
    }
    let members = said.drift(drift).into_iter().filter(|(name, _)| name != "timestamp");
    let of = LogRecord { event_name: "interceptor.drift".to_owned(), ..at(drift.end) };
    record(of, warn_if(drift.drifted), body, members)
}

/// Who called whom in an interval.
pub(super) fn of_edge(edge: &EdgeRecord, said: &mut Said) -> LogRecord {
    let count = if edge.exchanges > 0 {
        format!("{} exchanges, {} failed", edge.exchanges, edge.errors)
    } else {
        format!("{} connections", edge.connections)
    };
    let body = format!("{} called {}: {count}", edge.client.name, edge.server.name);
    let members = said.edge(edge).into_iter().filter(|(name, _)| name != "timestamp");
    let of = LogRecord { event_name: "interceptor.edge".to_owned(), ..at(edge.end) };
    record(of, warn_if(false), body, members)
}
