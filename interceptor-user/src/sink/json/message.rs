use std::{borrow::Cow, net::IpAddr};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::line::{Detail, method, stamp};
use crate::{
    model::{Coding, MessageRecord, Part},
    sink::{
        clock::{Clock, Stamp},
        messages::{Content, Form, Message},
    },
};

/// A message of a content, as soon as it was captured; its exchange goes on. With `--messages` only.
///
/// It is told by `interceptor.message.number`, which no exchange has. With flow and exchange number it belongs to the
/// exchange's line, which comes once that is over.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Message", extend("additionalProperties" = false))]
pub struct MessageLine<'a> {
    /// When its last byte was captured. UTC.
    #[serde(serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Stamp,
    /// Number of the flow (TCP connection) in this run; the first is 1.
    #[serde(rename = "interceptor.flow.id")]
    flow_id: u64,
    /// Number of the exchange in its flow; the first is 1.
    #[serde(rename = "interceptor.exchange.number")]
    exchange: u64,
    /// Number of the HTTP/2 stream that carries it.
    #[serde(rename = "interceptor.stream.id", skip_serializing_if = "Option::is_none")]
    stream: Option<u32>,
    /// Number of the message in its content; the first is 1.
    #[serde(rename = "interceptor.message.number")]
    number: u64,
    /// Whether the client sent it, in the request, or the server, in the response.
    #[serde(rename = "interceptor.message.direction")]
    #[schemars(extend("enum" = ["request", "response"]))]
    direction: &'static str,
    /// What divides the content into messages.
    #[serde(rename = "interceptor.message.format")]
    #[schemars(extend("enum" = ["grpc", "grpc-web", "grpc-web-text", "event-stream", "json-lines", "websocket", "multipart"]))]
    format: &'static str,
    /// What it is: of a WebSocket text, binary, ping, pong or close, else data.
    #[serde(rename = "interceptor.message.kind")]
    #[schemars(extend("enum" = ["data", "text", "binary", "ping", "pong", "close"]))]
    kind: &'static str,
    /// Bytes, decompressed if bodies are asked for.
    #[serde(rename = "interceptor.message.size")]
    size: u64,
    /// Bytes as sent, where that is another number.
    #[serde(rename = "interceptor.message.wire_size", skip_serializing_if = "Option::is_none")]
    wire_size: Option<u64>,
    /// How it was compressed by itself.
    #[serde(rename = "interceptor.message.compression", skip_serializing_if = "Option::is_none")]
    compression: Option<&'static str>,
    /// All of it was seen.
    #[serde(rename = "interceptor.message.complete")]
    complete: bool,

    /// Address of the end that opened the connection.
    #[serde(rename = "client.address")]
    client_address: IpAddr,
    /// Its port.
    #[serde(rename = "client.port")]
    client_port: u16,
    /// Address of the end that accepted the connection.
    #[serde(rename = "network.peer.address")]
    peer_address: IpAddr,
    /// Its port.
    #[serde(rename = "network.peer.port")]
    peer_port: u16,
    /// Method of the request, or `_OTHER` where it is none of the registered ones.
    #[serde(rename = "http.request.method", skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
    /// Path of the target; values of sensitive parameters are '[masked]' unless asked for by name.
    #[serde(rename = "url.path", skip_serializing_if = "Option::is_none")]
    path: Option<Cow<'a, str>>,

    /// How the content is written, if asked for.
    #[serde(rename = "interceptor.message.encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<Form>,
    /// What it holds, as far as kept, if asked for: JSON, a protobuf message as JSON, or a string.
    #[serde(rename = "interceptor.message.content", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Value>")]
    content: Option<&'a Content<'a>>,
    /// Less of it is shown than was sent.
    #[serde(rename = "interceptor.message.truncated", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<bool>")]
    truncated: Option<Cut<'a>>,
}

/// Is the content less than all? It comes after it: only when that was written it is known what found no room.
struct Cut<'a>(&'a Message<'a>);

impl Serialize for Cut<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(self.0.is_cut())
    }
}

impl<'a> MessageLine<'a> {
    pub(super) fn new(
        record: &'a MessageRecord,
        message: &'a Message<'a>,
        clock: &mut Clock,
        detail: Detail<'a>,
    ) -> Self {
        let MessageRecord { exchange, role, index, format, piece } = record;
        let request = exchange.request.as_ref();
        let shown = Some(message).filter(|_| detail.bodies);
        Self {
            timestamp: clock.stamp(piece.time),
            flow_id: exchange.flow.id,
            exchange: exchange.number,
            stream: exchange.stream,
            number: *index,
            direction: role.name(),
            format: format.name(),
            kind: piece.kind.name(),
            size: piece.size,
            wire_size: Some(piece.wire_size).filter(|size| *size != piece.size),
            compression: piece.compression.map(Coding::name),
            complete: piece.whole,
            client_address: exchange.flow.client.endpoint.ip(),
            client_port: exchange.flow.client.endpoint.port(),
            peer_address: exchange.flow.server.endpoint.ip(),
            peer_port: exchange.flow.server.endpoint.port(),
            method: method(request.and_then(|part| part.head.method())).0,
            path: request.and_then(|part: &Part| part.target().path).map(|path| detail.mask.path(path)),
            encoding: shown.map(|message| message.content.form()),
            content: shown.map(|message| &message.content),
            truncated: shown.map(Cut),
        }
    }
}
