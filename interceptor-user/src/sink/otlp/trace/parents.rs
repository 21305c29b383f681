//! The parents of clients' spans.
//!
//! An application that passes the trace context on as it got it gives its own requests the parent that the request has that
//! it serves. So a client's span whose parent on the wire is also that of a request which its pod was serving at the time
//! belongs under the span of that. The exchange that is served is over later: the client's waits for it, for a while.
//!
//! ```text
//! on the wire    P ─► request to A        A's request to B: P again
//! in the trace   P ─► server span at A ─► client span of A ─► server span at B
//! ```

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use super::{
    context::{SpanId, TraceId},
    ids::Trace,
};
use crate::{
    model::{Exchange, FlowInfo, Record, Side, Timestamp},
    sink::{
        delivery::{Limits, Waiting},
        prometheus::is_local,
    },
};

/// Requests that one place serves for the same parent, and that are remembered: retries and fan-outs.
const SERVED_MAX: usize = 64;
/// Exchanges of one place with the same parent that are kept back. Each that is served is compared with all of them, so a
/// client that gives every request the same parent must not make them many.
const ASKING_MAX: usize = 64;

/// Finds them.
pub(super) struct Parents {
    wait: Duration,
    /// What is kept back may use half of the queue.
    records_max: usize,
    bytes_max: u64,
    /// Exchanges that were served lately, by what tells that another belongs to them.
    served: HashMap<Key, VecDeque<Served>>,
    /// When each of those is forgotten.
    forget: VecDeque<(Instant, Key)>,
    /// In the order in which they came.
    kept: BTreeMap<u64, Kept>,
    kept_bytes: u64,
    by_key: HashMap<Key, Vec<u64>>,
    came: u64,
    /// Of those that go into the next batch.
    found: HashMap<Number, SpanId>,
}

/// A flow's number and the exchange's in it.
type Number = (u64, u64);

/// The same parent on the wire at the same place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    trace: TraceId,
    parent: SpanId,
    owner: Owner,
}

/// Who serves and asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Owner {
    Pod(Box<str>),
    Container(Box<str>),
    Cgroup(u64),
    /// The network namespace and the address: what is left.
    Address(u32, [u8; 16]),
}

#[derive(Clone, Copy, Debug)]
struct Served {
    exchange: Number,
    span: SpanId,
    start: Timestamp,
    end: Timestamp,
    /// When it is forgotten.
    until: Instant,
}

struct Kept {
    waiting: Waiting,
    key: Key,
    until: Instant,
}

impl Owner {
    fn of(flow: &FlowInfo, side: Side) -> Self {
        let peer = flow.peer(side);
        match (&peer.container, peer.cgroup) {
            (Some(container), _) => match &container.pod {
                Some(pod) => Self::Pod(pod.uid.clone()),
                None => Self::Container(container.id.clone()),
            },
            (None, Some(cgroup)) => Self::Cgroup(cgroup),
            (None, None) => Self::Address(flow.key.zone(), peer.endpoint.mapped()),
        }
    }
}

impl Key {
    fn of(exchange: &Exchange, trace: &Trace, side: Side) -> Option<Self> {
        let parent = trace.parent.filter(|_| is_local(&exchange.flow, side))?;
        Some(Self { trace: trace.id, parent, owner: Owner::of(&exchange.flow, side) })
    }
}

fn number(exchange: &Exchange) -> Number {
    (exchange.flow.id, exchange.number)
}

impl Served {
    /// Was it going on when the other began? Strictly: so none is its own parent's parent.
    fn encloses(&self, exchange: &Exchange) -> bool {
        let start = exchange.request.as_ref().map(|request| request.first_byte);
        start.is_some_and(|start| self.start < start && start <= self.end) && self.exchange != number(exchange)
    }
}

impl Parents {
    pub(super) fn new(wait: Duration, limits: Limits) -> Self {
        Self {
            wait,
            records_max: limits.queue_records / 2,
            bytes_max: limits.queue_bytes as u64 / 2,
            served: HashMap::new(),
            forget: VecDeque::new(),
            kept: BTreeMap::new(),
            kept_bytes: 0,
            by_key: HashMap::new(),
            came: 0,
            found: HashMap::new(),
        }
    }

    /// The span that this client's hangs on, if one was found.
    pub(super) fn found(&self, exchange: &Exchange) -> Option<SpanId> {
        self.found.get(&number(exchange)).copied()
    }

