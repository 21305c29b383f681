//! What the kernel reports of flows: sockets that open and close, bytes that were lost.

use std::sync::Arc;

use super::{
    Table,
    entry::{Flow, Phase},
    opening::{self, Beginning, Opening},
    pending::Early,
};
use crate::model::{
    FlowEnd, FlowEvent, FlowInfo, FlowKey, LossReason, LossReport, SocketChange, SocketReport, Timestamp,
};

impl<S: Default> Table<S> {
    /// What the kernel says of a socket. It opens no flow: most reports may be of flows that nobody captures.
    pub(super) fn socket(
        &mut self,
        report: &SocketReport,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        self.advance(report.time, deliver);
        let key = FlowKey::new(report.zone, report.local, report.remote);
        let closed = report.change == SocketChange::Closed;
        let known = self.find(&key);
        if let Some(slot) = known
            && let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
        {
            if flow.is_of(report) {
                let before = flow.phase;
                if flow.report(report) {
                    deliver(&mut flow.info, &mut flow.state, FlowEvent::CgroupKnown);
                }
                if flow.phase != before {
                    self.recent.remove(slot);
                    self.lingering.push(slot);
                }
                return;
            }
            if closed {
                return;
            }
            // Another socket has these addresses now, and the SYN escaped us.
            if flow.phase != Phase::Open {
                self.end(slot, FlowEnd::Reused, report.time, deliver);
            }
        }
        if !closed {
            self.pending.opened(key, report);
            return self.forget(|_| false);
        }
        // All that we were to see of this flow was lost: its ledger says so.
        if let Some(early) = self.pending.take(&key)
            && early.lost() > 0
        {
            self.ghost(key, &early, report, deliver);
        }
    }

    /// A flow of which loss reports are all we have.
    #[cold]
    fn ghost(
        &mut self,
        key: FlowKey,
        early: &Early,
        report: &SocketReport,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        let client = early.opened.iter().find_map(opening::client_of);
        let opening = match client {
            Some(client) => Opening::Reported { source_is_client: client == report.local },
            None => Opening::guess(report.local, report.remote),
        };
        let mut flow = self.create(
            opening,
            &Beginning { key, source: report.local, destination: report.remote, time: report.time, interface: 0 },
        );
        apply(&mut flow, &key, early, &early.opened);
        flow.report(report);
        let slot = self.insert(key, flow, deliver);
        self.recent.remove(slot);
        self.lingering.push(slot);
    }

    pub(super) fn loss(&mut self, report: &LossReport) {
        let key = FlowKey::new(report.zone, report.source, report.destination);
        if let Some(slot) = self.find(&key)
            && let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
        {
            let side = flow.sender(report.source == key.low());
            flow.lost(side, report.reason, report.bytes);
        } else {
            self.pending.lost(key, report, self.ticked);
            self.forget(|_| false);
        }
    }

    /// Keeps what is pending within its bound, and forgets what is old.
    pub(super) fn forget(&mut self, old: impl Fn(Timestamp) -> bool) {
        self.shared.stats.unattributed_loss += self.pending.forget(self.shared.limits.pending, old);
    }
}

/// Gives a new flow what was reported before it.
pub(super) fn apply<S>(flow: &mut Flow<S>, key: &FlowKey, early: &Early, reports: &[SocketReport]) {
    for report in reports {
        flow.report(report);
    }
    for (endpoint, losses) in [key.low(), key.high()].into_iter().zip(early.losses) {
        let side = flow.sender(endpoint == key.low());
        for (reason, bytes) in LossReason::ALL.into_iter().zip(losses).filter(|(_, bytes)| *bytes > 0) {
            flow.lost(side, reason, bytes);
        }
    }
}
