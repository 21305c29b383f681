//! The path of a byte: source ─► flow ─► session ─► inspect ─► sink; of a connection that we carry ourselves, socket ─► session ─►
//! inspect ─► sink.
//!
//! One [`Pipeline`] is one worker: it owns its flows and shares nothing but the [`Counts`] it publishes. A live capture,
//! a capture file and a test differ in the [`Source`] that they run it on, and in nothing else.

mod budget;
mod carried;

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use foldhash::fast::RandomState;

pub use self::{
    budget::Budget,
    carried::{CarriedId, Decision},
};
use self::{budget::Share, carried::Carried};
use crate::{
    capture::{Polled, Source},
    flow,
    inspect::{self, Stage},
    model::{Counts, Decide, Event, Exchange, FlowEvent, FlowInfo, FlowKey, Record, Side, Timestamp},
    session::{self, Session, Unwanted},
    sink::{Sink, Stop},
};

/// How long a poll may wait, and so how long a request to stop may go unnoticed.
const POLL: Duration = Duration::from_millis(100);

/// How often the sink is told of the exchanges that are not over. To find them, every flow is looked at.
const TELL_OPEN: Duration = Duration::from_secs(1);

/// Bounds of a pipeline.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Flows and reassembly.
    pub flow: flow::Limits,
    /// Decoding and pairing of one flow. `room` is what `memory` has.
    pub session: session::Limits<'static>,
    /// What is made of exchanges before the sink gets them.
    pub inspect: inspect::Options,
    /// What decoding keeps, of all flows of all pipelines that this is shared by.
    pub memory: Arc<Budget>,
}

/// Gives a flow what the capture cannot know: processes and containers behind its sockets.
pub type Identify = Box<dyn FnMut(&mut FlowInfo) + Send>;

/// Has the kernel leave out what nobody wants of what this side of a flow sends.
pub type Skip = Box<dyn FnMut(&FlowInfo, Side, Leave) + Send>;

/// What the kernel is to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// All up to a sequence number.
    Until(u32),
    /// The same, and then what lies beyond the first bytes of each turn.
    Turns(u32),
    /// Nothing any more.
    Nothing,
}

/// Bytes of a content from which on the kernel is told to leave them out: telling it costs as much as reading some.
const SKIP_LEAST: u64 = 64 * 1024;

/// One worker, from events to records.
pub struct Pipeline<K> {
    flows: flow::Table<Session>,
    /// Connections that we carry ourselves.
    carried: HashMap<CarriedId, Carried, RandomState>,
    carried_ids: u64,
    /// When the sink was last told of the exchanges that are not over.
    told_open: Timestamp,
    downstream: Downstream<K>,
}

/// What comes after the flow table; apart from it, so that both can be borrowed at once.
struct Downstream<K> {
    limits: session::Limits<'static>,
    stage: Stage,
    sink: K,
    wants_events: bool,
    identify: Option<Identify>,
    skip: Option<Skip>,
    /// What it was told with the last event.
    skipped: Vec<(FlowKey, Side, u32)>,
    /// Sides of open flows of which it was told something.
    cut: HashSet<(FlowKey, Side)>,
    counts: Arc<Counts>,
    flows_opened: u64,
    open_exchanges: u64,
    /// What decoding keeps, of all flows.
    share: Share,
    /// Parts of messages that it had no room for.
    given_up: u64,
    /// The first error of the sink, until it is reported.
    failure: Option<anyhow::Error>,
    /// The sink failed or wants no more; nothing is handed to it any longer.
    done: bool,
}

impl<K: Sink> Pipeline<K> {
    /// An empty pipeline in front of `sink`.
    pub fn new(options: Options, sink: K) -> Self {
        Self {
            flows: flow::Table::new(options.flow),
            carried: HashMap::default(),
            carried_ids: 0,
            told_open: Timestamp::default(),
            downstream: Downstream {
                limits: options.session,
                stage: Stage::new(inspect::Options { shown: options.session.body, ..options.inspect }),
                wants_events: sink.wants_events(),
                sink,
                identify: None,
                skip: None,
                skipped: Vec::new(),
                cut: HashSet::new(),
                counts: Arc::default(),
                flows_opened: 0,
                open_exchanges: 0,
                share: Share::of(options.memory),
                given_up: 0,
                failure: None,
                done: false,
            },
        }
    }

    /// Asks `identify` about every new flow, and again once more is known of its sockets.
    #[must_use]
    pub fn with_identify(mut self, identify: Identify) -> Self {
        self.downstream.identify = Some(identify);
        self
    }

    /// Tells `skip` what nobody wants.
    #[must_use]
    pub fn with_skip(mut self, skip: Skip) -> Self {
        // Who wants packets wants all of them.
        self.downstream.skip = Some(skip).filter(|_| !self.downstream.wants_events);
        self
    }

