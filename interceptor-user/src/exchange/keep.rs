//! What of the open exchanges is kept, and what is given up where there is no room for it.

use super::{
    Limits, Open, Seen,
    content::{Data, Room},
};
use crate::model::{Anomaly, Exchange, Fields, Head, Record, Role};

/// What the open exchanges of a flow keep.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// Bytes of their heads and contents.
    bytes: usize,
    /// Bytes that reading their contents takes.
    reading: usize,
    /// Parts of messages that found no room in the whole program.
    given_up: u64,
}

impl Keep {
    /// Nothing kept, and so many parts given up before.
    pub(super) fn with_given_up(given_up: u64) -> Self {
        Self { given_up, ..Self::default() }
    }

    /// About the memory that `open` exchanges hold, without a look at each.
    #[inline]
    pub(super) const fn held(&self, open: usize) -> usize {
        self.bytes + self.reading + open * (size_of::<Open>() + size_of::<Exchange>())
    }

    /// Does the flow keep as much as it may?
    pub(super) const fn is_over(&self, limits: &Limits<'_>) -> bool {
        self.bytes >= limits.memory
    }

    /// Parts of messages given up since this was asked last.
    #[inline]
    pub(super) const fn take_given_up(&mut self) -> u64 {
        std::mem::replace(&mut self.given_up, 0)
    }

    /// Another part was given up.
    pub(super) const fn note_given_up(&mut self) {
        self.given_up += 1;
    }

    /// An exchange has begun.
    pub(super) fn begun(&mut self, open: &Open) {
        self.bytes += open.kept;
        self.reading += open.reading();
    }

    /// An exchange is over.
    pub(super) fn over(&mut self, open: &Open) {
        self.bytes = self.bytes.saturating_sub(open.kept);
        self.reading = self.reading.saturating_sub(open.reading());
    }

    /// A request's head, of an exchange that is open already.
    pub(super) fn request(&mut self, open: &mut Open, head: Head, seen: Seen, limits: &Limits<'_>) {
        self.change(open, |open| open.start_request(head, seen, limits));
    }

    /// A response's head; without its fields where there is no room.
    pub(super) fn response(&mut self, open: &mut Open, mut head: Head, seen: Seen, limits: &Limits<'_>, held: usize) {
        if held >= limits.total || self.is_over(limits) {
            open.exchange.anomalies.insert(Anomaly::MemoryLimit);
            head.fields_given_up();
            self.given_up += 1;
        }
        self.change(open, |open| open.start_response(head, seen, limits));
    }

    /// Content. `held` is what all that is open holds.
    pub(super) fn body(
        &mut self,
        open: &mut Open,
        data: Data<'_>,
        limits: &Limits<'_>,
        held: usize,
        emit: &mut dyn FnMut(Record),
    ) {
        let total = limits.total.saturating_sub(held);
        let content = limits.memory.saturating_sub(self.bytes).min(total);
        let room = Room { body: open.body_limit(data.role), content, total: total.saturating_add(open.reading()) };
        let whole = self.change(open, |open| open.body(data, room, emit));
        self.given_up += u64::from(!whole && content == total);
    }

    /// Content that is missing, after which less may be read.
    pub(super) fn body_gap(&mut self, open: &mut Open, role: Role, missing: u64, emit: &mut dyn FnMut(Record)) {
        self.change(open, |open| open.body_gap(role, missing, emit));
    }

    /// What ends a message frees what reading it took.
    pub(super) fn end(&mut self, open: &mut Open, role: Role, ended: bool, seen: Seen, emit: &mut dyn FnMut(Record)) {
        self.change(open, |open| open.end(role, ended, seen, emit));
    }

    /// A WebSocket begins.
    pub(super) fn websocket(&mut self, open: &mut Open) {
        self.change(open, Open::begin_websocket);
    }

    /// Does something to an open exchange, and keeps count.
    #[inline]
    fn change<T>(&mut self, open: &mut Open, change: impl FnOnce(&mut Open) -> T) -> T {
        let (kept, reading) = (open.kept, open.reading());
        let result = change(open);
        self.bytes = (self.bytes + open.kept).saturating_sub(kept);
        self.reading = (self.reading + open.reading()).saturating_sub(reading);
        result
    }

    /// Trailers; none where there is no room.
    pub(super) fn trailers(&mut self, open: &mut Open, role: Role, fields: Fields, seen: Seen, full: bool) {
        if full {
            open.exchange.anomalies.insert(Anomaly::MemoryLimit);
            self.given_up += 1;
            return;
        }
        self.change(open, |open| open.trailers(role, fields, seen));
    }
}
