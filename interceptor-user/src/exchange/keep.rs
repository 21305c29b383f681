//! What of the open exchanges is kept, and what is given up where there is no room for it.

use super::{Limits, Open, Pairing, Seen};
use crate::model::{Anomaly, Exchange, Fields, Role};

impl Pairing {
    /// About as much as [`Pairing::memory`], without a look at each open exchange.
    #[inline]
    pub fn held(&self) -> usize {
        self.kept + self.queue.len() * (size_of::<Open>() + size_of::<Exchange>())
    }

    /// Parts of messages given up since this was asked last.
    #[inline]
    pub const fn take_given_up(&mut self) -> u64 {
        std::mem::replace(&mut self.given_up, 0)
    }

    /// Another part was given up.
    pub const fn note_given_up(&mut self) {
        self.given_up += 1;
    }

    /// There is no room for more in the whole program.
    #[inline]
    pub(super) fn is_full(&self, limits: &Limits) -> bool {
        self.held() >= limits.total
    }

    pub(super) fn body(&mut self, role: Role, piece: &[u8], seen: Seen, limits: &Limits) {
        // Most often none is to be kept.
        let total = if limits.body == 0 { 0 } else { limits.total.saturating_sub(self.held()) };
        let room = limits.memory.saturating_sub(self.kept).min(total);
        if let Some(open) = self.current(role) {
            let had = open.kept;
            let whole = open.body(role, piece, seen.last, limits.body, room);
            let more = open.kept - had;
            self.kept += more;
            self.given_up += u64::from(!whole && room == total);
        }
    }

    pub(super) fn trailers(&mut self, role: Role, fields: Fields, seen: Seen, limits: &Limits) {
        let full = self.is_full(limits);
        let Some(open) = self.current(role) else { return };
        if full {
            open.exchange.anomalies.insert(Anomaly::MemoryLimit);
            self.given_up += 1;
            return;
        }
        let had = open.kept;
        open.trailers(role, fields, seen.last);
        let more = open.kept - had;
        self.kept += more;
    }
}
