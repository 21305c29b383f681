use std::{borrow::Cow, fmt, net::IpAddr};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    body::{Content, Encoding},
    fields::{FieldAttributes, PREFIXES},
};
use crate::{
    model::{Anomalies, Anomaly, Authority, Endpoint, Exchange, Part, Peer, Side, Target},
    sink::{
        clock::{Clock, Stamp},
        mask::Mask,
    },
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
    #[schemars(extend("enum" = ["1.0", "1.1"]))]
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
    /// Path of the target.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
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
    /// Status code of a client or server error, else the anomaly that cost the response.
    #[serde(rename = "error.type", skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'static, str>>,

    /// Which end `process.*` and `container.id` tell of: the client, if anything is known of it.
    #[serde(rename = "interceptor.process.side", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["client", "server"]))]
    side: Option<&'static str>,
    /// Process at that end.
    #[serde(rename = "process.pid", skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// Its command name (at most 15 bytes).
    #[serde(rename = "process.command", skip_serializing_if = "Option::is_none")]
    command: Option<&'a str>,
    /// Container at that end.
    #[serde(rename = "container.id", skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    /// Process at the other end.
    #[serde(rename = "interceptor.peer.process.pid", skip_serializing_if = "Option::is_none")]
    peer_pid: Option<u32>,
    /// Its command name.
    #[serde(rename = "interceptor.peer.process.command", skip_serializing_if = "Option::is_none")]
    peer_command: Option<&'a str>,
    /// Container at the other end.
    #[serde(rename = "interceptor.peer.container.id", skip_serializing_if = "Option::is_none")]
    peer_container: Option<&'a str>,
    /// Cookie of the client's socket, as in `ss -e`.
    #[serde(rename = "interceptor.client.socket.cookie", skip_serializing_if = "Option::is_none")]
    client_cookie: Option<u64>,
    /// Cookie of the server's socket.
    #[serde(rename = "interceptor.server.socket.cookie", skip_serializing_if = "Option::is_none")]
    server_cookie: Option<u64>,
    /// Cgroup id (inode of its directory) of the client's socket.
    #[serde(rename = "interceptor.client.cgroup.id", skip_serializing_if = "Option::is_none")]
    client_cgroup: Option<u64>,
    /// Cgroup id of the server's socket.
    #[serde(rename = "interceptor.server.cgroup.id", skip_serializing_if = "Option::is_none")]
    server_cgroup: Option<u64>,

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

    /// Content of the request, as far as kept, if asked for; content coding (gzip) is left as it is.
    #[serde(rename = "interceptor.request.body.content", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    request_body: Option<Content<'a>>,
    /// How it is written.
    #[serde(rename = "interceptor.request.body.encoding", skip_serializing_if = "Option::is_none")]
    request_encoding: Option<Encoding>,
    /// It is not the whole content.
    #[serde(rename = "interceptor.request.body.truncated", skip_serializing_if = "Option::is_none")]
    request_truncated: Option<bool>,
    /// Content of the response, as far as kept, if asked for.
    #[serde(rename = "interceptor.response.body.content", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    response_body: Option<Content<'a>>,
    /// How it is written.
    #[serde(rename = "interceptor.response.body.encoding", skip_serializing_if = "Option::is_none")]
    response_encoding: Option<Encoding>,
    /// It is not the whole content.
    #[serde(rename = "interceptor.response.body.truncated", skip_serializing_if = "Option::is_none")]
    response_truncated: Option<bool>,

    #[serde(flatten, skip_serializing_if = "FieldAttributes::is_empty")]
    fields: FieldAttributes<'a>,
}

/// What to put into a line beside what is always there.
#[derive(Clone, Copy)]
pub(super) struct Detail<'a> {
    pub(super) headers: bool,
    pub(super) bodies: bool,
    pub(super) mask: &'a Mask,
}

impl<'a> ExchangeLine<'a> {
    pub(super) fn new(exchange: &'a Exchange, clock: &mut Clock, detail: Detail<'a>) -> Self {
        let flow = &*exchange.flow;
        let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
        let target = request.map(Part::target).unwrap_or_default();
        let query = target.query.map(|query| detail.mask.query(query));
        let (method, method_original) = method(request.and_then(|part| part.head.method()));
        let start = request.or(response).map_or(flow.start, |part| part.first_byte);
        let status = response.and_then(|part| part.head.status());
        let (server_address, server_port) = server(target.authority, flow.server.endpoint);
        let Identity { side, this, other } = Identity::of(exchange);
        let content = |part: Option<&'a Part>| part.filter(|_| detail.bodies).and_then(Content::of);
        let (request_body, response_body) = (content(request), content(response));
        let kept = |part: Option<&Part>, body: Option<Content<'_>>| body.and(part).map(Part::body_cut);
        Self {
            timestamp: clock.stamp(start),
            duration: exchange.duration().map(|duration| duration.as_secs_f64()),
            complete: exchange.complete(),
            anomalies: exchange.anomalies,
            flow_id: flow.id,
            mid_stream: flow.joined,
            number: exchange.number,
            interim: exchange.interim,
            transport: "tcp",
            network_type: if flow.server.endpoint.ip().is_ipv4() { "ipv4" } else { "ipv6" },
            protocol: exchange.protocol.name(),
            version: request.or(response).map(|part| part.head.version.name()),
            client_address: flow.client.endpoint.ip(),
            client_port: flow.client.endpoint.port(),
            full: full_url(&target, query.clone(), method),
            server_address,
            server_port,
            peer_address: flow.server.endpoint.ip(),
            peer_port: flow.server.endpoint.port(),
            interface: flow.interface,
            method,
            method_original,
            scheme: target.path.map(|_| "http"),
            path: target.path,
            query,
            user_agent: request.and_then(|part| part.head.fields.get("user-agent")).map(String::from_utf8_lossy),
            request_size: request.map(Part::content_size),
            status,
            response_size: response.map(Part::content_size),
            error: error(status, exchange.anomalies),
            side,
            pid: this.and_then(|peer| peer.process.as_ref()).map(|process| process.pid),
            command: this.and_then(|peer| peer.process.as_ref()).map(|process| &*process.command),
            container: this.and_then(|peer| peer.container.as_deref()),
            peer_pid: other.and_then(|peer| peer.process.as_ref()).map(|process| process.pid),
            peer_command: other.and_then(|peer| peer.process.as_ref()).map(|process| &*process.command),
            peer_container: other.and_then(|peer| peer.container.as_deref()),
            client_cookie: flow.client.cookie,
            server_cookie: flow.server.cookie,
            client_cgroup: flow.client.cgroup,
            server_cgroup: flow.server.cgroup,
            request_last: request.map(|part| clock.stamp(part.last_byte)),
            response_first: response.map(|part| clock.stamp(part.first_byte)),
            response_last: response.map(|part| clock.stamp(part.last_byte)),
            request_missing: request.map(|part| part.body_missing).filter(|missing| *missing > 0),
            response_missing: response.map(|part| part.body_missing).filter(|missing| *missing > 0),
            request_encoding: request_body.map(Content::encoding),
            request_truncated: kept(request, request_body),
            request_body,
            response_encoding: response_body.map(Content::encoding),
            response_truncated: kept(response, response_body),
            response_body,
            fields: if detail.headers { fields(exchange, detail.mask) } else { FieldAttributes::none() },
        }
    }
}

