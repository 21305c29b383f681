use schemars::JsonSchema;
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{Detail, some_stamp};
use crate::{
    model::{Coding, Exchange, Part, Role},
    sink::{
        clock::{Clock, Stamp},
        json::body::{Content, Encoding},
        messages::{self, Form, Message},
    },
};

/// What both sides sent, and the messages that it consists of.
#[derive(Serialize, JsonSchema)]
pub(super) struct Contents<'a> {
    /// Messages in the content of the request: of gRPC, of a WebSocket, lines of JSON, events, parts.
    #[serde(rename = "interceptor.request.message.count", skip_serializing_if = "Option::is_none")]
    request_count: Option<u64>,
    /// Bytes of all of them; decompressed where bodies are shown.
    #[serde(rename = "interceptor.request.message.size", skip_serializing_if = "Option::is_none")]
    request_size: Option<u64>,
    /// When the first of them was captured whole.
    #[serde(
        rename = "interceptor.request.message.first",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    request_first: Option<Stamp>,
    /// When the last of them was captured whole.
    #[serde(
        rename = "interceptor.request.message.last",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    request_last: Option<Stamp>,
    /// Messages in the content of the response.
    #[serde(rename = "interceptor.response.message.count", skip_serializing_if = "Option::is_none")]
    response_count: Option<u64>,
    /// Bytes of all of them; decompressed where bodies are shown.
    #[serde(rename = "interceptor.response.message.size", skip_serializing_if = "Option::is_none")]
    response_size: Option<u64>,
    /// When the first of them was captured whole.
    #[serde(
        rename = "interceptor.response.message.first",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    response_first: Option<Stamp>,
    /// When the last of them was captured whole.
    #[serde(
        rename = "interceptor.response.message.last",
        serialize_with = "some_stamp",
        skip_serializing_if = "Option::is_none"
    )]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    response_last: Option<Stamp>,

    /// Content of the request, as far as kept, if asked for and not divided into messages. Content coding (gzip) is left as
    /// it is, unless `interceptor.request.body.decoded` names it.
    #[serde(rename = "interceptor.request.body.content", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    request_body: Option<Content<'a>>,
    /// How it is written.
    #[serde(rename = "interceptor.request.body.encoding", skip_serializing_if = "Option::is_none")]
    request_encoding: Option<Encoding>,
    /// The content coding that was removed.
    #[serde(rename = "interceptor.request.body.decoded", skip_serializing_if = "Option::is_none")]
    request_decoded: Option<&'static str>,
    /// Messages of the request, as far as kept, if asked for.
    #[serde(rename = "interceptor.request.body.messages", skip_serializing_if = "Option::is_none")]
    request_messages: Option<Vec<MessageLine<'a>>>,
    /// It is not the whole content, or there were more messages.
    #[serde(rename = "interceptor.request.body.truncated", skip_serializing_if = "Option::is_none")]
    request_truncated: Option<bool>,
    /// Content of the response, as far as kept, if asked for and not divided into messages.
    #[serde(rename = "interceptor.response.body.content", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    response_body: Option<Content<'a>>,
    /// How it is written.
    #[serde(rename = "interceptor.response.body.encoding", skip_serializing_if = "Option::is_none")]
    response_encoding: Option<Encoding>,
    /// The content coding that was removed.
    #[serde(rename = "interceptor.response.body.decoded", skip_serializing_if = "Option::is_none")]
    response_decoded: Option<&'static str>,
    /// Messages of the response, as far as kept, if asked for.
    #[serde(rename = "interceptor.response.body.messages", skip_serializing_if = "Option::is_none")]
    response_messages: Option<Vec<MessageLine<'a>>>,
    /// It is not the whole content, or there were more messages.
    #[serde(rename = "interceptor.response.body.truncated", skip_serializing_if = "Option::is_none")]
    response_truncated: Option<bool>,
}

impl<'a> Contents<'a> {
    pub(super) fn of(exchange: &'a Exchange, clock: &mut Clock, detail: Detail<'a>) -> Self {
        let [request, response] =
            [(Role::Request, &exchange.request), (Role::Response, &exchange.response)].map(|(role, part)| {
                part.as_ref().map_or_else(Side::default, |part| Side::of(exchange, role, part, clock, detail))
            });
        Self {
            request_count: request.count,
            request_size: request.size,
            request_first: request.first,
            request_last: request.last,
            response_count: response.count,
            response_size: response.size,
            response_first: response.first,
            response_last: response.last,
            request_encoding: request.body.map(Content::encoding),
            request_body: request.body,
            request_decoded: request.decoded,
            request_messages: request.messages,
            request_truncated: request.truncated,
            response_encoding: response.body.map(Content::encoding),
            response_body: response.body,
            response_decoded: response.decoded,
            response_messages: response.messages,
            response_truncated: response.truncated,
        }
    }
}

