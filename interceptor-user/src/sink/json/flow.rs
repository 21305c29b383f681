use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;

use super::line::{Identity, is_false, is_zero, names, stamp};
use crate::{
    model::{Anomalies, FlowEnd, FlowRecord, Protocol, SideLedger, TlsVersion},
    sink::clock::{Clock, Stamp},
};

/// A connection that is over, that carried something, and of which no exchange was decoded.
///
/// Keys are as those of an exchange. It is told by `interceptor.flow.end`, which no exchange has.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Flow", extend("additionalProperties" = false))]
pub struct FlowLine<'a> {
    /// When it was first seen. UTC.
    #[serde(serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Stamp,
    /// Seconds until it was over.
    #[schemars(range(min = 0))]
    duration: f64,
    /// All that it carried was captured, from the first byte to the last.
    complete: bool,
    /// What is odd about it.
    #[serde(serialize_with = "names")]
    #[schemars(schema_with = "super::schema::anomalies")]
    anomalies: Anomalies,

    /// Number of the flow (TCP connection) in this run; the first is 1.
    #[serde(rename = "interceptor.flow.id")]
    flow_id: u64,
    /// The flow is older than the capture; which end is the client is a guess.
    #[serde(rename = "interceptor.flow.mid_stream", skip_serializing_if = "is_false")]
    mid_stream: bool,
    /// Why it is over for us.
    #[serde(rename = "interceptor.flow.end")]
    #[schemars(schema_with = "ends")]
    end: &'static str,
    /// Payload bytes that TCP carried from the client.
    #[serde(rename = "interceptor.client.bytes")]
    client_bytes: u64,
    /// Payload bytes that TCP carried from the server.
    #[serde(rename = "interceptor.server.bytes")]
    server_bytes: u64,
    /// Bytes that the client sent and that were not captured because nobody wanted them.
    #[serde(rename = "interceptor.client.bytes_skipped", skip_serializing_if = "Option::is_none")]
    client_skipped: Option<u64>,
    /// Bytes that the server sent and that were not captured because nobody wanted them.
    #[serde(rename = "interceptor.server.bytes_skipped", skip_serializing_if = "Option::is_none")]
    server_skipped: Option<u64>,
    /// Of `interceptor.client.bytes`, those that were not captured.
    #[serde(rename = "interceptor.client.bytes_lost", skip_serializing_if = "Option::is_none")]
    client_lost: Option<u64>,
    /// Of `interceptor.server.bytes`, those that were not captured.
    #[serde(rename = "interceptor.server.bytes_lost", skip_serializing_if = "Option::is_none")]
    server_lost: Option<u64>,

    /// Transport protocol.
    #[serde(rename = "network.transport")]
    #[schemars(extend("const" = "tcp"))]
    transport: &'static str,
    /// Version of the internet protocol.
    #[serde(rename = "network.type")]
    #[schemars(extend("enum" = ["ipv4", "ipv6"]))]
    network_type: &'static str,
    /// Application protocol, guessed from the first bytes.
    #[serde(rename = "network.protocol.name", skip_serializing_if = "Option::is_none")]
    protocol: Option<&'static str>,
    /// Address of the end that opened the connection.
    #[serde(rename = "client.address")]
    client_address: IpAddr,
    /// Its port.
    #[serde(rename = "client.port")]
    client_port: u16,
    /// Address of the end that accepted the connection.
    #[serde(rename = "server.address")]
    server_address: IpAddr,
    /// Its port.
    #[serde(rename = "server.port")]
    server_port: u16,
    /// Index of the interface where the flow was first seen.
    #[serde(rename = "interceptor.interface.index", skip_serializing_if = "is_zero")]
    interface: u32,

    /// Whom the client asks for (SNI).
    #[serde(rename = "tls.client.server_name", skip_serializing_if = "Option::is_none")]
    server_name: Option<&'a str>,
    /// Application protocols that the client offers (ALPN).
    #[serde(rename = "interceptor.tls.offered_protocols", skip_serializing_if = "<[_]>::is_empty")]
    offered_protocols: &'a [Box<str>],
    /// The newest version that the client offers.
    #[serde(rename = "interceptor.tls.offered_version", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "versions")]
    offered_version: Option<&'static str>,
    /// Application protocol that the server chose; from TLS 1.3 on it is encrypted.
    #[serde(rename = "tls.next_protocol", skip_serializing_if = "Option::is_none")]
    next_protocol: Option<&'a str>,
    /// What the version is one of.
    #[serde(rename = "tls.protocol.name", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["ssl", "tls"]))]
    tls_name: Option<&'static str>,
    /// Version that the server chose.
    #[serde(rename = "tls.protocol.version", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "versions")]
    tls_version: Option<&'static str>,

    #[serde(flatten)]
    identity: Identity<'a>,
}

