//! An exchange as a span of one of its ends.

use opentelemetry_proto::tonic::{
    common::v1::KeyValue,
    trace::v1::{Span, SpanFlags, Status, span::SpanKind, status::StatusCode},
};

use super::{context::SpanId, ids::Trace};
use crate::{
    model::{Anomaly, Exchange, Head, Inference, Part, Peer, Process, Qos, Rpc, Side, percent_decoded},
    sink::{otlp::attributes, prometheus},
};

/// Bytes of a model's name in a span's: names come from the wire.
const MODEL_MAX: usize = 128;

/// What a span hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Above {
    pub(super) span: SpanId,
    /// It was told by the wire.
    pub(super) remote: bool,
}

/// The span of this end, of what is said of an exchange. None without a request: nobody knows when it began, and what it was.
pub(super) fn span(
    exchange: &Exchange,
    trace: &Trace,
    side: Side,
    above: Option<Above>,
    said: Vec<KeyValue>,
) -> Option<Span> {
    let request = exchange.request.as_ref()?;
    let rpc = exchange.rpc();
    let error = prometheus::error_type(exchange, &request.head, rpc.as_ref(), side);
    let last = exchange.response.as_ref().unwrap_or(request).last_byte;
    let flags = 1 | SpanFlags::ContextHasIsRemoteMask as u32;
    let remote = above.is_some_and(|above| above.remote).then_some(SpanFlags::ContextIsRemoteMask as u32);
    let mut span = Span {
        trace_id: trace.id.to_vec(),
        span_id: trace.span(side).to_vec(),
        trace_state: trace.state.clone(),
        parent_span_id: above.map(|above| above.span.to_vec()).unwrap_or_default(),
        flags: flags | remote.unwrap_or_default(),
        name: name(exchange, request, rpc.as_ref()),
        kind: if side == Side::Server { SpanKind::Server } else { SpanKind::Client } as i32,
        start_time_unix_nano: request.first_byte.as_nanos(),
        end_time_unix_nano: last.max(request.first_byte).as_nanos(),
        attributes: said,
        ..Span::default()
    };
    span.attributes.retain(|attribute| is_kept(&attribute.key, side, rpc.is_some()));
    add(&mut span, exchange, &request.head, rpc.is_some(), side);
    if !error.is_empty() {
        span.status = Some(Status { code: StatusCode::Error as i32, message: description(exchange, rpc.as_ref()) });
        span.attributes.push(attributes::text("error.type", error));
    }
    Some(span)
}

/// What depends on the side, or is called otherwise in a line.
fn add(span: &mut Span, exchange: &Exchange, request: &Head, is_call: bool, side: Side) {
    let peer = exchange.flow.peer(side.peer());
    if side == Side::Server {
        span.attributes.push(attributes::text("network.peer.address", peer.endpoint.ip().to_string()));
        span.attributes.push(attributes::number("network.peer.port", peer.endpoint.port().into()));
    }
    if !is_call {
        let route = prometheus::route(request.target().unwrap_or_default());
        let name = if side == Side::Server { "http.route" } else { "url.template" };
        span.attributes.extend((!route.is_empty()).then(|| attributes::text(name, route)));
    }
    span.attributes.push(attributes::flag("interceptor.complete", exchange.complete()));
    if !exchange.anomalies.is_empty() {
        let names = exchange.anomalies.iter().map(Anomaly::name);
        span.attributes.push(attributes::texts("interceptor.anomalies", names));
    }
    other_end(span, peer);
}

/// Who is at the other end; who is at this one is the resource.
fn other_end(span: &mut Span, peer: &Peer) {
    if let Some(Process { pid, command }) = &peer.process {
        span.attributes.push(attributes::number("interceptor.peer.process.pid", (*pid).into()));
        span.attributes.push(attributes::text("interceptor.peer.process.command", &**command));
    }
    let Some(container) = &peer.container else { return };
    span.attributes.push(attributes::text("interceptor.peer.container.id", &*container.id));
    if let Some(pod) = &container.pod {
        span.attributes.push(attributes::text("interceptor.peer.k8s.pod.uid", &*pod.uid));
        let qos = pod.qos.map(Qos::name).map(|qos| attributes::text("interceptor.peer.k8s.pod.qos_class", qos));
        span.attributes.extend(qos);
    }
}

/// Of what a line says of an exchange, does a span of this side say it so too?
fn is_kept(name: &str, side: Side, is_call: bool) -> bool {
    match name {
        // The span says it itself, or [`add`] does; of `rpc.system` the newer name is there too.
        "timestamp" | "duration" | "complete" | "anomalies" | "error.type" | "rpc.system" => false,
        // Seen from the client.
        "network.peer.address" | "network.peer.port" => side == Side::Client,
        "url.full" => side == Side::Client && !is_call,
        "client.address" | "client.port" => side == Side::Server,
        _ => !is_identity(name) && !(is_call && (name.starts_with("http.") || name.starts_with("url."))),
    }
}

/// Who is at the ends: the resource says it of this end.
fn is_identity(name: &str) -> bool {
    let prefixes = [
        "process.",
        "container.",
        "k8s.",
        "interceptor.process.",
        "interceptor.container.",
        "interceptor.k8s.",
        "interceptor.peer.",
    ];
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// By the conventions for generative AI, for RPC, for HTTP.
fn name(exchange: &Exchange, request: &Part, rpc: Option<&Rpc<'_>>) -> String {
    if let Some(inference) = &exchange.inference {
        return inference_name(inference);
    }
    if let Some(rpc) = rpc {
        let method = prometheus::called(rpc);
        return if method.is_empty() { "grpc" } else { method }.to_owned();
    }
    let (method, other) = crate::sink::json::method(request.head.method());
    let method = if other.is_some() { "HTTP" } else { method.unwrap_or("HTTP") };
    let route = prometheus::route(request.head.target().unwrap_or_default());
    if route.is_empty() { method.to_owned() } else { format!("{method} {route}") }
}

fn inference_name(inference: &Inference) -> String {
    let operation = inference.operation.name();
    let fits = |model: &&String| model.len() <= MODEL_MAX && !model.chars().any(char::is_control);
    inference.model.as_ref().filter(fits).map_or_else(|| operation.to_owned(), |model| format!("{operation} {model}"))
}

/// What there is to say of an error beside its type.
fn description(exchange: &Exchange, rpc: Option<&Rpc<'_>>) -> String {
    let told = exchange.inference.as_ref().and_then(|inference| inference.error.as_ref());
    let message = told.map(|error| error.message.clone());
    let message = message.or_else(|| rpc.and_then(|rpc| rpc.message).map(percent_decoded)).unwrap_or_default();
    message.chars().filter(|char| !char.is_control()).take(256).collect()
}
