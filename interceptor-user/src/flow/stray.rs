//! Segments that are out of the window: no receiver would accept them, if we know what it knows.
//!
//! One is kept. If another follows on it, we are the ones who are wrong: more was missed than a window, after a cut-off
//! or where a capture lost much at once. Else it was forged, or is of another connection, and is set aside: a single
//! packet must not make a gap of what is still to come.

use super::{
    direction::{Direction, Incoming},
    pieces::PIECE_COST,
    seq::{DATA_WINDOW, WINDOW, distance},
    shared::Shared,
};
use crate::model::{FlowEvent, LossReason, Timestamp};

/// A segment that waits for the next.
pub(super) struct Stray {
    seq: u32,
    payload: Box<[u8]>,
    cut: Option<(u64, LossReason)>,
    time: Timestamp,
}

impl Stray {
    pub(super) const fn cost(&self) -> usize {
        self.payload.len() + PIECE_COST
    }

    fn incoming(&self) -> Incoming<'_> {
        Incoming { seq: self.seq, payload: &self.payload, cut: self.cut, fin: false, time: self.time }
    }

    fn end(&self) -> u32 {
        self.seq.wrapping_add(self.incoming().len() as u32)
    }
}

impl Direction {
    pub(super) fn is_in_window(&self, incoming: &Incoming<'_>) -> bool {
        let delta = distance(incoming.seq, self.next);
        let ahead = if incoming.len() == 0 { WINDOW } else { self.window() };
        (-WINDOW..=ahead).contains(&delta) && incoming.len() <= WINDOW as u64
    }

    /// How far ahead data is believed: what we know to have missed widens it.
    fn window(&self) -> i64 {
        let lost =
            self.losses.as_ref().map_or(0, |losses| losses.iter().fold(0_u64, |sum, lost| sum.saturating_add(*lost)));
        let acked = self.acked.saturating_sub(self.delivered);
        DATA_WINDOW.saturating_add(lost).saturating_add(acked).min(WINDOW as u64).cast_signed()
    }

    /// Takes a segment that is out of the window. If it follows on the last such one, that one is handed over, after
    /// all that was missed, and this one is in the window now.
    pub(super) fn stray_is_followed(
        &mut self,
        incoming: &Incoming<'_>,
        peer_queued: usize,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) -> bool {
        let credible = (1..=WINDOW as u64).contains(&incoming.len()) && self.fin.is_none();
        if credible && let Some(stray) = self.stray.take_if(|stray| stray.end() == incoming.seq) {
            shared.total -= stray.cost();
            let start = self.delivered + u64::from(stray.seq.wrapping_sub(self.next));
            self.give_up_to(start, LossReason::NotSeen, stray.time, shared, emit);
            self.place(&stray.incoming(), start.cast_signed(), peer_queued, shared, emit);
            return true;
        }
        self.forget_stray(shared);
        if credible && self.has_room(incoming.payload.len(), peer_queued, shared) {
            let Incoming { seq, payload, cut, time, .. } = *incoming;
            let stray = Stray { seq, payload: payload.into(), cut, time };
            shared.total += stray.cost();
            self.stray = Some(Box::new(stray));
        } else {
            count(incoming, shared);
        }
        false
    }

    /// Sets the last one aside: nothing followed on it.
    pub(super) fn forget_stray(&mut self, shared: &mut Shared) {
        if let Some(stray) = self.stray.take() {
            shared.total -= stray.cost();
            count(&stray.incoming(), shared);
        }
    }
}

const fn count(incoming: &Incoming<'_>, shared: &mut Shared) {
    shared.stats.out_of_window += 1;
    shared.stats.out_of_window_bytes += incoming.payload.len() as u64;
}
