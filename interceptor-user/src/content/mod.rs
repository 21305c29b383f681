//! Content to messages: the bytes of a content, after HTTP's framing, to decoded bytes and the messages in them.
//!
//! ```text
//! content ─► coding (gzip, deflate, br, zstd, stacked) ─► format (gRPC, events, lines, frames, parts) ─► Item
//! ```
//!
//! A [`Reader`] holds what one side's content needs between two pieces of it: nothing for a plain one, no allocation for
//! uncompressed gRPC, no copy of a message unless it is compressed by itself. Decoding is total; any split of the same
//! bytes gives the same items, adjacent bytes taken together. What is not decoded, for it is broken or grows too much, is
//! said once by an anomaly; that it was there shows in the size of the content, which the caller counts.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod coding;
mod grpc;
mod grpc_web;
mod lines;
mod maybe;
mod media;
mod multipart;
pub mod sse;
#[cfg(test)]
mod tests;
mod websocket;

use coding::Decoding;
use grpc::Grpc;
use grpc_web::Text;
use lines::Lines;
use maybe::{Is, Maybe};
use multipart::Multipart;
use sse::EventStream;
pub use websocket::PermessageDeflate;
use websocket::WebSocket;

use crate::model::{Anomaly, Coding, Fields, Format, Head, Piece, Timestamp};

/// What decoding may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bodies are wanted: codings are removed even where there are no messages to find.
    pub keep: bool,
    /// Most decoded bytes of one content.
    pub output: u64,
    /// Most decoded bytes for each coded byte, looked at beyond [`RATIO_FROM`] decoded bytes; coded bytes count in steps
    /// of 4 KiB, rounded up.
    pub ratio: u64,
    /// Most bytes buffered for one message that is compressed by itself.
    pub message: usize,
}

/// Decoded bytes that any content may come to, whatever [`Limits::ratio`] says: small contents of one letter are no harm.
pub const RATIO_FROM: u64 = 1 << 20;

impl Default for Limits {
    fn default() -> Self {
        Self { keep: false, output: 256 << 20, ratio: 1000, message: 4 << 20 }
    }
}

/// What comes out of a content.
#[derive(Debug)]
pub enum Item<'a> {
    /// The content has messages, of which its head did not tell; before the first of them.
    Format(Format),
    /// Content without coding and frame headers. A message's bytes come before its [`Item::Message`].
    Bytes(&'a [u8]),
    /// A message is over; its bytes are those since the one before.
    Message(Piece),
    /// The trailers of gRPC-Web, which are part of the content.
    Trailers(Fields),
    /// Something is not as it should be. Of a content as a whole each is said once, of messages compressed by themselves
    /// once a message.
    Anomaly(Anomaly),
}

/// Reads the content of one side of an exchange.
#[derive(Debug, Default)]
pub struct Reader(State);

#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    Maybe(Maybe),
    Grpc(Grpc),
    Other(Box<Content>),
}

impl Reader {
    /// By what the head says: `Content-Type`, `Content-Encoding`, and for gRPC `grpc-encoding`. Plain where nothing is to
    /// be done. Where the type may be a field that is not known, by the first bytes.
    pub fn of(head: &Head, limits: &Limits) -> Self {
        let content_type = head.fields.get("content-type");
        let format = content_type.and_then(media::format);
        let framing = match format {
            Some(Format::Grpc) => Framing::Grpc(Grpc::new(media::message_coding(head), false)),
            Some(Format::GrpcWeb) => Framing::Grpc(Grpc::new(media::message_coding(head), true)),
            Some(Format::GrpcWebText) => Framing::GrpcWebText(Text::new(media::message_coding(head))),
            Some(Format::EventStream) => Framing::EventStream(EventStream::default()),
            Some(Format::JsonLines) => Framing::Lines(Lines::default()),
            Some(Format::Multipart) => Multipart::of(head).map_or(Framing::Undivided, Framing::Multipart),
            Some(Format::WebSocket) | None => Framing::Undivided,
        };
        let divided = !matches!(framing, Framing::Undivided);
        let decoding = (divided || limits.keep).then(|| Decoding::of(head)).flatten();
        Self(match (decoding, framing) {
            (None, Framing::Undivided) if content_type.is_none() && maybe::may_have_type(head) => {
                State::Maybe(Maybe::new(media::message_coding(head)))
            }
            (None, Framing::Undivided) => State::Plain,
            (None, Framing::Grpc(grpc)) => State::Grpc(grpc),
            (decoding, framing) => State::Other(Box::new(Content { decoding, framing, last: Timestamp::default() })),
        })
    }

    /// What one side of a WebSocket sends. `deflate`: what was agreed for this side, if compression was.
    pub fn websocket(deflate: Option<PermessageDeflate>) -> Self {
        let framing = Framing::WebSocket(Box::new(WebSocket::new(deflate)));
        Self(State::Other(Box::new(Content { decoding: None, framing, last: Timestamp::default() })))
    }

    /// Nothing is to be done: what comes in comes out.
    #[inline]
    pub const fn is_plain(&self) -> bool {
        matches!(self.0, State::Plain)
    }

    /// What divides the content into messages, as far as it is known.
    pub fn format(&self) -> Option<Format> {
        match &self.0 {
            State::Plain | State::Maybe(_) => None,
            State::Grpc(grpc) => Some(grpc.format()),
            State::Other(content) => content.framing.format(),
        }
    }

    /// The content coding that is removed, the last one that was applied.
    pub fn coding(&self) -> Option<Coding> {
        match &self.0 {
            State::Plain | State::Maybe(_) | State::Grpc(_) => None,
            State::Other(content) => content.decoding.as_ref()?.outermost(),
        }
    }

