//! Exchanges and flows to Prometheus metrics, named by the OpenTelemetry conventions; see `docs/metrics.md`.

mod active;
mod flows;
mod histograms;
mod labels;
mod metrics;
mod process;
mod route;
mod sampled;
mod sets;
mod tcp;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;

use self::{
    active::Active,
    histograms::Local,
    labels::Labels,
    sets::{Fold, Key},
};
pub use self::{
    metrics::Metrics,
    sampled::{Totals, Worker},
};
use super::Sink;
use crate::{
    config::Paths,
    model::{Exchange, FlowInfo, Head, Record, Side},
};

/// The sink of one worker. It shares the [`Metrics`] with others and keeps what it needs to find its own fast.
pub struct Prometheus {
    metrics: Arc<Metrics>,
    paths: Paths,
    own: Vec<Local>,
    /// Where in `own` those of a label set are.
    seen: HashMap<Key, usize, RandomState>,
    /// The last label set of each side, and where it is.
    last: [Option<(Key, usize)>; 2],
    active: Active,
    /// Kept to be reused.
    key: Key,
}

impl Prometheus {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>, paths: Paths) -> Self {
        Self {
            metrics,
            paths,
            own: Vec::new(),
            seen: HashMap::default(),
            last: [None, None],
            active: Active::default(),
            key: Key::new(),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) -> anyhow::Result<()> {
        self.metrics.count_exchange(exchange);
        // Without its request an exchange has no method, no route and no duration.
        let Some(request) = &exchange.request else { return Ok(()) };
        for side in sides(&exchange.flow) {
            self.observe(exchange, &request.head, side)?;
        }
        Ok(())
    }

    fn observe(&mut self, exchange: &Exchange, request: &Head, side: Side) -> anyhow::Result<()> {
        let labels = Labels::over(exchange, request, side, self.paths);
        for fold in Fold::ALL {
            let labels = labels.folded(fold);
            labels.write_key(&mut self.key);
            if let Some(own) = self.place(&labels, side)?.and_then(|place| self.own.get(place)) {
                own.observe(exchange);
                return Ok(());
            }
            if fold == Fold::Nothing {
                self.metrics.histograms().count_folded();
            }
        }
        Ok(())
    }

    /// Where the metrics of the label set are whose key was written, if there is room for it.
    fn place(&mut self, labels: &Labels<'_>, side: Side) -> anyhow::Result<Option<usize>> {
        // Requests come in runs of the same kind: comparing with the last one is cheaper than hashing.
        let last = &mut self.last[side as usize];
        if let Some((_, place)) = last.as_ref().filter(|(key, _)| *key == self.key) {
            return Ok(Some(*place));
        }
        if let Some(place) = self.seen.get(&self.key) {
            let (key, kept) = last.get_or_insert_with(|| (Key::new(), *place));
            key.clone_from(&self.key);
            *kept = *place;
            return Ok(Some(*place));
        }
        let Some(handles) = self.metrics.histograms().admit(&self.key, labels)? else { return Ok(None) };
        self.own.push(handles.into());
        let place = self.own.len() - 1;
        self.seen.insert(self.key.clone(), place);
        Ok(Some(place))
    }
}

impl Sink for Prometheus {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Flow(flow) => Ok(self.metrics.count_flow(flow)?),
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.own.iter().for_each(Local::flush);
        Ok(())
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        Ok(self.active.show(exchanges, &self.metrics, self.paths)?)
    }
}

/// Whose an exchange is. A socket that the kernel told us of is a local one. Where neither is known (a router, an old
/// kernel), the exchange is taken as the server's.
fn sides(flow: &FlowInfo) -> impl Iterator<Item = Side> {
    let local = |side| flow.peer(side).cookie.is_some() || flow.peer(side).cgroup.is_some();
    let (server, client) = (local(Side::Server), local(Side::Client));
    let server = (server || !client).then_some(Side::Server);
    server.into_iter().chain(client.then_some(Side::Client))
}
