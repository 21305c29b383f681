//! Segments to chunks: the flow table and TCP reassembly.
//!
//! | file | holds |
//! |---|---|
//! | `mod.rs` | [`Table`]: which flow an event belongs to, and when flows end |
//! | `opening.rs` | how a flow begins, and who its client is |
//! | `reports.rs` | what the kernel reports of sockets and losses |
//! | `entry.rs` | one flow: its phases, port reuse |
//! | `handshake.rs` | its round trip |
//! | `sockets.rs` | what is known of a flow's sockets |
//! | `reset.rs` | whether a reset is believed |
//! | `direction.rs` | reassembly of one direction |
//! | `place.rs`, `books.rs` | where a segment's bytes belong; what became of all bytes |
//! | `stray.rs` | segments out of the window |
//! | `pieces.rs`, `history.rs` | out-of-order bytes; digests of what was delivered |
//! | `pending.rs` | reports that come before a flow's first segment |
//! | `timers.rs`, `expiry.rs` | what time brings; who is due next |
//! | `limits.rs`, `seq.rs` | bounds; sequence arithmetic |
//!
//! Invariants, which the property tests and the fuzz target check:
//! 1. Every byte of a direction is handed over once, in order, as data or as part of a gap.
//! 2. Without a gap given up, any order and any segmentation of the same segments hands over the same bytes.
//! 3. Out-of-order memory never exceeds `flow_bytes` per flow and `total_bytes` in all.
//! 4. At `Ended`, `carried = captured + skipped + lost`. What is in no ledger is in [`Stats`].
//!
//! A retransmission with other bytes than the first copy is noticed while the first copy is still queued (compared
//! byte by byte), and afterwards if it covers one of the last four segments of up to 2 KiB that were delivered on that
//! side (compared by digest).

#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod books;
mod direction;
mod entry;
mod expiry;
mod handshake;
mod history;
mod limits;
mod opening;
mod pending;
mod pieces;
mod place;
mod reports;
mod reset;
mod seq;
mod shared;
mod sockets;
mod stray;
#[cfg(test)]
mod tests;
mod timers;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use self::{
    entry::{Flow, Incarnation, Phase},
    expiry::Queue,
    opening::{Beginning, Opening},
    pending::Pending,
    reports::apply,
    shared::Shared,
    timers::watch,
};
pub use self::{limits::Limits, shared::Stats};
use crate::model::{Event, FlowEnd, FlowEvent, FlowInfo, FlowKey, Peer, Segment, Side, Timestamp};

/// All flows. `S` is what the pipeline keeps with each of them.
pub struct Table<S> {
    index: HashMap<FlowKey, u32, RandomState>,
    slots: Vec<Option<Flow<S>>>,
    free: Vec<u32>,
    /// The flow of the last segment: the next one is often its.
    latest: Option<(FlowKey, u32)>,
    /// Open flows, by their last segment.
    recent: Queue,
    /// Closed flows, by when they closed.
    lingering: Queue,
    /// Directions that wait for a hole to be filled (slot * 2, + 1 for the server's), by when they began to.
    waiting: Queue,
    pending: Pending,
    shared: Shared,
    ticked: Timestamp,
    ids: u64,
}

impl<S: Default> Table<S> {
    /// An empty table.
    pub fn new(limits: Limits) -> Self {
        Self {
            index: HashMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
            latest: None,
            recent: Queue::new(),
            lingering: Queue::new(),
            waiting: Queue::new(),
            pending: Pending::new(),
            shared: Shared { limits, total: 0, stats: Stats::default(), hasher: RandomState::default() },
            ticked: Timestamp::default(),
            ids: 0,
        }
    }

