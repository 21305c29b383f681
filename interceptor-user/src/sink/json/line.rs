mod build;
mod contents;
mod identity;
mod inference;
mod rpc;
mod verdict;

use std::{borrow::Cow, fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

pub(in crate::sink) use self::build::method;
pub(super) use self::identity::Identity;
use self::{contents::Contents, inference::InferenceLine, rpc::RpcLine, verdict::VerdictLine};
use super::fields::FieldAttributes;
use crate::{
    model::{Anomalies, Anomaly, Authority},
    protobuf::Registry,
    sink::{clock::Stamp, mask::Mask},
};

/// One HTTP exchange, as its client sees it.
///
/// Keys are attribute names of OpenTelemetry's semantic conventions where one exists; the others begin with
/// `interceptor.`, except the four that frame an exchange: `timestamp`, `duration`, `complete` and `anomalies`.
/// A key whose value is unknown is left out.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Exchange", extend("additionalProperties" = false))]
pub struct ExchangeLine<'a> {
    /// When the first byte of the request was captured (of the response, where the request was not seen). UTC.
    #[serde(serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Stamp,
    /// Seconds from the first byte of the request to the last byte of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    duration: Option<f64>,
    /// Both messages were seen from their first byte to their last.
    complete: bool,
    /// What is odd about the exchange, or missing of it.
    #[serde(serialize_with = "names")]
    #[schemars(schema_with = "super::schema::anomalies")]
    anomalies: Anomalies,

    /// Number of the flow (TCP connection) in this run; the first is 1.
    #[serde(rename = "interceptor.flow.id")]
    flow_id: u64,
    /// The flow is older than the capture; which end is the client is a guess.
    #[serde(rename = "interceptor.flow.mid_stream", skip_serializing_if = "is_false")]
    mid_stream: bool,
    /// Number of the exchange in its flow; the first is 1.
    #[serde(rename = "interceptor.exchange.number")]
    number: u64,
    /// Number of the HTTP/2 stream that carried it.
    #[serde(rename = "interceptor.stream.id", skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    /// Who aborted that stream, by RST_STREAM or GOAWAY.
    #[serde(rename = "interceptor.stream.abort.by", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["client", "server"]))]
    abort_by: Option<&'static str>,
    /// With which error code: its name (RFC 9113 section 7), else its number.
    #[serde(rename = "interceptor.stream.abort.code", skip_serializing_if = "Option::is_none")]
    abort_code: Option<Cow<'static, str>>,
    /// Interim (1xx) responses before the final one.
    #[serde(rename = "interceptor.response.interim", skip_serializing_if = "is_zero")]
    interim: u32,

    /// Transport protocol.
    #[serde(rename = "network.transport")]
    #[schemars(extend("const" = "tcp"))]
    transport: &'static str,
    /// Version of the internet protocol.
    #[serde(rename = "network.type")]
    #[schemars(extend("enum" = ["ipv4", "ipv6"]))]
    network_type: &'static str,
    /// Application protocol.
    #[serde(rename = "network.protocol.name")]
    protocol: &'static str,
    /// Its version, as in the request (in the response, where the request was not seen).
    #[serde(rename = "network.protocol.version", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["1.0", "1.1", "2"]))]
    version: Option<&'static str>,

    /// Address of the end that opened the connection.
    #[serde(rename = "client.address")]
    client_address: IpAddr,
    /// Its port.
    #[serde(rename = "client.port")]
    client_port: u16,
    /// Host that the request names (Host field or target), else the address of the end that accepted the connection.
    #[serde(rename = "server.address")]
    server_address: Cow<'a, str>,
    /// Port that the request names, else the port of that end.
    #[serde(rename = "server.port")]
    server_port: u16,
    /// Address of the end that accepted the connection.
    #[serde(rename = "network.peer.address")]
    peer_address: IpAddr,
    /// Its port.
    #[serde(rename = "network.peer.port")]
    peer_port: u16,
    /// Index of the interface where the flow was first seen.
    #[serde(rename = "interceptor.interface.index", skip_serializing_if = "is_zero")]
    interface: u32,

    /// Method, or `_OTHER` where it is none of the registered ones.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    /// The method as sent, where `http.request.method` is `_OTHER`.
    #[serde(rename = "http.request.method_original", skip_serializing_if = "Option::is_none")]
    method_original: Option<&'a str>,
    /// Scheme of the target.
    #[serde(rename = "url.scheme", skip_serializing_if = "Option::is_none")]
    scheme: Option<&'static str>,
    /// Path of the target; values of sensitive parameters (`;jsessionid=`) are '[masked]' unless asked for by name.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,
    /// Query of the target; values of sensitive parameters are '[masked]' unless asked for by name.
    #[serde(rename = "url.query", skip_serializing_if = "Option::is_none")]
    query: Option<Cow<'a, str>>,
    /// The whole target, where the request names a host.
    #[serde(rename = "url.full", serialize_with = "display", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    full: Option<FullUrl<'a>>,
    /// User-Agent field.
    #[serde(rename = "user_agent.original", skip_serializing_if = "Option::is_none")]
    user_agent: Option<Cow<'a, str>>,
    /// Content bytes of the request that TCP carried, transfer coding removed.
    #[serde(rename = "http.request.body.size", skip_serializing_if = "Option::is_none")]
    request_size: Option<u64>,
    /// Status code of the final response.
    #[serde(rename = "http.response.status_code", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 999))]
    status: Option<u16>,
    /// Content bytes of the response that TCP carried, transfer coding removed.
    #[serde(rename = "http.response.body.size", skip_serializing_if = "Option::is_none")]
    response_size: Option<u64>,
    /// gRPC status where it is not OK, else status code of a client or server error, else the anomaly that cost the response.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'static, str>>,

    #[serde(flatten)]
    rpc: RpcLine<'a>,
    #[serde(flatten)]
    identity: Identity<'a>,

    /// When the last byte of the request was captured.
    #[serde(
        rename = "interceptor.request.last_byte",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    request_last: Option<Stamp>,
    /// When the first byte of the response was captured.
    #[serde(
        rename = "interceptor.response.first_byte",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    response_first: Option<Stamp>,
    /// When the last byte of the response was captured.
    #[serde(
        rename = "interceptor.response.last_byte",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    response_last: Option<Stamp>,
    /// Content bytes of the request that were carried and not captured.
    #[serde(rename = "interceptor.request.body.missing", skip_serializing_if = "Option::is_none")]
    request_missing: Option<u64>,
    /// Content bytes of the response that were carried and not captured.
    #[serde(rename = "interceptor.response.body.missing", skip_serializing_if = "Option::is_none")]
    response_missing: Option<u64>,
    /// Content bytes of the request that were not captured because nobody wanted them.
    #[serde(rename = "interceptor.request.body.skipped", skip_serializing_if = "Option::is_none")]
    request_skipped: Option<u64>,
    /// Content bytes of the response that were not captured because nobody wanted them.
    #[serde(rename = "interceptor.response.body.skipped", skip_serializing_if = "Option::is_none")]
    response_skipped: Option<u64>,

    #[serde(flatten)]
    inference: InferenceLine<'a>,
    #[serde(flatten)]
    verdict: VerdictLine<'a>,
    #[serde(flatten)]
    contents: Contents<'a>,
    #[serde(flatten, skip_serializing_if = "FieldAttributes::is_empty")]
    fields: FieldAttributes<'a>,
}

/// What to put into a line beside what is always there.
#[derive(Clone, Copy)]
pub(super) struct Detail<'a> {
    pub(super) headers: bool,
    pub(super) bodies: bool,
    /// Messages have lines of their own.
    pub(super) messages: bool,
    pub(super) mask: &'a Mask,
    pub(super) registry: &'a Registry,
}

/// A target put together again; written, never stored.
struct FullUrl<'a> {
    authority: Authority<'a>,
    path: Cow<'a, str>,
    query: Option<Cow<'a, str>>,
}

impl fmt::Display for FullUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)?;
        if let Some(query) = &self.query {
            f.write_str("?")?;
            f.write_str(query)?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero_u64(value: &u64) -> bool {
    *value == 0
}

pub(super) fn stamp<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stamp.as_str())
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn some_stamp<S: Serializer>(stamp: &Option<Stamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&stamp.as_ref().map(Stamp::as_str))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(super) fn names<S: Serializer>(anomalies: &Anomalies, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(anomalies.iter().map(Anomaly::name))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn display<S: Serializer>(full: &Option<FullUrl<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    match full {
        Some(full) => serializer.collect_str(full),
        None => serializer.serialize_none(),
    }
}
