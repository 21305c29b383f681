use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use crate::model::{FlowKey, LossReason, LossReport, SocketReport, Timestamp};

/// What the kernel said of a flow before we saw a segment of it.
#[derive(Default)]
pub(super) struct Early {
    /// A socket opened the connection or accepted it.
    pub(super) opened: Vec<SocketReport>,
    /// Bytes lost: of the key's lower end, and of its higher one.
    pub(super) losses: [[u64; LossReason::COUNT]; 2],
    ticket: u64,
}

impl Early {
    pub(super) fn lost(&self) -> u64 {
        self.losses.iter().flatten().fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }
}

/// Reports that wait for their flow's first segment. The kernel reports every socket of a cgroup, also of
/// connections that no captured interface carries: so they wait in a bounded place, for a bounded time, and make no
/// flow by themselves.
pub(super) struct Pending {
    by_key: HashMap<FlowKey, Early, RandomState>,
    /// In the order of arrival; entries whose ticket is no longer in `by_key` are stale.
    order: VecDeque<(Timestamp, u64, FlowKey)>,
    tickets: u64,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self { by_key: HashMap::default(), order: VecDeque::new(), tickets: 0 }
    }

    /// What waits for this flow. The usual answer is nothing, and then it costs nothing.
    pub(super) fn take(&mut self, key: &FlowKey) -> Option<Early> {
        if self.by_key.is_empty() { None } else { self.by_key.remove(key) }
    }

    pub(super) fn opened(&mut self, key: FlowKey, report: &SocketReport) {
        let entry = self.entry(key, report.time);
        entry.opened.retain(|other| other.local != report.local);
        entry.opened.push(report.clone());
    }

    pub(super) fn lost(&mut self, key: FlowKey, report: &LossReport, now: Timestamp) {
        let side = usize::from(report.source != key.low());
        let entry = self.entry(key, now);
        let bytes = entry.losses.get_mut(side).and_then(|losses| losses.get_mut(report.reason as usize));
        if let Some(bytes) = bytes {
            *bytes = bytes.saturating_add(report.bytes);
        }
    }

    fn entry(&mut self, key: FlowKey, now: Timestamp) -> &mut Early {
        let tickets = &mut self.tickets;
        let order = &mut self.order;
        self.by_key.entry(key).or_insert_with(|| {
            *tickets += 1;
            order.push_back((now, *tickets, key));
            Early { ticket: *tickets, ..Early::default() }
        })
    }

    /// Forgets what arrived before `expired` says so, or is beyond `most` entries; returns the bytes of loss that
    /// nobody will account for now.
    pub(super) fn forget(&mut self, most: usize, expired: impl Fn(Timestamp) -> bool) -> u64 {
        let mut unattributed: u64 = 0;
        while let Some(&(time, ticket, key)) = self.order.front() {
            let current = self.by_key.get(&key).is_some_and(|early| early.ticket == ticket);
            // Stale entries leave with their turn; so `order` is bounded as `by_key` is.
            if current && self.order.len() <= most && !expired(time) {
                break;
            }
            self.order.pop_front();
            if current && let Some(early) = self.by_key.remove(&key) {
                unattributed = unattributed.saturating_add(early.lost());
            }
        }
        unattributed
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }
}
