//! What of the open exchanges is kept, and what is given up where there is no room for it.

use super::{Limits, Open, Seen};
use crate::model::{Anomaly, Exchange, Fields, Head, Role};

/// What the open exchanges of a flow keep.
#[derive(Debug, Default)]
pub(super) struct Keep {
    /// Bytes of their heads and contents.
    bytes: usize,
    /// Parts of messages that found no room in the whole program.
    given_up: u64,
}

impl Keep {
    /// About the memory that `open` exchanges hold, without a look at each.
    #[inline]
    pub(super) const fn held(&self, open: usize) -> usize {
        self.bytes + open * (size_of::<Open>() + size_of::<Exchange>())
    }

    /// Does the flow keep as much as it may?
    pub(super) const fn is_over(&self, limits: &Limits) -> bool {
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
    pub(super) const fn begun(&mut self, open: &Open) {
        self.bytes += open.kept;
    }

    /// An exchange is over.
    pub(super) const fn over(&mut self, open: &Open) {
        self.bytes = self.bytes.saturating_sub(open.kept);
    }

    /// A request's head, of an exchange that is open already.
    pub(super) fn request(&mut self, open: &mut Open, head: Head, seen: Seen) {
        let had = open.kept;
        open.start_request(head, seen);
        self.bytes += open.kept - had;
    }

    /// A response's head; without its fields where there is no room.
    pub(super) fn response(&mut self, open: &mut Open, mut head: Head, seen: Seen, full: bool) {
        if full {
            open.exchange.anomalies.insert(Anomaly::MemoryLimit);
            head.fields_given_up();
            self.given_up += 1;
        }
        let had = open.kept;
        open.start_response(head, seen);
        self.bytes += open.kept - had;
    }

    /// Content. `held` is what all that is open holds.
    pub(super) fn body(&mut self, open: &mut Open, role: Role, piece: &[u8], seen: Seen, limits: &Limits, held: usize) {
        // Most often none is to be kept.
        let total = if limits.body == 0 { 0 } else { limits.total.saturating_sub(held) };
        let room = limits.memory.saturating_sub(self.bytes).min(total);
        let had = open.kept;
        let whole = open.body(role, piece, seen.last, limits.body, room);
        self.bytes += open.kept - had;
        self.given_up += u64::from(!whole && room == total);
    }

    /// Trailers; none where there is no room.
    pub(super) fn trailers(&mut self, open: &mut Open, role: Role, fields: Fields, seen: Seen, full: bool) {
        if full {
            open.exchange.anomalies.insert(Anomaly::MemoryLimit);
            self.given_up += 1;
            return;
        }
        let had = open.kept;
        open.trailers(role, fields, seen.last);
        self.bytes += open.kept - had;
    }
}