/// The same of one side.
#[derive(Default)]
struct Side<'a> {
    count: Option<u64>,
    size: Option<u64>,
    first: Option<Stamp>,
    last: Option<Stamp>,
    body: Option<Content<'a>>,
    decoded: Option<&'static str>,
    messages: Option<Vec<MessageLine<'a>>>,
    truncated: Option<bool>,
}

impl<'a> Side<'a> {
    fn of(exchange: &'a Exchange, role: Role, part: &'a Part, clock: &mut Clock, detail: Detail<'a>) -> Self {
        let counted = part.pieces.as_ref();
        let some = counted.filter(|pieces| pieces.count > 0);
        let mut content = Self {
            count: counted.map(|pieces| pieces.count),
            size: counted.map(|pieces| pieces.size),
            first: some.map(|pieces| clock.stamp(pieces.first)),
            last: some.map(|pieces| clock.stamp(pieces.last)),
            decoded: part.decoded.map(Coding::name),
            ..Self::default()
        };
        if !detail.bodies || (detail.messages && counted.is_some()) {
            return content;
        }
        if let Some(pieces) = counted.filter(|pieces| !pieces.kept.is_empty()) {
            let messages = messages::of(exchange, role, detail.registry);
            let lines: Vec<MessageLine<'_>> = messages.map(|message| MessageLine::new(message, clock)).collect();
            let fewer = (lines.len() as u64) < pieces.count;
            content.truncated = Some(fewer || lines.iter().any(|line| line.message.is_cut()));
            content.messages = Some(lines);
        } else {
            content.body = Content::of(part);
            content.truncated = content.body.map(|_| part.body_cut());
        }
        content
    }
}

/// A message in a content.
struct MessageLine<'a> {
    time: Stamp,
    message: Message<'a>,
}

impl<'a> MessageLine<'a> {
    fn new(message: Message<'a>, clock: &mut Clock) -> Self {
        Self { time: clock.stamp(message.kept.piece.time), message }
    }
}

impl Serialize for MessageLine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { time, message } = self;
        let piece = &message.kept.piece;
        let mut line = serializer.serialize_struct("Message", 8)?;
        line.serialize_field("time", time.as_str())?;
        line.serialize_field("kind", piece.kind.name())?;
        line.serialize_field("size", &piece.size)?;
        if piece.wire_size != piece.size {
            line.serialize_field("wire_size", &piece.wire_size)?;
        }
        if let Some(compression) = piece.compression {
            line.serialize_field("compression", compression.name())?;
        }
        line.serialize_field("encoding", &message.content.form())?;
        line.serialize_field("content", &message.content)?;
        // After the content: only when it was written it is known what found no room.
        line.serialize_field("truncated", &message.is_cut())?;
        line.end()
    }
}

/// One message.
#[derive(JsonSchema)]
#[schemars(inline, extend("additionalProperties" = false))]
#[expect(dead_code, reason = "MessageLine writes it; this is only there for its schema")]
struct MessageSchema {
    /// When its last byte was captured.
    #[schemars(extend("format" = "date-time"))]
    time: String,
    /// What it is: of a WebSocket text, binary, ping, pong or close, else data.
    #[schemars(extend("enum" = ["data", "text", "binary", "ping", "pong", "close"]))]
    kind: String,
    /// Bytes, decompressed.
    size: u64,
    /// Bytes as sent, where that is another number.
    #[serde(skip_serializing_if = "Option::is_none")]
    wire_size: Option<u64>,
    /// How it was compressed by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    compression: Option<String>,
    /// How the content is written.
    encoding: Form,
    /// What it holds: JSON, a protobuf message as JSON, or a string.
    content: serde_json::Value,
    /// Less of it is shown than was sent.
    truncated: bool,
}

impl JsonSchema for MessageLine<'_> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        MessageSchema::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        MessageSchema::json_schema(generator)
    }
}
