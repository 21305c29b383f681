//! The columns, defined once for Parquet, for lines of JSON, and for `docs/payloads.md`.

use super::{
    cell::{Cell, content, json, micros, number, optional, size},
    meaning,
};
use crate::{
    model::{Coding, Exchange, Inference, Part, Peer, Role, Side},
    sink::mask::Mask,
};

/// What the values of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A time, in microseconds since 1970 UTC.
    Time,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// Text.
    Text,
    /// A JSON text (RFC 8259).
    Json,
    /// Bytes; in lines of JSON in base64 (RFC 4648 section 4).
    Bytes,
}

impl Kind {
    /// Its type in Parquet, as DuckDB and SQL name it.
    #[cfg(test)]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Time => "timestamp (µs, UTC)",
            Self::Integer => "int64",
            Self::Boolean => "boolean",
            Self::Text => "string",
            Self::Json => "string (JSON)",
            Self::Bytes => "binary",
        }
    }
}

/// One column.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What it says, with its unit.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test compares it with docs/payloads.md"))]
    pub(super) meaning: &'static str,
    pub(super) get: Get,
}

type Get = for<'a> fn(&'a Exchange) -> Cell<'a>;

const fn column(name: &'static str, kind: Kind, meaning: &'static str, get: Get) -> Column {
    Column { name, kind, meaning, get }
}

use Kind::{Boolean, Bytes, Integer, Json, Text, Time};

