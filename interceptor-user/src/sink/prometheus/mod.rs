//! Exchanges and flows to Prometheus metrics, named by the OpenTelemetry conventions; see `docs/metrics.md`.

mod labels;
mod metrics;
mod process;
mod route;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use self::labels::{Fold, Handles, Key, Labels};
pub use self::metrics::{Metrics, Totals, Worker};
use super::Sink;
use crate::{
    config::Paths,
    model::{Exchange, Part, Record, Side},
};

/// The sink of one worker. It shares the [`Metrics`] with others and keeps what it needs to find its own fast.
pub struct Prometheus {
    metrics: Arc<Metrics>,
    paths: Paths,
    seen: HashMap<Key, Handles, RandomState>,
    /// The last label set of each side.
    last: [Option<(Key, Handles)>; 2],
    /// Kept to be reused.
    key: Key,
}

impl Prometheus {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>, paths: Paths) -> Self {
        Self { metrics, paths, seen: HashMap::default(), last: [None, None], key: Key::new() }
    }

    fn exchange(&mut self, exchange: &Exchange) -> anyhow::Result<()> {
        self.metrics.count_exchange(exchange);
        if exchange.request.is_none() {
            // Without its request an exchange has no method, no route and no duration.
            return Ok(());
        }
        // A socket that the kernel told us of is a local one. Where neither is known (a router, an old kernel), the
        // exchange is taken as the server's.
        let local = |side| exchange.flow.peer(side).cookie.is_some() || exchange.flow.peer(side).cgroup.is_some();
        if local(Side::Server) || !local(Side::Client) {
            self.observe(exchange, Side::Server)?;
        }
        if local(Side::Client) {
            self.observe(exchange, Side::Client)?;
        }
        Ok(())
    }

    fn observe(&mut self, exchange: &Exchange, side: Side) -> anyhow::Result<()> {
        let labels = Labels::new(exchange, side, self.paths);
        for fold in [Fold::Nothing, Fold::Route, Fold::All] {
            let labels = labels.folded(fold);
            labels.write_key(&mut self.key);
            // Requests come in runs of the same kind: comparing with the last one is cheaper than hashing.
            let last = &mut self.last[side as usize];
            if let Some((_, handles)) = last.as_ref().filter(|(key, _)| *key == self.key) {
                handles.observe(exchange);
                return Ok(());
            }
            if let Some(handles) = self.seen.get(&self.key) {
                handles.observe(exchange);
                let (key, kept) = last.get_or_insert_with(|| (Key::new(), handles.clone()));
                key.clone_from(&self.key);
                kept.clone_from(handles);
                return Ok(());
            }
            if let Some(handles) = self.metrics.label_sets().admit(&self.key, &labels)? {
                handles.observe(exchange);
                self.seen.insert(self.key.clone(), handles);
                return Ok(());
            }
            if fold == Fold::Nothing {
                self.metrics.label_sets().count_folded();
            }
        }
        Ok(())
    }
}

impl Sink for Prometheus {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Flow(flow) => {
                self.metrics.count_flow(flow);
                Ok(())
            }
        }
    }
}

impl Handles {
    fn observe(&self, exchange: &Exchange) {
        if let Some(duration) = exchange.duration() {
            self.duration.observe(duration.as_secs_f64());
        }
        // The size of a body that was not seen to end is not known.
        #[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
        let size = |part: &Part| part.ended.then(|| (part.body_size + part.body_missing) as f64);
        if let Some(size) = exchange.request.as_ref().and_then(size) {
            self.request_size.observe(size);
        }
        if let Some(size) = exchange.response.as_ref().and_then(size) {
            self.response_size.observe(size);
        }
    }
}
