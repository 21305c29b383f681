use schemars::JsonSchema;
use serde::Serialize;

use super::line::stamp;
use crate::{
    model::EdgeRecord,
    sink::clock::{Clock, Stamp},
};

/// Who called whom in an interval, and how that went: an edge of the service map. It is told by
/// `interceptor.edge.client.name`, which no other line has.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Edge", extend("additionalProperties" = false))]
pub struct EdgeLine<'a> {
    /// When the interval was over; of the last one, when the last thing in it was. UTC.
    #[serde(serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Stamp,
    /// When it began. UTC.
    #[serde(rename = "interceptor.edge.start", serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    start: Stamp,
    /// What the client is.
    #[serde(rename = "interceptor.edge.client.kind")]
    #[schemars(extend("enum" = ["pod", "container", "process", "address", "network", "other"]))]
    client_kind: &'static str,
    /// Its name, which no other end has.
    #[serde(rename = "interceptor.edge.client.name")]
    client: &'a str,
    /// What the server is.
    #[serde(rename = "interceptor.edge.server.kind")]
    #[schemars(extend("enum" = ["pod", "container", "process", "address", "network", "other"]))]
    server_kind: &'static str,
    /// Its name, which no other end has.
    #[serde(rename = "interceptor.edge.server.name")]
    server: &'a str,
    /// The server's port; left out where several were folded.
    #[serde(rename = "server.port", skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    /// What was spoken: `http`, `grpc`, `websocket`, `tls`, `postgresql` and the like; `opaque` is not known.
    #[serde(rename = "network.protocol.name")]
    protocol: &'static str,
    /// Model that was asked; `other` where there were too many.
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// Exchanges that were over in the interval.
    #[serde(rename = "interceptor.edge.exchanges")]
    exchanges: u64,
    /// Of them, those that failed: a status of 5xx, a gRPC status that is the server's fault, no response, an error of the model.
    #[serde(rename = "interceptor.edge.errors")]
    errors: u64,
    /// Connections that were over in the interval and that no exchange shows.
    #[serde(rename = "interceptor.edge.connections")]
    connections: u64,
    /// Content bytes of requests; of connections all that the client sent.
    #[serde(rename = "interceptor.edge.client.bytes")]
    client_bytes: u64,
    /// Content bytes of responses; of connections all that the server sent.
    #[serde(rename = "interceptor.edge.server.bytes")]
    server_bytes: u64,
    /// Seconds that half of the exchanges did not exceed, exact to 1/16.
    #[serde(rename = "interceptor.edge.duration.p50", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    p50: Option<f64>,
    /// Seconds that 99 of 100 did not exceed, exact to 1/16.
    #[serde(rename = "interceptor.edge.duration.p99", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    p99: Option<f64>,
}

impl<'a> EdgeLine<'a> {
    pub(super) fn new(record: &'a EdgeRecord, clock: &mut Clock) -> Self {
        Self {
            timestamp: clock.stamp(record.end),
            start: clock.stamp(record.start),
            client_kind: record.client.kind,
            client: &record.client.name,
            server_kind: record.server.kind,
            server: &record.server.name,
            port: record.port,
            protocol: record.protocol,
            model: record.model.as_deref(),
            exchanges: record.exchanges,
            errors: record.errors,
            connections: record.connections,
            client_bytes: record.client_bytes,
            server_bytes: record.server_bytes,
            p50: record.p50.map(|duration| duration.as_secs_f64()),
            p99: record.p99.map(|duration| duration.as_secs_f64()),
        }
    }
}
