use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer};

use crate::model::{Exchange, Format, KeptPiece, Kind, Part};

/// Bytes that were kept: as text where they are text, else in base64.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    bytes: &'a [u8],
    text: Option<&'a str>,
}

impl<'a> Data<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { bytes, text: str::from_utf8(bytes).ok() }
    }

    /// The part's content.
    pub(super) fn of_part(part: &'a Part) -> Self {
        Self { bytes: &part.body, text: part.body_text() }
    }

    pub(super) const fn encoding(&self) -> Option<&'static str> {
        if self.text.is_none() { Some("base64") } else { None }
    }
}

impl Serialize for Data<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&STANDARD.encode(self.bytes)),
        }
    }
}

/// A message in a content, in the form of Chrome's `_webSocketMessages`.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    #[serde(rename = "type")]
    direction: &'static str,
    /// Seconds since the Unix epoch.
    time: f64,
    /// RFC 6455 section 5.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    opcode: Option<u8>,
    data: Data<'a>,
    #[serde(rename = "_encoding", skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    #[serde(rename = "_size")]
    size: u64,
    #[serde(rename = "_truncated", skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
}

/// The messages of both sides that were kept, as they came.
pub(super) fn all(exchange: &Exchange) -> Vec<Message<'_>> {
    let sides = [("send", exchange.request.as_ref()), ("receive", exchange.response.as_ref())];
    let mut all: Vec<Message<'_>> = sides
        .into_iter()
        .filter_map(|(direction, part)| Some((direction, part?)))
        .flat_map(|(direction, part)| {
            let pieces = part.pieces.iter();
            pieces.flat_map(move |pieces| {
                pieces.kept.iter().map(move |kept| Message::new(direction, part, pieces.format, kept))
            })
        })
        .collect();
    all.sort_by(|a, b| a.time.total_cmp(&b.time));
    all
}

impl<'a> Message<'a> {
    fn new(direction: &'static str, part: &'a Part, format: Format, kept: &KeptPiece) -> Self {
        let start = kept.start as usize;
        let bytes = part.body.get(start..start.saturating_add(kept.len as usize)).unwrap_or_default();
        let data = Data::of(bytes);
        let opcode = match kept.piece.kind {
            Kind::Text => 1,
            Kind::Data | Kind::Binary => 2,
            Kind::Close(_) => 8,
            Kind::Ping => 9,
            Kind::Pong => 10,
        };
        Self {
            direction,
            #[expect(clippy::cast_precision_loss, reason = "microseconds are what is left, as in Chrome")]
            time: kept.piece.time.as_nanos() as f64 / 1e9,
            opcode: (format == Format::WebSocket).then_some(opcode),
            encoding: data.encoding(),
            data,
            size: kept.piece.size,
            truncated: (bytes.len() as u64) < kept.piece.size,
        }
    }
}