/// Of which end the process attributes tell, and what is known of both.
struct Identity<'a> {
    side: Option<&'static str>,
    this: Option<&'a Peer>,
    other: Option<&'a Peer>,
}

impl<'a> Identity<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let known = |side| {
            let peer = exchange.flow.peer(side);
            (peer.process.is_some() || peer.container.is_some()).then_some(peer)
        };
        match (known(Side::Client), known(Side::Server)) {
            (Some(client), server) => Self { side: Some("client"), this: Some(client), other: server },
            (None, Some(server)) => Self { side: Some("server"), this: Some(server), other: None },
            (None, None) => Self { side: None, this: None, other: None },
        }
    }
}

/// The methods of RFC 9110 section 9.3 and RFC 5789 (and QUERY), by their name; any other as `_OTHER` and by its name.
fn method(sent: Option<&str>) -> (Option<&str>, Option<&str>) {
    match sent {
        Some("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" | "QUERY")
        | None => (sent, None),
        Some(other) => (Some("_OTHER"), Some(other)),
    }
}

fn server<'a>(named: Option<Authority<'a>>, endpoint: Endpoint) -> (Cow<'a, str>, u16) {
    match named {
        Some(Authority { host, port }) => (host.into(), port.unwrap_or(endpoint.port())),
        None => (endpoint.ip().to_string().into(), endpoint.port()),
    }
}

fn error(status: Option<u16>, anomalies: Anomalies) -> Option<Cow<'static, str>> {
    match status {
        Some(status @ 400..) => Some(status.to_string().into()),
        _ => [Anomaly::Reset, Anomaly::NoResponse, Anomaly::Truncated]
            .into_iter()
            .find(|anomaly| anomalies.contains(*anomaly))
            .map(|anomaly| anomaly.name().into()),
    }
}

fn fields<'a>(exchange: &'a Exchange, mask: &'a Mask) -> FieldAttributes<'a> {
    let mut attributes = FieldAttributes::none();
    let [request_header, response_header, request_trailer, response_trailer] = PREFIXES;
    if let Some(part) = &exchange.request {
        attributes.push(request_header, &part.head.fields, mask);
        attributes.push(request_trailer, &part.trailers, mask);
    }
    if let Some(part) = &exchange.response {
        attributes.push(response_header, &part.head.fields, mask);
        attributes.push(response_trailer, &part.trailers, mask);
    }
    attributes
}

/// A target put together again; written, never stored.
struct FullUrl<'a> {
    authority: Authority<'a>,
    path: &'a str,
    query: Option<Cow<'a, str>>,
}

fn full_url<'a>(target: &Target<'a>, query: Option<Cow<'a, str>>, method: Option<&str>) -> Option<FullUrl<'a>> {
    method?;
    Some(FullUrl { authority: target.authority?, path: target.path?, query })
}

impl fmt::Display for FullUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Authority { host, port } = self.authority;
        f.write_str("http://")?;
        if host.contains(':') {
            write!(f, "[{host}]")?
        } else {
            f.write_str(host)?
        }
        if let Some(port) = port {
            write!(f, ":{port}")?;
        }
        f.write_str(self.path)?;
        if let Some(query) = &self.query {
            f.write_str("?")?;
            f.write_str(query)?;
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn stamp<S: Serializer>(stamp: &Stamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stamp.as_str())
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn some_stamp<S: Serializer>(stamp: &Option<Stamp>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_some(&stamp.as_ref().map(Stamp::as_str))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn names<S: Serializer>(anomalies: &Anomalies, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(anomalies.iter().map(Anomaly::name))
}

#[expect(clippy::ref_option, reason = "serde's signature")]
fn display<S: Serializer>(full: &Option<FullUrl<'_>>, serializer: S) -> Result<S::Ok, S::Error> {
    match full {
        Some(full) => serializer.collect_str(full),
        None => serializer.serialize_none(),
    }
}