/// All of them, in order. Each may be null: what is not known is.
pub(super) const COLUMNS: &[Column] = &[
    column("time", Time, "first byte of the request; of the response where the request was not seen", |of| {
        Cell::Integer(micros(time(of)))
    }),
    column("id", Text, "of the exchange: start of its flow (ns), number of the flow, number in it", |of| {
        Cell::Text(format!("{:x}-{}-{}", of.flow.start.as_nanos(), of.flow.id, of.number).into())
    }),
    column("request_id", Text, "field `x-request-id` of the request", |of| field(of, "x-request-id")),
    column("traceparent", Text, "field `traceparent` of the request (W3C Trace Context)", |of| {
        field(of, "traceparent")
    }),
    column("inference_id", Text, "id that request or response give", |of| text(of, |it| it.id.as_deref())),
    column("model_name", Text, "model as the request names it, else the response", |of| optional(model(of))),
    column("model_version", Text, "its version", |of| text(of, |it| it.version.as_deref())),
    column("response_model", Text, "model as the response names it", |of| text(of, |it| it.response_model.as_deref())),
    column("dialect", Text, "API that is spoken to the model server", |of| text(of, |it| Some(it.dialect.name()))),
    column("operation", Text, "what was asked of it", |of| text(of, |it| Some(it.operation.name()))),
    column("tenant", Text, "on whose behalf, unverified", |of| {
        let said = of.verdict.as_ref().and_then(|verdict| verdict.tenant.as_deref());
        optional(said.or(of.inference.as_ref().and_then(|it| it.tenant.as_deref())))
    }),
    column("client_address", Text, "IP address of the client", |of| address(of, Side::Client)),
    column("client_port", Integer, "its port", |of| port(of, Side::Client)),
    column("client_pod_uid", Text, "UID of its pod", |of| optional(pod(peer(of, Side::Client)))),
    column("client_container_id", Text, "id of its container", |of| optional(container(peer(of, Side::Client)))),
    column("client_process", Text, "command name of its process", |of| optional(process(peer(of, Side::Client)))),
    column("server_address", Text, "IP address of the server", |of| address(of, Side::Server)),
    column("server_port", Integer, "its port", |of| port(of, Side::Server)),
    column("server_pod_uid", Text, "UID of its pod", |of| optional(pod(peer(of, Side::Server)))),
    column("server_container_id", Text, "id of its container", |of| optional(container(peer(of, Side::Server)))),
    column("server_process", Text, "command name of its process", |of| optional(process(peer(of, Side::Server)))),
    column("method", Text, "HTTP method", |of| optional(of.request.as_ref().and_then(|part| part.head.method()))),
    column("host", Text, "host and port that the request names", |of| {
        let authority = of.request.as_ref().and_then(|part| part.target().authority);
        authority.map_or(Cell::Null, |authority| Cell::Text(authority.to_string().into()))
    }),
    column("path", Text, "path of its target, secrets masked", |of| {
        let path = of.request.as_ref().and_then(|part| part.target().path);
        path.map_or(Cell::Null, |path| Cell::Text(Mask::default().path(path)))
    }),
    column("query", Text, "query of its target, secrets masked", |of| {
        let query = of.request.as_ref().and_then(|part| part.target().query);
        query.map_or(Cell::Null, |query| Cell::Text(Mask::default().query(query)))
    }),
    column("status", Integer, "HTTP status code", |of| {
        number(of.response.as_ref().and_then(|part| part.head.status()).map(u64::from))
    }),
    column("grpc_status", Integer, "gRPC status code, of gRPC calls", |of| {
        number(of.rpc().and_then(|rpc| rpc.status).map(u64::from))
    }),
    column("duration_us", Integer, "first byte of the request to last byte of the response, µs", |of| {
        size(of.duration())
    }),
    column("time_to_first_token_us", Integer, "last byte of the request to what was generated first, µs", |of| {
        size(of.inference.as_ref().and_then(|it| it.timing.first_token))
    }),
    column("time_per_output_token_us", Integer, "time between generated tokens, mean, µs", |of| {
        size(of.inference.as_ref().and_then(|it| it.timing.per_output_token))
    }),
    column("input_tokens", Integer, "tokens of prompts, cached ones included", |of| count(of, |it| it.usage.input)),
    column("output_tokens", Integer, "tokens generated, reasoning included", |of| count(of, |it| it.usage.output)),
    column("cached_tokens", Integer, "of `input_tokens`: read from a cache", |of| count(of, |it| it.usage.cached)),
    column("reasoning_tokens", Integer, "of `output_tokens`: thought, not shown", |of| {
        count(of, |it| it.usage.reasoning)
    }),
    column("tokens_estimated", Boolean, "some of these are estimated, not told", |of| {
        of.inference.as_ref().map_or(Cell::Null, |it| Cell::Boolean(it.usage.estimated))
    }),
    column("finish_reasons", Json, "why the model stopped: a list", |of| {
        of.inference
            .as_ref()
            .filter(|it| !it.finish_reasons.is_empty())
            .map_or(Cell::Null, |it| json(&it.finish_reasons))
    }),
    column("streamed", Boolean, "the answer came as it was made", |of| {
        of.inference.as_ref().map_or(Cell::Null, |it| Cell::Boolean(it.streamed))
    }),
    column("batch", Integer, "inputs that are worked on together", |of| count(of, |it| it.batch)),
    column("error", Text, "what the model server says went wrong", |of| {
        text(of, |it| it.error.as_ref().map(|error| error.message.as_str()))
    }),
    column("error_type", Text, "its kind or code", |of| {
        text(of, |it| it.error.as_ref().and_then(|error| error.kind.as_deref()))
    }),
    column("request_content_type", Text, "field `content-type`", |of| content_type(of, Role::Request)),
    column("request_format", Text, "what divides the content into messages, where something does", |of| {
        format(of, Role::Request)
    }),
    column("request_size", Integer, "bytes of the content that TCP carried", |of| wire(of, Role::Request)),
    column("request_decoded", Text, "content coding that was removed", |of| decoded(of, Role::Request)),
    column("request_content", Text, "the content as far as policies keep it, where it is UTF-8", |of| {
        content(of.part(Role::Request), true)
    }),
    column("request_content_binary", Bytes, "the same where it is not", |of| content(of.part(Role::Request), false)),
    column("request_message_sizes", Json, "bytes of each message in that: a list", |of| {
        meaning::message_sizes(of.part(Role::Request))
    }),
    column("request_truncated", Boolean, "it is less than was sent", |of| truncated(of, Role::Request)),
    column("request_redacted", Boolean, "something was taken out of it", |of| redacted(of, Role::Request)),
    column("response_content_type", Text, "field `content-type`", |of| content_type(of, Role::Response)),
    column("response_format", Text, "what divides the content into messages, where something does", |of| {
        format(of, Role::Response)
    }),
    column("response_size", Integer, "bytes of the content that TCP carried", |of| wire(of, Role::Response)),
    column("response_decoded", Text, "content coding that was removed", |of| decoded(of, Role::Response)),
    column("response_content", Text, "the content as far as policies keep it, where it is UTF-8", |of| {
        content(of.part(Role::Response), true)
    }),
    column("response_content_binary", Bytes, "the same where it is not", |of| content(of.part(Role::Response), false)),
    column("response_message_sizes", Json, "bytes of each message in that: a list", |of| {
        meaning::message_sizes(of.part(Role::Response))
    }),
    column("response_truncated", Boolean, "it is less than was sent", |of| truncated(of, Role::Response)),
    column("response_redacted", Boolean, "something was taken out of it", |of| redacted(of, Role::Response)),
    column("inputs", Json, "tensors in: a list of name, datatype, shape, data", |of| {
        meaning::tensors(of, Role::Request)
    }),
    column("outputs", Json, "tensors out, likewise", |of| meaning::tensors(of, Role::Response)),
    column("input_texts", Json, "prompts: a list of role, path, text", |of| meaning::texts(of, Role::Request)),
    column("output_texts", Json, "answers, likewise; streamed ones put together", |of| {
        meaning::texts(of, Role::Response)
    }),
    column("parameters", Json, "parameters of the request: an object", meaning::parameters),
    column("tool_calls", Json, "tools that the answer calls: a list of id, name, arguments", meaning::tool_calls),
    column("unread", Text, "why not all of these were read", |of| {
        text(of, |it| it.unread.map(crate::model::Unread::name))
    }),
    column("rules", Json, "rules of policies that it matches, in their samples: a list", meaning::rules),
    column("extracted", Json, "values that rules took out: an object of objects, by rule", meaning::extracted),
    column("findings", Json, "what inspectors saw: a list; values are masked", meaning::findings),
    column("complete", Boolean, "both messages were seen from first byte to last", |of| Cell::Boolean(of.complete())),
    column("anomalies", Json, "what is odd about it: a list", |of| {
        let names: Vec<&str> = of.anomalies.iter().map(crate::model::Anomaly::name).collect();
        if names.is_empty() { Cell::Null } else { json(&names) }
    }),
];

