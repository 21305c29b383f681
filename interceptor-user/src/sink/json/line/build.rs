use std::borrow::Cow;

use super::{Contents, Detail, ExchangeLine, FullUrl, Identity, InferenceLine, RpcLine, VerdictLine};
use crate::{
    model::{Abort, Anomalies, Anomaly, Authority, Endpoint, Exchange, Part, Target},
    sink::{
        clock::Clock,
        json::fields::{FieldAttributes, PREFIXES},
        mask::Mask,
    },
};

impl<'a> ExchangeLine<'a> {
    pub(in crate::sink::json) fn new(exchange: &'a Exchange, clock: &mut Clock, detail: Detail<'a>) -> Self {
        let flow = &*exchange.flow;
        let (request, response) = (exchange.request.as_ref(), exchange.response.as_ref());
        let target = request.map(Part::target).unwrap_or_default();
        let query = target.query.map(|query| detail.mask.query(query));
        let path = target.path.map(|path| detail.mask.path(path));
        let (method, method_original) = method(request.and_then(|part| part.head.method()));
        let start = request.or(response).map_or(flow.start, |part| part.first_byte);
        let status = response.and_then(|part| part.head.status());
        let (server_address, server_port) = server(target.authority, flow.server.endpoint);
        let rpc = RpcLine::of(exchange, detail);
        Self {
            timestamp: clock.stamp(start),
            duration: exchange.duration().map(|duration| duration.as_secs_f64()),
            complete: exchange.complete(),
            anomalies: exchange.anomalies,
            flow_id: flow.id,
            mid_stream: flow.joined,
            number: exchange.number,
            stream: exchange.stream,
            abort_by: exchange.abort.map(Abort::by_name),
            abort_code: exchange.abort.map(Abort::code_text),
            interim: exchange.interim,
            transport: "tcp",
            network_type: if flow.server.endpoint.ip().is_ipv4() { "ipv4" } else { "ipv6" },
            protocol: exchange.protocol.name(),
            version: request.or(response).map(|part| part.head.version.name()),
            client_address: flow.client.endpoint.ip(),
            client_port: flow.client.endpoint.port(),
            full: full_url(&target, path.clone(), query.clone(), method),
            server_address,
            server_port,
            peer_address: flow.server.endpoint.ip(),
            peer_port: flow.server.endpoint.port(),
            interface: flow.interface,
            method,
            method_original,
            scheme: target.path.map(|_| "http"),
            path,
            query,
            user_agent: request.and_then(|part| part.head.fields.get("user-agent")).map(String::from_utf8_lossy),
            request_size: request.map(Part::content_size),
            status,
            response_size: response.map(Part::content_size),
            error: rpc.error().or_else(|| error(status, exchange.anomalies)),
            rpc,
            identity: Identity::of(flow),
            request_last: request.map(|part| clock.stamp(part.last_byte)),
            response_first: response.map(|part| clock.stamp(part.first_byte)),
            response_last: response.map(|part| clock.stamp(part.last_byte)),
            request_missing: request.map(|part| part.body_missing).filter(|missing| *missing > 0),
            response_missing: response.map(|part| part.body_missing).filter(|missing| *missing > 0),
            request_skipped: request.map(|part| part.body_skipped).filter(|skipped| *skipped > 0),
            response_skipped: response.map(|part| part.body_skipped).filter(|skipped| *skipped > 0),
            inference: InferenceLine::of(exchange, detail),
            verdict: VerdictLine::of(exchange),
            contents: Contents::of(exchange, clock, detail),
            fields: if detail.headers { fields(exchange, detail.mask) } else { FieldAttributes::none() },
        }
    }
}

/// The methods of RFC 9110 section 9.3 and RFC 5789 (and QUERY), by their name; any other as `_OTHER` and by its name.
pub(in crate::sink) fn method(sent: Option<&str>) -> (Option<&str>, Option<&str>) {
    match sent {
        Some("GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" | "QUERY")
        | None => (sent, None),
        Some(other) => (Some("_OTHER"), Some(other)),
    }
}

fn server(named: Option<Authority<'_>>, endpoint: Endpoint) -> (Cow<'_, str>, u16) {
    match named {
        Some(Authority { host, port }) => (host.into(), port.unwrap_or(endpoint.port())),
        None => (endpoint.ip().to_string().into(), endpoint.port()),
    }
}

fn error(status: Option<u16>, anomalies: Anomalies) -> Option<Cow<'static, str>> {
    match status {
        Some(status @ 400..) => Some(status.to_string().into()),
        _ => [Anomaly::Refused, Anomaly::StreamReset, Anomaly::Reset, Anomaly::NoResponse, Anomaly::Truncated]
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

fn full_url<'a>(
    target: &Target<'a>,
    path: Option<Cow<'a, str>>,
    query: Option<Cow<'a, str>>,
    method: Option<&str>,
) -> Option<FullUrl<'a>> {
    method?;
    Some(FullUrl { authority: target.authority?, path: path?, query })
}
