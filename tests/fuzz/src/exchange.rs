//! Exchanges with model servers under fuzzing: paths and types of content that the dialects know, JSON made of the words that
//! they know, whole, cut or in messages.

use std::sync::Arc;

use arbitrary::Arbitrary;
use interceptor::model::{
    Exchange, Fields, Format, Head, KeptPiece, Kind, Part, Piece, Pieces, Protocol, Tail, Timestamp, Version,
};

/// Personal data that stands where a whole string or a whole name does.
pub const PLANTED: &[&str] = &["zoe.quirk@example.org", "me: zoe.quirk@example.org"];
/// What of it must not be told.
pub const SECRET: &str = "zoe.quirk";

const LINES: &[(&str, &str)] = &[
    ("POST", "/v1/chat/completions"),
    ("POST", "/openai/v1/completions"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/rerank"),
    ("POST", "/v1/score"),
    ("POST", "/tokenize"),
    ("GET", "/v1/models"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/api/chat"),
    ("POST", "/api/generate"),
    ("POST", "/api/embed"),
    ("GET", "/api/tags"),
    ("POST", "/generate"),
    ("POST", "/generate_stream"),
    ("POST", "/"),
    ("GET", "/info"),
    ("POST", "/embed"),
    ("POST", "/predict"),
    ("POST", "/v2/models/m/infer"),
    ("POST", "/v2/models/m/versions/1/generate_stream"),
    ("GET", "/v2/models/m/stats"),
    ("POST", "/v1/models/m:predict"),
    ("POST", "/v1/models/m/versions/2:classify"),
    ("POST", "/v1/models/m:explain"),
    ("GET", "/v1/models/m/metadata"),
    ("POST", "/predictions/m"),
    ("GET", "/models/m"),
    ("POST", "/invocations"),
    ("POST", "/inference.GRPCInferenceService/ModelInfer"),
    ("POST", "/inference.GRPCInferenceService/ModelStreamInfer"),
    ("POST", "/inference.GRPCInferenceService/ModelStatistics"),
    ("POST", "/tensorflow.serving.PredictionService/Predict"),
    ("POST", "/tensorflow.serving.PredictionService/Classify"),
    ("POST", "/org.pytorch.serve.grpc.inference.InferenceAPIsService/StreamPredictions"),
    ("POST", "/org.pytorch.serve.grpc.management.ManagementAPIsService/DescribeModel"),
    ("POST", "/elsewhere?q=1"),
];

const TYPES: &[&str] = &[
    "application/json",
    "text/csv",
    "application/grpc",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "text/plain",
    "multipart/form-data; boundary=b",
    "application/x-recordio-protobuf",
];

const FORMATS: &[(Format, &str)] = &[
    (Format::EventStream, "text/event-stream"),
    (Format::JsonLines, "application/x-ndjson"),
    (Format::Grpc, "application/grpc"),
    (Format::GrpcWeb, "application/grpc-web"),
    (Format::WebSocket, "text/plain"),
    (Format::Multipart, "multipart/form-data; boundary=b"),
];

/// What the dialects look for, as names and as values.
#[rustfmt::skip]
const WORDS: &[&str] = &[
    "messages", "content", "choices", "delta", "tool_calls", "function", "arguments", "usage", "index", "type", "text",
    "error", "message", "input", "output", "response", "model", "prompt", "documents", "details", "token", "inputs",
    "content_block_delta", "response.output_text.delta", "message_start", "id", "name", "item", "generated_text",
    "outputs", "data", "shape", "datatype", "FP32", "INT64", "BYTES", "parameters", "binary_data_size", "instances",
    "predictions", "b64", "signature_name", "dataframe_split", "dataframe_records", "columns", "dtype", "examples",
    "stream", "finish_reason", "prompt_tokens", "completion_tokens", "role", "user", "output_index", "partial_json",
];

/// An exchange.
#[derive(Arbitrary, Debug)]
pub struct Asked {
    line: u8,
    header_length: Option<u8>,
    request: Sent,
    response: Option<Sent>,
    failed: bool,
}

/// One side's content.
#[derive(Arbitrary, Debug)]
struct Sent {
    content_type: u8,
    content: Content,
    /// Only the first bytes, or messages, were kept; and so many of the last messages.
    cut: Option<(u16, u8)>,
    unended: bool,
    missing: bool,
}

#[derive(Arbitrary, Debug)]
enum Content {
    Json(Json),
    Rows(Vec<Vec<Json>>),
    Bytes(Vec<u8>),
    Messages(u8, Vec<Json>),
    Frames(u8, Vec<Vec<u8>>),
}

#[derive(Arbitrary, Debug)]
enum Json {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Literal(u8),
    Word(u8),
    Planted(u8),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(u8, Json)>),
    Personal(u8, Box<Json>),
}

fn pick<T: Copy>(list: &[T], which: u8) -> T {
    list[usize::from(which) % list.len()]
}

impl Json {
    fn write(&self, out: &mut String) {
        let quoted = |text: &str| serde_json::to_string(text).expect("a string can be written");
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Integer(value) => out.push_str(&value.to_string()),
            Self::Number(value) => out.push_str(&value.to_string()),
            Self::Literal(which) => {
                out.push_str(pick(&["NaN", "Infinity", "-Infinity", "18446744073709551615"], *which))
            }
            Self::Word(which) => out.push_str(&quoted(pick(WORDS, *which))),
            Self::Planted(which) => out.push_str(&quoted(pick(PLANTED, *which))),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (index, (name, value)) in members.iter().enumerate() {
                    out.push_str(if index == 0 { "" } else { "," });
                    out.push_str(&quoted(pick(WORDS, *name)));
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
            Self::Personal(name, value) => {
                out.push_str(&format!("{{{}:", quoted(pick(PLANTED, *name))));
                value.write(out);
                out.push('}');
            }
        }
    }

    fn text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }
}