    /// Takes what came, and passes on what waits for nothing any more. Says when to ask again.
    pub(super) fn line_up(
        &mut self,
        came: Vec<Waiting>,
        line: &mut VecDeque<Waiting>,
        now: Instant,
        ending: bool,
    ) -> Option<Instant> {
        // What was passed on and is not in line any more is delivered, or given up.
        if self.found.len() > 2 * line.len() {
            let number_of = |waiting: &Waiting| match &*waiting.record {
                Record::Exchange(exchange) => Some(number(exchange)),
                _ => None,
            };
            let in_line: HashSet<Number> = line.iter().filter_map(number_of).collect();
            self.found.retain(|number, _| in_line.contains(number));
        }
        for waiting in came {
            self.take(waiting, line, now);
        }
        while let Some((number, kept)) = self.kept.first_key_value() {
            let full = self.kept.len() > self.records_max || self.kept_bytes > self.bytes_max;
            if !(ending || full || kept.until <= now) {
                break;
            }
            let number = *number;
            self.release(number, line);
        }
        while self.forget.front().is_some_and(|(when, _)| *when <= now) || self.forget.len() > 2 * self.records_max {
            self.forget_one();
        }
        self.kept.first_key_value().map(|(_, kept)| kept.until)
    }

    fn take(&mut self, waiting: Waiting, line: &mut VecDeque<Waiting>, now: Instant) {
        let record = std::sync::Arc::clone(&waiting.record);
        let Record::Exchange(exchange) = &*record else { return line.push_back(waiting) };
        let Some(trace) = Trace::of(exchange) else { return line.push_back(waiting) };
        if let Some(key) = Key::of(exchange, &trace, Side::Server) {
            self.serve(exchange, &trace, key, line, now);
        }
        match Key::of(exchange, &trace, Side::Client) {
            Some(key) => self.ask(exchange, key, waiting, line, now),
            None => line.push_back(waiting),
        }
    }

    /// Remembers it, and passes on those that waited for it.
    fn serve(&mut self, exchange: &Exchange, trace: &Trace, key: Key, line: &mut VecDeque<Waiting>, now: Instant) {
        let Some(request) = &exchange.request else { return };
        let end = exchange.response.as_ref().unwrap_or(request).last_byte;
        let span = trace.span(Side::Server);
        let until = now + self.wait;
        let served = Served { exchange: number(exchange), span, start: request.first_byte, end, until };
        for number in self.by_key.get(&key).cloned().unwrap_or_default() {
            let Some(Record::Exchange(waits)) = self.kept.get(&number).map(|kept| &*kept.waiting.record) else {
                continue;
            };
            if served.encloses(waits) {
                self.found.insert(self::number(waits), span);
                self.release(number, line);
            }
        }
        let all = self.served.entry(key.clone()).or_default();
        all.push_back(served);
        if all.len() > SERVED_MAX {
            all.pop_front();
        }
        self.forget.push_back((until, key));
    }

    /// Passes it on if what it belongs to is known, or keeps it back.
    fn ask(&mut self, exchange: &Exchange, key: Key, waiting: Waiting, line: &mut VecDeque<Waiting>, now: Instant) {
        let served = self.served.get(&key).into_iter().flatten().filter(|served| served.encloses(exchange));
        // The innermost: what began last.
        if let Some(served) = served.max_by_key(|served| served.start) {
            self.found.insert(number(exchange), served.span);
            return line.push_back(waiting);
        }
        let asking = self.by_key.entry(key.clone()).or_default();
        if asking.len() >= ASKING_MAX {
            return line.push_back(waiting);
        }
        self.came += 1;
        self.kept_bytes += waiting.bytes;
        asking.push(self.came);
        self.kept.insert(self.came, Kept { waiting, key, until: now + self.wait });
    }

    fn release(&mut self, number: u64, line: &mut VecDeque<Waiting>) {
        let Some(Kept { waiting, key, .. }) = self.kept.remove(&number) else { return };
        self.kept_bytes = self.kept_bytes.saturating_sub(waiting.bytes);
        if let Some(numbers) = self.by_key.get_mut(&key) {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_key.remove(&key);
            }
        }
        line.push_back(waiting);
    }

    /// The one that was served first, unless it had to go before.
    fn forget_one(&mut self) {
        let Some((when, key)) = self.forget.pop_front() else { return };
        if let Some(served) = self.served.get_mut(&key) {
            while served.front().is_some_and(|served| served.until <= when) {
                served.pop_front();
            }
            if served.is_empty() {
                self.served.remove(&key);
            }
        }
    }
}