/// When it began.
pub(super) fn time(exchange: &Exchange) -> crate::model::Timestamp {
    let first = exchange.request.as_ref().or(exchange.response.as_ref());
    first.map_or(exchange.flow.start, |part| part.first_byte)
}

/// The model that was asked, by the name that it was asked by.
pub(super) fn model(exchange: &Exchange) -> Option<&str> {
    let inference = exchange.inference.as_ref()?;
    inference.model.as_deref().or(inference.response_model.as_deref())
}

fn text<'a>(exchange: &'a Exchange, get: impl FnOnce(&'a Inference) -> Option<&'a str>) -> Cell<'a> {
    optional(exchange.inference.as_deref().and_then(get))
}

fn count<'a>(exchange: &'a Exchange, get: impl FnOnce(&'a Inference) -> Option<u64>) -> Cell<'a> {
    number(exchange.inference.as_deref().and_then(get))
}

fn field<'a>(exchange: &'a Exchange, name: &str) -> Cell<'a> {
    value(exchange.request.as_ref(), name)
}

fn value<'a>(part: Option<&'a Part>, name: &str) -> Cell<'a> {
    let found = part.and_then(|part| part.head.fields.get(name));
    found.map_or(Cell::Null, |value| Cell::Text(Mask::default().field(name, value)))
}

fn content_type(exchange: &Exchange, role: Role) -> Cell<'_> {
    value(exchange.part(role), "content-type")
}

fn format(exchange: &Exchange, role: Role) -> Cell<'_> {
    optional(exchange.part(role).and_then(|part| part.pieces.as_ref()).map(|pieces| pieces.format.name()))
}

fn wire(exchange: &Exchange, role: Role) -> Cell<'_> {
    number(exchange.part(role).map(Part::content_size))
}

fn decoded(exchange: &Exchange, role: Role) -> Cell<'_> {
    optional(exchange.part(role).and_then(|part| part.decoded).map(Coding::name))
}

fn truncated(exchange: &Exchange, role: Role) -> Cell<'_> {
    exchange.part(role).map_or(Cell::Null, |part| Cell::Boolean(part.body_cut()))
}

fn redacted(exchange: &Exchange, role: Role) -> Cell<'_> {
    exchange.part(role).map_or(Cell::Null, |part| Cell::Boolean(part.redacted))
}

fn peer(exchange: &Exchange, side: Side) -> &Peer {
    exchange.flow.peer(side)
}

fn address(exchange: &Exchange, side: Side) -> Cell<'_> {
    Cell::Text(peer(exchange, side).endpoint.ip().to_string().into())
}

fn port(exchange: &Exchange, side: Side) -> Cell<'_> {
    Cell::Integer(i64::from(peer(exchange, side).endpoint.port()))
}

fn pod(peer: &Peer) -> Option<&str> {
    peer.container.as_deref()?.pod.as_ref().map(|pod| &*pod.uid)
}

fn container(peer: &Peer) -> Option<&str> {
    peer.container.as_deref().map(|container| &*container.id)
}

fn process(peer: &Peer) -> Option<&str> {
    peer.process.as_ref().map(|process| &*process.command)
}