impl Sent {
    /// The content's bytes, and what divides them into messages.
    fn content(&self) -> (Vec<u8>, Option<(Format, Vec<usize>)>) {
        match &self.content {
            Content::Json(json) => (json.text().into_bytes(), None),
            Content::Rows(rows) => {
                let row = |row: &Vec<Json>| row.iter().map(Json::text).collect::<Vec<_>>().join(",");
                (rows.iter().map(row).collect::<Vec<_>>().join("\n").into_bytes(), None)
            }
            Content::Bytes(bytes) => (bytes.clone(), None),
            Content::Messages(format, messages) => {
                let (format, _) = pick(FORMATS, *format);
                let message = |json: &Json| match format {
                    Format::EventStream => format!("data: {}\n\n", json.text()),
                    Format::Multipart => format!("Content-Disposition: form-data; name=\"a\"\r\n\r\n{}", json.text()),
                    _ => json.text(),
                };
                let messages: Vec<String> = messages.iter().map(message).collect();
                (messages.concat().into_bytes(), Some((format, messages.iter().map(String::len).collect())))
            }
            Content::Frames(format, frames) => {
                (frames.concat(), Some((pick(FORMATS, *format).0, frames.iter().map(Vec::len).collect())))
            }
        }
    }

    fn content_type(&self) -> &'static str {
        match &self.content {
            Content::Messages(format, _) | Content::Frames(format, _) => pick(FORMATS, *format).1,
            _ => pick(TYPES, self.content_type),
        }
    }

    fn part(&self, head: Head) -> Part {
        let (time, (body, divided)) = (Timestamp::from_nanos(1), self.content());
        let size = body.len() as u64;
        let mut part = Part {
            body: body.into(),
            body_size: size,
            decoded_size: size,
            ended: !self.unended,
            body_missing: self.missing.into(),
            ..Part::new(head, time, time)
        };
        match (divided, self.cut) {
            (Some((format, lengths)), cut) => divide(&mut part, format, &lengths, cut),
            (None, Some((kept, _))) => part.body.truncate(kept.into()),
            (None, None) => {}
        }
        part
    }
}

/// Divides the content into messages of these lengths. Where it is cut, only so many of the first are kept, and of the last.
fn divide(part: &mut Part, format: Format, lengths: &[usize], cut: Option<(u16, u8)>) {
    let (mut pieces, mut start) = (Pieces::new(format), 0);
    for (index, length) in lengths.iter().enumerate() {
        let (time, size) = (Timestamp::from_nanos(index as u64 + 1), *length as u64);
        let kind = if index % 3 == 2 { Kind::Text } else { Kind::Data };
        let piece = Piece { kind, time, size, wire_size: size, compression: None, whole: true };
        pieces.count(&piece);
        pieces.kept.push(KeptPiece { piece, start: start as u32, len: size as u32 });
        start += length;
    }
    if let Some((first, last)) = cut {
        let first = usize::from(first).min(pieces.kept.len());
        let rest = pieces.kept.split_off(first);
        let last = &rest[rest.len() - usize::from(last).min(rest.len())..];
        let whole = part.body.clone();
        part.body.truncate(pieces.kept.last().map_or(0, |kept| (kept.start + kept.len) as usize));
        if let Some(begin) = last.first().map(|kept| kept.start) {
            let kept = last.iter().map(|kept| KeptPiece { start: kept.start - begin, ..*kept }).collect();
            part.tail = Some(Box::new(Tail { body: whole.slice(begin as usize..), kept }));
        }
    }
    part.pieces = Some(pieces);
}

impl Asked {
    /// The exchange, over.
    pub fn exchange(&self) -> Exchange {
        let (method, target) = pick(LINES, self.line);
        let head = |sent: &Sent| {
            let mut fields = Fields::default();
            fields.push(b"content-type", sent.content_type().as_bytes());
            if let Some(length) = self.header_length {
                fields.push(b"inference-header-content-length", length.to_string().as_bytes());
            }
            fields
        };
        let request = Head::request(method, target, Version::Http11, head(&self.request));
        let response = self
            .response
            .as_ref()
            .map(|sent| sent.part(Head::response(if self.failed { 400 } else { 200 }, Version::Http11, head(sent))));
        let flow = Arc::new(crate::flow_info(false));
        Exchange { request: Some(self.request.part(request)), response, ..Exchange::new(flow, 1, Protocol::Http1) }
    }
}