impl<'a> FlowLine<'a> {
    pub(super) fn new(record: &'a FlowRecord, clock: &mut Clock) -> Self {
        let (flow, ledger, tls) = (&*record.flow, &record.ledger, record.tls.as_deref());
        let version = tls.and_then(|hello| hello.version);
        let lost = |side: &SideLedger| Some(side.lost_total()).filter(|bytes| *bytes > 0);
        Self {
            timestamp: clock.stamp(flow.start),
            duration: record.time.since(flow.start).as_secs_f64(),
            complete: record.complete(),
            anomalies: record.oddities(),
            flow_id: flow.id,
            mid_stream: flow.joined,
            end: record.end.name(),
            client_bytes: ledger.client.carried,
            server_bytes: ledger.server.carried,
            client_skipped: Some(ledger.client.skipped()).filter(|bytes| *bytes > 0),
            server_skipped: Some(ledger.server.skipped()).filter(|bytes| *bytes > 0),
            client_lost: lost(&ledger.client),
            server_lost: lost(&ledger.server),
            transport: "tcp",
            network_type: if flow.server.endpoint.ip().is_ipv4() { "ipv4" } else { "ipv6" },
            protocol: Some(record.protocol).filter(|protocol| *protocol != Protocol::Unknown).map(Protocol::name),
            client_address: flow.client.endpoint.ip(),
            client_port: flow.client.endpoint.port(),
            server_address: flow.server.endpoint.ip(),
            server_port: flow.server.endpoint.port(),
            interface: flow.interface,
            server_name: tls.and_then(|hello| hello.server_name.as_deref()),
            offered_protocols: tls.map(|hello| &hello.offered[..]).unwrap_or_default(),
            offered_version: tls.and_then(|hello| hello.offered_version).map(TlsVersion::number),
            next_protocol: tls.and_then(|hello| hello.chosen.as_deref()),
            tls_name: version.map(TlsVersion::name),
            tls_version: version.map(TlsVersion::number),
            identity: Identity::of(flow),
        }
    }
}

fn ends(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "enum": FlowEnd::ALL.map(FlowEnd::name) })
}

fn versions(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "enum": ["3.0", "1.0", "1.1", "1.2", "1.3"] })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        model::{FlowInfo, LossReason, Record},
        sink::{
            Sink as _,
            json::{JsonSink, Options, schema},
            sample,
        },
    };

    fn lines(flow: FlowRecord) -> Vec<Value> {
        let mut out = Vec::new();
        let mut sink = JsonSink::new(&mut out, Options::default());
        sink.record(&Record::Flow(Box::new(flow))).expect("written");
        sink.flush().expect("written");
        let text = String::from_utf8(out).expect("UTF-8");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    #[test]
    fn the_sample_in_full() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&lines(sample::tls_flow())).expect("JSON"));
    }

    #[test]
    fn every_line_obeys_the_schema() {
        let schema = serde_json::from_str(&schema::exchange().expect("a schema")).expect("JSON");
        let schema = jsonschema::validator_for(&schema).expect("a valid schema");
        let mut lossy = FlowRecord { protocol: Protocol::Unknown, tls: None, ..sample::tls_flow() };
        lossy.flow = FlowInfo { joined: true, ..sample::flow("[2001:db8::2]:1", "[2001:db8::1]:2") }.into();
        lossy.ledger.client.lose(LossReason::NotSeen, 7);
        let mut old = sample::tls_flow();
        old.tls.as_mut().expect("a hello").version = Some(TlsVersion::Ssl30);
        for flow in [sample::tls_flow(), lossy, old] {
            let line = lines(flow).remove(0);
            let errors: Vec<_> = schema.iter_errors(&line).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{errors:?} in {line:#}");
            for (key, value) in [
                ("interceptor.flow.end", json!("tired")),
                ("tls.protocol.version", json!("1.9")),
                ("unknown", json!(1)),
            ] {
                let mut bad = line.clone();
                bad[key] = value;
                assert!(!schema.is_valid(&bad), "{key} is not checked");
            }
        }
    }

    #[test]
    fn what_exchanges_show_and_what_is_silent_has_no_line() {
        assert!(lines(FlowRecord { exchanges: 1, ..sample::tls_flow() }).is_empty());
        assert!(lines(FlowRecord { ledger: crate::model::Ledger::default(), ..sample::tls_flow() }).is_empty());
    }
}