    /// The next bytes of the content.
    #[inline]
    pub fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.0 {
            State::Plain => out(Item::Bytes(bytes)),
            State::Maybe(maybe) => match maybe.data(bytes, time, limits, out) {
                Is::Unclear => {}
                Is::Plain => self.0 = State::Plain,
                Is::Grpc(grpc) => self.0 = State::Grpc(grpc),
            },
            State::Grpc(grpc) => grpc.data(bytes, time, limits, out),
            State::Other(content) => content.data(bytes, time, limits, out),
        }
    }

    /// Bytes of the content are missing. Formats with lengths stay in step if they lie within a message, others go on
    /// at the next line or part; what is coded as a whole cannot be decoded any more.
    pub fn gap(&mut self, len: u64, out: &mut impl FnMut(Item<'_>)) {
        match &mut self.0 {
            _ if len == 0 => {}
            State::Plain => {}
            State::Maybe(maybe) => {
                maybe.give_up(out);
                self.0 = State::Plain;
            }
            State::Grpc(grpc) => grpc.gap(len, out),
            State::Other(content) => content.gap(len, out),
        }
    }

    /// The content is over, at whatever point: a message that is not is told as not whole.
    pub fn end(&mut self, out: &mut impl FnMut(Item<'_>)) {
        match &mut self.0 {
            State::Plain => {}
            State::Maybe(maybe) => {
                maybe.give_up(out);
                self.0 = State::Plain;
            }
            State::Grpc(grpc) => grpc.end(out),
            State::Other(content) => content.end(out),
        }
    }

    /// Bytes of memory that it holds beside itself.
    pub fn memory(&self) -> usize {
        match &self.0 {
            State::Plain | State::Maybe(_) => 0,
            State::Grpc(grpc) => grpc.memory(),
            State::Other(content) => {
                let decoding = content.decoding.as_ref().map_or(0, Decoding::memory);
                size_of::<Content>() + decoding + content.framing.memory()
            }
        }
    }
}

/// A content for which something is to be done.
#[derive(Debug)]
struct Content {
    decoding: Option<Decoding>,
    framing: Framing,
    /// When the last of its bytes were captured.
    last: Timestamp,
}

impl Content {
    fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        let Self { decoding, framing, last } = self;
        *last = time;
        let Some(decoding) = decoding else { return framing.data(bytes, time, limits, out) };
        if decoding.leaves_unknown() {
            out(Item::Anomaly(Anomaly::BadCoding));
        }
        let decoded = decoding.data(bytes, limits, &mut |bytes| framing.data(bytes, time, limits, out));
        if let Err(anomaly) = decoded {
            out(Item::Anomaly(anomaly));
        }
    }

    fn gap(&mut self, len: u64, out: &mut impl FnMut(Item<'_>)) {
        match &mut self.decoding {
            None => self.framing.gap(len, self.last, out),
            Some(decoding) => {
                if let Err(anomaly) = decoding.gap() {
                    out(Item::Anomaly(anomaly));
                }
            }
        }
    }

    fn end(&mut self, out: &mut impl FnMut(Item<'_>)) {
        if let Some(Err(anomaly)) = self.decoding.as_mut().map(Decoding::end) {
            out(Item::Anomaly(anomaly));
        }
        self.framing.end(self.last, out);
    }
}

/// What divides a content into messages, and how far it is.
#[derive(Debug)]
enum Framing {
    Undivided,
    Grpc(Grpc),
    GrpcWebText(Text),
    EventStream(EventStream),
    Lines(Lines),
    Multipart(Multipart),
    WebSocket(Box<WebSocket>),
}

impl Framing {
    fn format(&self) -> Option<Format> {
        Some(match self {
            Self::Undivided => return None,
            Self::Grpc(grpc) => grpc.format(),
            Self::GrpcWebText(_) => Format::GrpcWebText,
            Self::EventStream(_) => Format::EventStream,
            Self::Lines(_) => Format::JsonLines,
            Self::Multipart(_) => Format::Multipart,
            Self::WebSocket(_) => Format::WebSocket,
        })
    }

    fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        match self {
            Self::Undivided => out(Item::Bytes(bytes)),
            Self::Grpc(grpc) => grpc.data(bytes, time, limits, out),
            Self::GrpcWebText(text) => text.data(bytes, time, limits, out),
            Self::EventStream(events) => events.data(bytes, time, out),
            Self::Lines(lines) => lines.data(bytes, time, out),
            Self::Multipart(parts) => parts.data(bytes, time, out),
            Self::WebSocket(socket) => socket.data(bytes, time, limits, out),
        }
    }

    fn gap(&mut self, len: u64, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        match self {
            Self::Undivided => {}
            Self::Grpc(grpc) => grpc.gap(len, out),
            Self::GrpcWebText(text) => text.gap(out),
            Self::EventStream(events) => events.gap(last, out),
            Self::Lines(lines) => lines.gap(),
            Self::Multipart(parts) => parts.gap(out),
            Self::WebSocket(socket) => socket.gap(len, last, out),
        }
    }

    fn end(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        match self {
            Self::Undivided => {}
            Self::Grpc(grpc) => grpc.end(out),
            Self::GrpcWebText(text) => text.end(out),
            Self::EventStream(events) => events.end(last, out),
            Self::Lines(lines) => lines.end(last, out),
            Self::Multipart(parts) => parts.end(last, out),
            Self::WebSocket(socket) => socket.end(last, out),
        }
    }

    fn memory(&self) -> usize {
        match self {
            Self::Undivided | Self::EventStream(_) | Self::Lines(_) => 0,
            Self::Grpc(grpc) => grpc.memory(),
            Self::GrpcWebText(text) => text.memory(),
            Self::Multipart(parts) => parts.memory(),
            Self::WebSocket(socket) => socket.memory(),
        }
    }
}
