//! The map of a daemon: workers draw on it, requests read it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    Chart, Limits, Map,
    edge::Key,
    graph::{Call, Calls},
    told::{News, Told},
};
use crate::model::{EdgeEnd, EdgeRecord, Record, Timestamp};

/// How often what is idle is looked for.
const FORGET: Duration = Duration::from_mins(1);

/// One map for all workers, because what one end saw the other may have seen too, at another worker. There are two at the
/// most, so the lock is nearly always free.
#[derive(Debug)]
pub struct Shared(Mutex<Inner>);

#[derive(Debug)]
struct Inner {
    map: Map,
    calls: Calls,
    window: Option<Window>,
    forgot: Timestamp,
}

/// What is told as records when its time is over.
#[derive(Debug)]
struct Window {
    told: Told,
    length: u64,
    /// Which one it is, counted from the Unix epoch.
    number: Option<u64>,
    /// The next one. What comes late, of one that was told, belongs to it.
    next: u64,
}

impl Shared {
    /// With `interval`, edges are records too, once in each; none is forgotten within one.
    pub fn new(mut limits: Limits, interval: Option<Duration>) -> Self {
        limits.idle = limits.idle.max(interval.unwrap_or_default());
        let length = |interval: Duration| u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        let window = |interval| Window { told: Told::default(), length: length(interval), number: None, next: 0 };
        Self(Mutex::new(Inner {
            map: Map::new(limits),
            calls: Calls::default(),
            window: interval.map(window),
            forgot: Timestamp::default(),
        }))
    }

    /// Takes a record; gives the edges of the interval that is over by it, if one is.
    pub fn record(&self, record: &Record) -> Vec<EdgeRecord> {
        let time = match record {
            Record::Exchange(exchange) => super::times(exchange)[1],
            Record::Flow(flow) if flow.unseen() => flow.time,
            Record::Flow(_) | Record::Message(_) | Record::Drift(_) | Record::Edge(_) => return Vec::new(),
        };
        let mut inner = self.inner();
        let over = inner.turn_to(time);
        inner.map.record(record);
        if let Some(window) = &mut inner.window {
            window.number.get_or_insert((time.as_nanos() / window.length).max(window.next));
        }
        over
    }

    /// It is so late now; gives the edges of the interval that is over by that, if one is.
    pub fn tick(&self, now: Timestamp) -> Vec<EdgeRecord> {
        let mut inner = self.inner();
        // What is over is told before it may be forgotten.
        let over = inner.turn_to(now);
        if now.since(inner.forgot) >= FORGET {
            inner.forgot = now;
            inner.map.forget(now);
        }
        over
    }

    /// Gives the edges of the interval that is not over.
    pub fn end(&self) -> Vec<EdgeRecord> {
        let mut inner = self.inner();
        let end = inner.map.span.map(|(_, end)| end);
        inner.take(end)
    }

    /// How it stands.
    pub fn chart(&self) -> Chart {
        self.inner().map.chart()
    }

    /// How it stands, as calls of services, and what was folded.
    pub(in crate::sink) fn calls(&self) -> (Vec<Call>, u64) {
        let mut inner = self.inner();
        let Inner { map, calls, .. } = &mut *inner;
        (calls.of(map), map.folded)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn turn_to(&mut self, now: Timestamp) -> Vec<EdgeRecord> {
        match &self.window {
            Some(Window { number: Some(number), length, .. }) if now.as_nanos() / length > *number => self.take(None),
            _ => Vec::new(),
        }
    }

    /// The edges of the window, which is over, or ends at that time; the next one begins with what comes next.
    fn take(&mut self, end: Option<Timestamp>) -> Vec<EdgeRecord> {
        let Some(window) = &mut self.window else { return Vec::new() };
        let Some(number) = window.number.take() else { return Vec::new() };
        window.next = number.saturating_add(1);
        let start = number.saturating_mul(window.length);
        let whole = Timestamp::from_nanos(start.saturating_add(window.length));
        let start = Timestamp::from_nanos(start);
        let end = end.map_or(whole, |end| end.min(whole).max(start));
        let news = window.told.news(&self.map).news.into_iter().filter(|(_, news)| news.figures.seen() > 0);
        news.map(|(key, news)| edge(key, &news, start, end)).collect()
    }
}

fn edge(key: Key, news: &News, start: Timestamp, end: Timestamp) -> EdgeRecord {
    let end_of = |node: &super::Node| EdgeEnd { kind: node.kind(), name: node.to_string().into() };
    let figures = &news.figures;
    EdgeRecord {
        start,
        end,
        client: end_of(&key.client),
        server: end_of(&key.server),
        port: Some(key.port).filter(|port| *port != 0),
        protocol: key.protocol.name(),
        model: key.model,
        exchanges: figures.exchanges,
        errors: figures.errors,
        connections: figures.connections,
        client_bytes: figures.client_bytes,
        server_bytes: figures.server_bytes,
        p50: figures.durations.permille(500),
        p99: figures.durations.permille(990),
    }
}