    /// Flows at the moment, those that linger after their end included.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// No flows at all?
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Every flow, and what is kept with it.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<FlowInfo>, &mut S)> {
        self.slots.iter_mut().flatten().map(|flow| (&flow.info, &mut flow.state))
    }

    /// What is known of the flow between these ends, if there is one.
    pub fn info(&self, key: &FlowKey) -> Option<&Arc<FlowInfo>> {
        self.flow(*self.index.get(key)?).map(|flow| &flow.info)
    }

    /// What this side of a flow sends is left out by the kernel up to a sequence number: it was told that nobody wants it.
    pub fn leave_out(&mut self, key: &FlowKey, side: Side, until: u32) {
        if let Some(slot) = self.find(key)
            && let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
        {
            flow.side_mut(side).leave_out(until);
        }
    }

    /// What the table did so far.
    pub const fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// Memory that out-of-order bytes take at the moment, in all flows.
    pub const fn queued_bytes(&self) -> usize {
        self.shared.total
    }

    /// Takes an event; hands over what follows from it.
    pub fn event(&mut self, event: &Event<'_>, mut deliver: impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>)) {
        match event {
            Event::Segment(segment) => self.segment(segment, &mut deliver),
            Event::Socket(report) => self.socket(report, &mut deliver),
            Event::Loss(report) => self.loss(report),
        }
    }

    /// Lets time pass: gives up holes, ends idle flows and those that have lingered.
    ///
    /// Events do the same as their times advance, so that what comes out does not depend on when this is called; it
    /// is for when no events come.
    pub fn tick(&mut self, now: Timestamp, mut deliver: impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>)) {
        self.expire(now, &mut deliver);
    }

    /// Tells the time to flows of which `waits` says that they wait for it.
    pub fn wait(
        &mut self,
        time: Timestamp,
        waits: impl Fn(&S) -> bool,
        mut deliver: impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        for flow in self.slots.iter_mut().flatten().filter(|flow| waits(&flow.state)) {
            deliver(&mut flow.info, &mut flow.state, FlowEvent::Waited { time });
        }
    }

    /// The capture ended: ends all flows.
    pub fn finish(&mut self, mut deliver: impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>)) {
        while let Some(slot) = self.lingering.front().or(self.recent.front()) {
            let time = self.flow(slot).map_or(self.ticked, |flow| flow.last);
            self.end(slot, FlowEnd::CaptureEnded, time, &mut deliver);
        }
        self.shared.stats.unattributed_loss += self.pending.forget(0, |_| true);
    }

    #[inline]
    fn segment(&mut self, segment: &Segment<'_>, deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>)) {
        self.advance(segment.time, deliver);
        let key = FlowKey::new(segment.zone, segment.source, segment.destination);
        let Some(slot) = self.find(&key).or_else(|| self.admit(key, segment, deliver)) else { return };
        let from_low = segment.source == key.low();
        let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let side = flow.sender(from_low);
        match flow.incarnation(side, segment) {
            Incarnation::Same => self.pass(slot, side, segment, deliver),
            other => self.reuse(slot, other, segment, deliver),
        }
    }

    /// Gives a segment to its flow, and keeps the queues true to what came of it.
    #[inline]
    fn pass(
        &mut self,
        slot: u32,
        side: Side,
        segment: &Segment<'_>,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let before = flow.phase;
        flow.segment(side, segment, &mut self.shared, deliver);
        if flow.phase == Phase::Open {
            if before != Phase::Open {
                self.lingering.remove(slot);
            }
            self.recent.push(slot);
        } else if flow.phase != before {
            self.recent.remove(slot);
            self.lingering.push(slot);
            if self.shared.limits.linger.is_zero() {
                self.end(slot, FlowEnd::Closed, segment.time, deliver);
                return;
            }
        }
        watch(flow, slot, segment.time, &mut self.waiting);
    }

    /// The addresses of `slot`'s flow are used for another one.
    #[cold]
    fn reuse(
        &mut self,
        slot: u32,
        incarnation: Incarnation,
        segment: &Segment<'_>,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        self.end(slot, FlowEnd::Reused, segment.time, deliver);
        let key = FlowKey::new(segment.zone, segment.source, segment.destination);
        let opening = match incarnation {
            Incarnation::Confirmed { by_opener: true, .. } => Some(Opening::Syn),
            Incarnation::Confirmed { by_opener: false, .. } => Some(Opening::SynAck),
            _ => Opening::of(segment, &[]),
        };
        let Some(opening) = opening else { return };
        let mut flow = self.create(opening, &Beginning::of(key, segment));
        if let Incarnation::Confirmed { isn, time, .. } = incarnation {
            Arc::make_mut(&mut flow.info).start = time;
            flow.side_mut(Side::Client).open(isn);
        }
        let slot = self.insert(key, flow, deliver);
        let from_low = segment.source == key.low();
        let side = self.flow(slot).map_or(Side::Client, |flow| flow.sender(from_low));
        self.pass(slot, side, segment, deliver);
    }

    #[inline]
    fn find(&mut self, key: &FlowKey) -> Option<u32> {
        if let Some((latest, slot)) = &self.latest
            && latest == key
        {
            return Some(*slot);
        }
        let slot = *self.index.get(key)?;
        self.latest = Some((*key, slot));
        Some(slot)
    }

    fn flow(&self, slot: u32) -> Option<&Flow<S>> {
        self.slots.get(slot as usize).and_then(Option::as_ref)
    }

    /// Opens a flow for the first segment of one, if it is one to open a flow for.
    #[cold]
    fn admit(
        &mut self,
        key: FlowKey,
        segment: &Segment<'_>,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) -> Option<u32> {
        // Looked at without the reports first: what opens no flow must not take them away.
        if Opening::of(segment, &[]).is_none() {
            self.shared.stats.strangers += 1;
            return None;
        }
        let early = self.pending.take(&key).unwrap_or_default();
        let opening = Opening::of(segment, &early.opened)?;
        let mut flow = self.create(opening, &Beginning::of(key, segment));
        // A handshake that was reported before this SYN was another connection's.
        let reports = if opening == Opening::Syn { &[] } else { early.opened.as_slice() };
        apply(&mut flow, &key, &early, reports);
        Some(self.insert(key, flow, deliver))
    }

    fn create(&mut self, opening: Opening, beginning: &Beginning) -> Flow<S> {
        let (client, server) = if opening.source_is_client() {
            (beginning.source, beginning.destination)
        } else {
            (beginning.destination, beginning.source)
        };
        self.ids += 1;
        self.shared.stats.flows += 1;
        let info = FlowInfo {
            id: self.ids,
            key: beginning.key,
            client: Peer::new(client),
            server: Peer::new(server),
            start: beginning.time,
            joined: opening.joined(),
            round_trip: None,
            interface: beginning.interface,
        };
        Flow::new(info, opening.late())
    }

    fn insert(
        &mut self,
        key: FlowKey,
        flow: Flow<S>,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) -> u32 {
        let time = flow.last;
        while self.index.len() >= self.shared.limits.flows.max(1) {
            // Flows that are closed anyway go first.
            let Some(oldest) = self.lingering.front().or(self.recent.front()) else { break };
            let open = self.flow(oldest).is_some_and(|flow| flow.phase == Phase::Open);
            self.shared.stats.evicted += u64::from(open);
            self.end(oldest, FlowEnd::Evicted, time, deliver);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.index.insert(key, slot);
        self.recent.push(slot);
        if let Some(place) = self.slots.get_mut(slot as usize) {
            let flow = place.insert(flow);
            deliver(&mut flow.info, &mut flow.state, FlowEvent::Opened { late: flow.late });
        }
        slot
    }

    fn end(
        &mut self,
        slot: u32,
        end: FlowEnd,
        time: Timestamp,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::take) else { return };
        self.index.remove(&flow.info.key);
        self.latest = None;
        self.recent.remove(slot);
        self.lingering.remove(slot);
        self.waiting.remove(slot * 2);
        self.waiting.remove(slot * 2 + 1);
        self.free.push(slot);
        flow.end(end, time, &mut self.shared, deliver);
    }
}
