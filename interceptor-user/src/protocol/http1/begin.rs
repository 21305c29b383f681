//! Where a message begins: its head, whole in a chunk or gathered from several.

use super::{
    Decoder, PIECE, State, Then,
    chunked::Chunked,
    framing::{self, Framing},
    head::{self, Parsed, Strict},
    line, take,
};
use crate::{
    model::{Anomaly, Message},
    protocol::Context,
};

impl Decoder {
    #[inline]
    pub(super) fn head<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> Option<Message<'a>> {
        if self.buffer.is_empty() {
            while let Some(rest) = line::strip_empty_line(data) {
                self.parsed += (data.len() - rest.len()) as u64;
                *data = rest;
            }
            if data.is_empty() {
                return None;
            }
            self.started = context.time;
            if let Strict::Whole(parsed, len) = head::strict(self.role, data)
                && len <= context.head_limit
            {
                take(data, len as u64);
                return Some(self.begin_message(parsed, len, context));
            }
        }
        self.buffered_head(data, context)
    }

    /// A head that is not whole in this chunk, or odd.
    #[cold]
    fn buffered_head(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            let had = self.buffer.len();
            let taken = self.fill(data, context);
            let mut held = had;
            if had < 2 {
                while let Some(rest) = line::strip_empty_line(self.buffer.bytes()) {
                    let empty = self.buffer.len() - rest.len();
                    self.buffer.discard(empty);
                    held = held.saturating_sub(empty);
                    self.parsed += empty as u64;
                    self.started = context.time;
                }
            }
            if self.buffer.bytes() == b"\r" || self.buffer.is_empty() {
                continue;
            }
            if !self.may_be_head(had) {
                self.give_back(data, taken, held);
                self.anomalies.insert(Anomaly::Skipped);
                self.state = State::Search { fresh: false };
                return None;
            }
            if let Some(end) = self.buffer.head_end() {
                self.give_back(data, taken, end);
                let parsed = self.buffer.bytes().get(..end).and_then(|raw| head::lenient(self.role, raw));
                let Some(parsed) = parsed else {
                    self.lose(Anomaly::BadHead);
                    return None;
                };
                self.buffer.clear();
                return Some(self.begin_message(parsed, end, context));
            }
            if self.buffer.len() >= context.head_limit {
                self.lose(Anomaly::HeadTooLarge);
                return None;
            }
        }
        None
    }

    /// Adds to the buffer, as far as the limit allows, and says from where.
    pub(super) fn fill<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> &'a [u8] {
        let room = context.head_limit.saturating_sub(self.buffer.len()).clamp(1, PIECE);
        let taken = *data;
        self.buffer.extend(take(data, room as u64));
        taken
    }

    /// Puts what lies beyond `end` from the buffer back in front of `data`, which began as `taken`.
    pub(super) fn give_back<'a>(&mut self, data: &mut &'a [u8], taken: &'a [u8], end: usize) {
        let beyond = self.buffer.len().saturating_sub(end);
        let used = taken.len().saturating_sub(data.len()).saturating_sub(beyond);
        *data = taken.get(used..).unwrap_or_default();
        self.buffer.truncate(end);
    }

    /// Does the buffer begin as a head does? Looks at its first bytes while they are few, and once at its first line.
    fn may_be_head(&mut self, had: usize) -> bool {
        if had < line::BEGINNING && !line::may_begin(self.role, self.buffer.bytes()) {
            return false;
        }
        if self.buffer.line_checked {
            return true;
        }
        let fits = self.buffer.first_line().map(|line| line::is_start_line(self.role, line));
        self.buffer.line_checked = fits == Some(true);
        fits != Some(false)
    }

    /// A head was read: what follows it?
    #[inline]
    pub(super) fn begin_message(&mut self, parsed: Parsed, len: usize, context: &Context) -> Message<'static> {
        self.parsed += len as u64;
        let Parsed { head, facts, mut anomalies } = parsed;
        let framing = match head.status() {
            None => framing::request(&facts, head.version, &mut anomalies),
            Some(status) => framing::response(status, &facts, head.version, context.expects, &mut anomalies),
        };
        self.anomalies.merge(anomalies);
        self.state = State::Head;
        match framing {
            Framing::None => self.end_message(),
            Framing::Interim => {}
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunked(Chunked::START),
            Framing::UntilClose => self.state = State::UntilClose,
            Framing::Tunnel => {
                self.then = Then::EndOfTalk;
                self.state = State::Opaque;
            }
            Framing::Lost => {
                self.then = Then::Aborted;
                self.state = State::Search { fresh: true };
            }
        }
        Message::Head(head)
    }
}
