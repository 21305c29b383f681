//! What health, readiness and status are made of.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use interceptor_common::DropReason;
use serde_json::{Map, Value, json};

use crate::sink::{
    delivery::{Reason, Standing},
    map,
    prometheus::{Metrics, Worker},
};

/// A worker that has not looked into its ring for this long is stuck; it does so twenty times a second.
const STUCK: Duration = Duration::from_secs(30);

/// Where the daemon is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Programs are being loaded and attached.
    Starting,
    /// All are attached.
    Running,
    /// It was asked to end.
    Draining,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Draining => "draining",
        }
    }
}

/// What the admin server shows. Capturing writes to it rarely; requests read it.
pub struct State {
    metrics: Arc<Metrics>,
    map: Arc<map::Shared>,
    started: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    phase: Phase,
    workers: Vec<Watched>,
}

struct Watched {
    worker: Arc<Worker>,
    /// How many polls there were when a change was last noticed, and when that was.
    last: (u64, Instant),
}

impl State {
    /// At the start, without workers.
    pub fn new(metrics: Arc<Metrics>, map: Arc<map::Shared>) -> Self {
        let inner = Inner { phase: Phase::Starting, workers: Vec::new() };
        Self { metrics, map, started: Instant::now(), inner: Mutex::new(inner) }
    }

    /// Includes a worker, also in the metrics.
    pub fn watch(&self, worker: Worker) {
        let worker = Arc::new(worker);
        self.metrics.watch(Arc::clone(&worker));
        let last = ((worker.totals)().polls, Instant::now());
        self.inner().workers.push(Watched { worker, last });
    }

    /// The next phase.
    pub fn enter(&self, phase: Phase) {
        self.inner().phase = phase;
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) const fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    pub(super) fn map(&self) -> &map::Shared {
        &self.map
    }

    /// Why it is not ready, if it is not.
    pub(super) fn ready(&self) -> Result<(), String> {
        let inner = self.inner();
        match inner.phase {
            Phase::Starting => Err("starting: programs are not attached yet".to_owned()),
            Phase::Draining => Err("draining: asked to end".to_owned()),
            Phase::Running => match inner.workers.iter().find(|watched| (watched.worker.totals)().polls == 0) {
                Some(Watched { worker, .. }) => {
                    Err(format!("starting: {} has not looked into its ring yet", worker.name))
                }
                None => Ok(()),
            },
        }
    }

    /// Why it is not well, if it is not: a worker makes no progress. What is noticed is what happened between two calls,
    /// which a probe makes regularly.
    pub(super) fn healthy(&self, now: Instant) -> Result<(), String> {
        let mut inner = self.inner();
        for Watched { worker, last } in &mut inner.workers {
            let polls = (worker.totals)().polls;
            if last.0 != polls {
                *last = (polls, now);
            }
            let still = now.saturating_duration_since(last.1);
            if still >= STUCK {
                return Err(format!("{} has not looked into its ring for {} s", worker.name, still.as_secs()));
            }
        }
        Ok(())
    }

    /// Everything, for people and scripts.
    pub(super) fn status(&self) -> Value {
        let (phase, workers) = {
            let inner = self.inner();
            (inner.phase, inner.workers.iter().map(|watched| Arc::clone(&watched.worker)).collect::<Vec<_>>())
        };
        let workers: Vec<Value> = workers.iter().map(|worker| status(worker)).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "phase": phase.name(),
            "uptime_seconds": self.started.elapsed().as_secs(),
            "workers": workers,
            "sinks": self.metrics.sinks().iter().map(sink).collect::<Vec<_>>(),
            "ledger": self.metrics.ledger(),
        })
    }
}

fn sink(sink: &Standing) -> Value {
    let dropped =
        Reason::ALL.iter().zip(sink.dropped).map(|(reason, count)| (reason.name().to_owned(), Value::from(count)));
    json!({
        "name": sink.name,
        "failing": sink.failing,
        "last_error": sink.last_error,
        "offered": sink.offered,
        "delivered": sink.delivered,
        "dropped": dropped.collect::<Map<_, _>>(),
        "queued": { "records": sink.queued_records, "bytes": sink.queued_bytes },
        "retries": sink.retries,
    })
}

fn status(worker: &Worker) -> Value {
    let totals = (worker.totals)();
    let dropped: Map<String, Value> = DropReason::ALL
        .iter()
        .map(|reason| (reason.name(), totals.dropped_for(*reason)))
        .map(|(name, count)| (name.to_owned(), json!({ "packets": count.packets, "bytes": count.bytes })))
        .collect();
    json!({
        "name": worker.name,
        "attachments": (worker.attachments)(),
        "flows_open": totals.open_flows,
        "flows_opened": totals.flows_opened,
        "exchanges_open": totals.open_exchanges,
        "polls": totals.polls,
        "ring_size": totals.ring_size,
        "taken": { "packets": totals.taken.packets, "bytes": totals.taken.bytes },
        "dropped": dropped,
        "set_aside": {
            "segments": Map::from_iter(totals.set_aside.segments.map(|(name, count)| (name.to_owned(), count.into()))),
            "bytes": Map::from_iter(totals.set_aside.bytes.map(|(name, count)| (name.to_owned(), count.into()))),
        },
    })
}