    /// Takes what the source gives until it ends, `stop` is set, or the sink wants no more ([`Stop`], which is no error).
    pub fn run<S: Source>(&mut self, source: &mut S, stop: &AtomicBool) -> anyhow::Result<()> {
        while !stop.load(Relaxed) {
            let polled = source.poll(POLL, |event| self.event(&event))?;
            match polled {
                Polled::Events { now } | Polled::Idle { now } => self.tick(now),
                Polled::End => return self.downstream.settle(),
            }
            if self.downstream.done {
                break;
            }
        }
        self.downstream.settle()
    }

    /// Ends every flow, flushes the sink and closes it: the capture is over.
    pub fn finish(&mut self) -> anyhow::Result<()> {
        self.flows.finish(|info, session, event| self.downstream.deliver(info, session, event));
        self.downstream.stage.tick(Timestamp::default(), true);
        self.downstream.tell_drift();
        self.tell_open();
        self.publish();
        self.downstream.settle()?;
        match self.downstream.sink.close() {
            Err(error) if !error.is::<Stop>() => Err(error),
            _ => Ok(()),
        }
    }

    /// What this pipeline tells others about itself.
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.downstream.counts
    }

    /// Where the records go.
    pub const fn sink(&self) -> &K {
        &self.downstream.sink
    }

    /// Where the records go, to change it.
    pub const fn sink_mut(&mut self) -> &mut K {
        &mut self.downstream.sink
    }

    /// What the records made of it.
    pub fn into_sink(self) -> K {
        self.downstream.sink
    }

    fn event(&mut self, event: &Event<'_>) {
        self.renew();
        self.flows.event(event, |info, session, event| self.downstream.deliver(info, session, event));
        for (key, side, until) in self.downstream.skipped.drain(..) {
            self.flows.leave_out(&key, side, until);
        }
        if self.downstream.wants_events
            && let Some(info) = self.flows.info(&event.key())
        {
            self.downstream.sink(|sink| sink.event(info, event));
        }
    }

    /// Puts another policy in force, if there is one.
    #[inline]
    fn renew(&mut self) {
        if self.downstream.stage.renew() {
            self.capture_all_again();
        }
    }

    /// What the kernel leaves out by the old policy, the new one may want.
    #[cold]
    fn capture_all_again(&mut self) {
        let Some(skip) = &mut self.downstream.skip else { return };
        for (key, side) in self.downstream.cut.drain() {
            if let Some(info) = self.flows.info(&key) {
                skip(info, side, Leave::Nothing);
            }
        }
    }

    /// Time has passed. For whoever hands over events himself; [`Self::run`] does it of itself.
    pub fn tick(&mut self, now: Timestamp) {
        self.flows.tick(now, |info, session, event| self.downstream.deliver(info, session, event));
        self.downstream.stage.tick(now, false);
        self.renew();
        self.downstream.tell_drift();
        if now.since(self.told_open) >= TELL_OPEN {
            self.told_open = now;
            if self.downstream.open_exchanges > 0 {
                self.flows.wait(now, Session::waits, |info, session, event| {
                    self.downstream.deliver(info, session, event);
                });
            }
            self.tell_open();
        }
        self.downstream.sink(|sink| sink.tick(now));
        self.downstream.flush();
        self.downstream.counts.polls.fetch_add(1, Relaxed);
        self.publish();
    }

    fn tell_open(&mut self) {
        // No further than the last one, so that with none no flow is looked at.
        let count = usize::try_from(self.downstream.open_exchanges).unwrap_or(usize::MAX);
        let flows = self.flows.iter_mut();
        let carried = self.carried.values_mut().map(|carried| (&carried.info, &mut carried.session));
        let sessions = flows.chain(carried);
        let mut open = sessions.flat_map(|(info, session)| session.open_exchanges(info)).take(count);
        self.downstream.tell_open(&mut open);
    }

    fn publish(&self) {
        let counts = &self.downstream.counts;
        counts.open_flows.store((self.flows.len() + self.carried.len()) as u64, Relaxed);
        counts.flows_opened.store(self.downstream.flows_opened, Relaxed);
        counts.open_exchanges.store(self.downstream.open_exchanges, Relaxed);
        counts.session_bytes.store(self.downstream.share.used() as u64, Relaxed);
        counts.session_given_up.store(self.downstream.given_up, Relaxed);
        publish_stats(counts, self.flows.stats());
    }
}

