//! The books of one direction: `carried = captured + skipped + lost`, each loss with its reason.

use super::direction::Direction;
use crate::model::{FlowEvent, LossReason, SideLedger, Timestamp};

impl Direction {
    /// Takes the byte back that turned out to be a FIN.
    pub(super) fn uncount_phantom(&mut self) {
        if std::mem::take(&mut self.phantom) && self.ledger.unlose(LossReason::NotSeen, 1) == 1 {
            self.delivered -= 1;
            self.next = self.next.wrapping_sub(1);
        }
    }

    /// What the kernel counted beyond the last byte that was handed over was lost at the end of the stream. That is
    /// known where the stream's start was seen; else it may have been lost at the start.
    pub(super) fn lose_tail(&mut self, time: Timestamp, emit: &mut impl FnMut(FlowEvent<'_>)) {
        let Some(kernel) = self.kernel.filter(|_| self.isn.is_some() && !self.finished) else { return };
        let missing = kernel.saturating_sub(self.delivered);
        if missing > 0 {
            self.gap(missing, LossReason::NotSeen, time, emit);
        }
    }

    /// The books, once nothing more will come: `carried = captured + skipped + lost`.
    ///
    /// What TCP carried is what the kernel counted or what sequence numbers prove, whichever is more. What is
    /// missing between the two was carried before we joined or not seen; loss reports tell the reason of some of it.
    pub(super) fn close(&mut self) -> SideLedger {
        if let Some(kernel) = self.kernel
            && !self.joined
            && kernel.checked_add(1) == Some(self.delivered)
        {
            self.uncount_phantom();
        }
        let mut ledger = self.ledger;
        let proven = ledger.captured + ledger.skipped() + ledger.lost_total();
        ledger.carried = self.kernel.map_or(proven, |kernel| kernel.max(proven));
        ledger.kernel = self.kernel == Some(ledger.carried);
        let missing = ledger.carried - proven;
        let unseen = ledger.unlose(LossReason::NotSeen, u64::MAX);
        let mut unexplained = unseen + missing;
        for reason in LossReason::ALL {
            let reported = self.losses.as_ref().and_then(|losses| losses.get(reason as usize)).map_or(0, |sum| *sum);
            let explained = reported.min(unexplained);
            ledger.lose(reason, explained);
            unexplained -= explained;
        }
        let before = if self.joined { unexplained.saturating_sub(unseen) } else { 0 };
        ledger.lose(LossReason::BeforeJoin, before);
        ledger.lose(LossReason::NotSeen, unexplained - before);
        ledger
    }
}
