use std::{borrow::Cow, cell::OnceCell};

use serde_json::Value;

use super::{Options, json, partial};
use crate::{
    content::sse::Event,
    model::{Anomaly, Exchange, Format, Head, Part, Pieces, Role, Target, Timestamp, Unread},
};

/// The request's head, as far as it tells what is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Method, as sent.
    pub(super) method: &'a str,
    /// Path, without the query; begins with a slash.
    pub(super) path: &'a str,
    /// Query.
    pub(super) query: Option<&'a str>,
    /// Its head.
    pub(super) head: &'a Head,
}

impl<'a> Asked<'a> {
    /// None where method or path is not known.
    pub(super) fn of(head: &'a Head) -> Option<Self> {
        let target = Target::of(head);
        let path = target.path.filter(|path| path.starts_with('/'))?;
        Some(Self { method: head.method()?, path, query: target.query, head })
    }

    /// Media type of the content, without parameters; empty where it is not given.
    pub(super) fn media_type(&self) -> &'a str {
        media_type(self.head)
    }
}

/// Media type of a message's content, without parameters; empty where it is not given.
pub(super) fn media_type(head: &Head) -> &str {
    let value = head.fields.get("content-type").unwrap_or_default();
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    str::from_utf8(kind.trim_ascii()).unwrap_or_default()
}

/// An exchange with what its dialect is read with.
pub(super) struct Call<'a> {
    pub(super) exchange: &'a Exchange,
    pub(super) asked: Asked<'a>,
    pub(super) options: &'a Options,
    request: OnceCell<Option<Value>>,
    response: OnceCell<Option<Value>>,
}

/// A message of a streamed content.
pub(super) struct Streamed<'a> {
    /// When its last byte was captured.
    pub(super) time: Timestamp,
    /// Messages right before it that were not kept.
    pub(super) skipped: u64,
    /// The event's type, where it has one.
    pub(super) event: Option<&'a str>,
    /// What it holds: of an event its data, of a line the line.
    pub(super) data: Cow<'a, str>,
}

impl<'a> Call<'a> {
    pub(super) const fn new(exchange: &'a Exchange, asked: Asked<'a>, options: &'a Options) -> Self {
        Self { exchange, asked, options, request: OnceCell::new(), response: OnceCell::new() }
    }

    /// The content as one JSON text; None where it is none. Of one that is cut, its beginning.
    pub(super) fn json(&self, role: Role) -> Option<&Value> {
        let cell = match role {
            Role::Request => &self.request,
            Role::Response => &self.response,
        };
        cell.get_or_init(|| {
            let part = self.exchange.part(role)?;
            let cut = part.body_missing == 0 && (part.body_cut() || !part.ended);
            let whole = json::parse(&part.body);
            if cut { whole.or_else(|| partial::parse(&part.body)) } else { whole }
        })
        .as_ref()
    }

    /// The events, lines or gRPC messages that the response was sent in, counted; None where it was not sent in such.
    pub(super) fn pieces(&self) -> Option<&'a Pieces> {
        let pieces = self.exchange.response.as_ref()?.pieces.as_ref()?;
        match pieces.format {
            Format::EventStream | Format::JsonLines | Format::Grpc | Format::GrpcWeb | Format::GrpcWebText => {
                Some(pieces)
            }
            Format::WebSocket | Format::Multipart => None,
        }
    }

    /// Those of them that were kept. `[DONE]` is one of them.
    pub(super) fn streamed(&self) -> Option<impl Iterator<Item = Streamed<'a>> + use<'a>> {
        let text = |pieces: &&Pieces| matches!(pieces.format, Format::EventStream | Format::JsonLines);
        let pieces = self.pieces().filter(text)?;
        let part = self.exchange.response.as_ref()?;
        Some(counted(part, pieces).map(move |(time, skipped, bytes)| {
            let text = str::from_utf8(bytes).unwrap_or_default();
            if pieces.format == Format::EventStream {
                let event = Event::parse(text);
                Streamed { time, skipped, event: event.event, data: Cow::Owned(event.data) }
            } else {
                Streamed { time, skipped, event: None, data: Cow::Borrowed(text.trim_ascii()) }
            }
        }))
    }

    /// When the messages of the response came, whatever is in them, each with how many before it were not kept.
    pub(super) fn times(&self) -> impl Iterator<Item = (Timestamp, u64)> + use<'a> {
        let part = self.exchange.response.as_ref();
        let both = part.and_then(|part| Some((part, part.pieces.as_ref()?)));
        both.into_iter().flat_map(|(part, pieces)| counted(part, pieces)).map(|(time, skipped, _)| (time, skipped))
    }

    /// Why not all of this side's content can be read, if it cannot.
    pub(super) fn unread(&self, role: Role) -> Option<Unread> {
        unread(self.exchange.part(role)?, self.exchange)
    }
}

fn unread(part: &Part, exchange: &Exchange) -> Option<Unread> {
    if part.body_missing > 0 || (!part.ended && exchange.anomalies.contains(Anomaly::Gap)) {
        Some(Unread::Missing)
    } else if part.body.is_empty() && part.whole_body() > 0 {
        Some(Unread::NotKept)
    } else if part.body_cut() {
        Some(Unread::Cut)
    } else {
        None
    }
}

/// The messages that were kept: when each came, how many before it were not kept, its bytes. Those that were not lie between the
/// first ones and the last ones.
fn counted<'a>(part: &'a Part, pieces: &'a Pieces) -> impl Iterator<Item = (Timestamp, u64, &'a [u8])> {
    let first = pieces.kept.len();
    let kept = first + part.tail.as_ref().map_or(0, |tail| tail.kept.len());
    let between = pieces.count.saturating_sub(kept as u64);
    let skipped = move |index| if index == first { between } else { 0 };
    part.messages().enumerate().map(move |(index, (kept, bytes))| (kept.piece.time, skipped(index), bytes))
}