impl<K: Sink> Downstream<K> {
    fn deliver(&mut self, info: &mut Arc<FlowInfo>, session: &mut Session, event: FlowEvent<'_>) {
        let opened = matches!(event, FlowEvent::Opened { .. });
        self.flows_opened += u64::from(opened);
        if (opened || matches!(event, FlowEvent::CgroupKnown))
            && let Some(identify) = &mut self.identify
        {
            identify(Arc::make_mut(info));
        }
        let before = u64::from(session.open());
        let held = session.held();
        let Stage { keep, look, most, .. } = &mut self.stage;
        let needs = |exchange: &Exchange| keep.needs(exchange);
        let decide = (!keep.is_idle()).then_some(Decide(&needs));
        let limits = session::Limits {
            room: self.share.room(),
            memory: self.limits.memory.saturating_add(*most),
            decide,
            ..self.limits
        };
        let (sink, failure, done) = (&mut self.sink, &mut self.failure, &mut self.done);
        session.event(info, event, &limits, &mut |mut record: Record| {
            look.record(&mut record);
            if !*done {
                *failure = sink.take(record).err();
                *done = failure.is_some();
            }
        });
        self.tell_drift();
        if let FlowEvent::Chunk { side, next, .. } = event {
            self.skip_unwanted(info, session, side, next);
        }
        if matches!(event, FlowEvent::Ended { .. }) {
            self.capture_again(info);
        }
        self.open_exchanges = (self.open_exchanges + u64::from(session.open())).saturating_sub(before);
        self.share.change(held, session.held());
        self.given_up += session.take_given_up();
    }

    /// Tells the kernel what of the bytes from `next` on nobody wants.
    #[inline]
    fn skip_unwanted(&mut self, info: &FlowInfo, session: &mut Session, side: Side, next: u32) {
        let Some(skip) = &mut self.skip else { return };
        let Some(unwanted) = session.take_unwanted(side, SKIP_LEAST, self.stage.may_want) else { return };
        let until = |count: u64| next.wrapping_add(count as u32);
        let (leave, count) = match unwanted {
            Unwanted::Next(count) => (Some(Leave::Until(until(count))), count),
            Unwanted::Turns(count) => (Some(Leave::Turns(until(count))), count),
            Unwanted::Known(count) => (None, count),
            Unwanted::Nothing => (Some(Leave::Nothing), 0),
        };
        if let Some(leave) = leave {
            skip(info, side, leave);
            self.cut.insert((info.key, side));
        }
        if count > 0 {
            self.skipped.push((info.key, side, until(count)));
        }
    }

    fn tell_open(&mut self, open: &mut dyn Iterator<Item = &Exchange>) {
        self.sink(|sink| sink.open(open));
    }

    /// A flow is over: who uses its addresses next is not to find the end of what was left out of it.
    fn capture_again(&mut self, info: &FlowInfo) {
        let Some(skip) = &mut self.skip else { return };
        for side in Side::BOTH {
            if self.cut.remove(&(info.key, side)) {
                skip(info, side, Leave::Nothing);
            }
        }
    }

    /// Hands over the windows that are over.
    fn tell_drift(&mut self) {
        for drift in self.stage.look.take_drift() {
            self.sink(|sink| sink.take(Record::Drift(Box::new(drift))));
        }
    }

    fn flush(&mut self) {
        self.sink(Sink::flush);
    }

    /// Asks something of the sink, unless it is done with.
    fn sink(&mut self, ask: impl FnOnce(&mut K) -> anyhow::Result<()>) {
        if !self.done {
            self.failure = ask(&mut self.sink).err();
            self.done = self.failure.is_some();
        }
    }

    fn settle(&mut self) -> anyhow::Result<()> {
        self.flush();
        match self.failure.take() {
            Some(failure) if !failure.is::<Stop>() => Err(failure),
            _ => Ok(()),
        }
    }
}

/// Publishes what is in no flow's ledger, for whoever must know that nothing is left out silently.
fn publish_stats(counts: &Counts, stats: &flow::Stats) {
    let flow::Stats {
        flows: _, // `flows_opened`, which the pipeline counts itself
        evicted,
        strangers,
        out_of_window,
        out_of_window_bytes,
        beyond_end_bytes,
        resets_ignored,
        acks_ignored,
        fins_ignored,
        late_bytes,
        after_end_bytes,
        unattributed_loss,
    } = *stats;
    counts.evicted.store(evicted, Relaxed);
    counts.strangers.store(strangers, Relaxed);
    counts.out_of_window.store(out_of_window, Relaxed);
    counts.out_of_window_bytes.store(out_of_window_bytes, Relaxed);
    counts.beyond_end_bytes.store(beyond_end_bytes, Relaxed);
    counts.resets_ignored.store(resets_ignored, Relaxed);
    counts.acks_ignored.store(acks_ignored, Relaxed);
    counts.fins_ignored.store(fins_ignored, Relaxed);
    counts.late_bytes.store(late_bytes, Relaxed);
    counts.after_end_bytes.store(after_end_bytes, Relaxed);
    counts.unattributed_loss.store(unattributed_loss, Relaxed);
}

#[cfg(test)]
mod tests;
