//! Exchanges and flows to Prometheus metrics, named by the OpenTelemetry conventions; see `docs/metrics.md`.

mod active;
mod deliveries;
mod exchanges;
mod exemplars;
mod families;
mod flows;
mod histograms;
mod inferences;
mod inline;
mod labels;
mod metrics;
mod openmetrics;
mod own;
mod process;
mod route;
mod rpc;
mod sampled;
mod server;
mod service_graph;
mod sets;
mod side;
mod tcp;
#[cfg(test)]
mod tests;
mod verdicts;

use std::sync::Arc;

pub(in crate::sink) use self::side::{called, error_type, is_local, route, sides};
use self::{
    active::Active,
    exchanges::Over,
    exemplars::{Linked, Pending},
    histograms::{Local, Observed},
    inferences::Seen,
    labels::Labels,
    own::Own,
    rpc::Call,
    sets::Fold,
};
pub use self::{
    exemplars::{Exemplar, Gathered, Link, Linker},
    inline::{Ask, Inline, InlineUpstream},
    metrics::Metrics,
    sampled::{Totals, Worker},
};
use super::Sink;
use crate::{
    config::Paths,
    model::{Exchange, Head, Part, Record, Rpc, Side},
};

/// The sink of one worker. It shares the [`Metrics`] with others and keeps what it needs to find its own fast.
pub struct Prometheus {
    metrics: Arc<Metrics>,
    over: Over,
    paths: Paths,
    http: Own<Local>,
    rpc: Own<Local>,
    active: Active,
    linker: Linker,
    pending: Pending,
}

impl Prometheus {
    /// Counts into `metrics`.
    pub fn new(metrics: Arc<Metrics>, paths: Paths) -> Self {
        Self {
            over: metrics.over(),
            metrics,
            paths,
            http: Own::default(),
            rpc: Own::default(),
            active: Active::default(),
            linker: Arc::new(|_, _| None),
            pending: Pending::default(),
        }
    }

    /// The same with exemplars that name the spans which `linker` tells.
    #[must_use]
    pub fn with_exemplars(self, linker: Linker) -> Self {
        Self { linker, ..self }
    }

    fn exchange(&mut self, exchange: &Exchange) -> anyhow::Result<()> {
        let rpc = exchange.rpc();
        self.over.count(exchange);
        self.metrics.count_exchange(exchange, rpc.as_ref());
        // Without its request an exchange has no method, no route and no duration.
        if let Some(verdict) = &exchange.verdict {
            self.metrics.verdicts().count(verdict)?;
        }
        let Some(request) = &exchange.request else { return Ok(()) };
        if let Some(inference) = &exchange.inference {
            let mut once = true;
            for side in sides(&exchange.flow) {
                let link = Linked::new(&self.linker, exchange, side);
                let seen = Seen { exchange, request: &request.head, inference, side, link: &link };
                // What does not depend on who looks is counted once, though both ends may be local.
                let answer = std::mem::take(&mut once);
                self.metrics.inferences().count(&seen, answer, &mut self.pending)?;
            }
        }
        // What it is linked to is found once for all histograms, and only where one of them wants it.
        let linker = Arc::clone(&self.linker);
        for side in sides(&exchange.flow) {
            let link = Linked::new(&linker, exchange, side);
            self.request(exchange, &request.head, side, &link)?;
            if let Some(rpc) = &rpc {
                self.call(exchange, &request.head, rpc, side, &link)?;
            }
        }
        Ok(())
    }

    fn request(&mut self, exchange: &Exchange, request: &Head, side: Side, link: &Linked<'_>) -> anyhow::Result<()> {
        let labels = Labels::over(exchange, request, side, self.paths);
        let http = self.metrics.http();
        let own = self.http.find(
            side,
            |fold, key| labels.folded(fold).write_key(key),
            |fold, key| http.admit(key, side, fold, || labels.folded(fold).values()),
        )?;
        let Some((own, fold)) = own else { return Ok(()) };
        // The size of a body that was not seen to end is not known.
        own.observe(&observed(exchange, |part| Some(part.content_size())), link);
        if fold != Fold::Nothing {
            http.count_folded();
        }
        Ok(())
    }

    fn call(
        &mut self,
        exchange: &Exchange,
        request: &Head,
        rpc: &Rpc<'_>,
        side: Side,
        link: &Linked<'_>,
    ) -> anyhow::Result<()> {
        let call = Call::new(exchange, request, rpc, side);
        let rpc = self.metrics.rpc();
        let own = self.rpc.find(
            side,
            |fold, key| call.write_key(fold, key),
            |fold, key| rpc.admit(key, side, fold, || call.values(fold)),
        )?;
        let Some((own, fold)) = own else { return Ok(()) };
        own.observe(&observed(exchange, |part| part.pieces.as_ref().map(|pieces| pieces.count)), link);
        if fold != Fold::Nothing {
            rpc.count_folded();
        }
        Ok(())
    }
}

/// How long it took, and something of those of its messages that were seen to end.
fn observed(exchange: &Exchange, of: impl Fn(&Part) -> Option<u64>) -> Observed {
    let ended = |part: &Option<Part>| part.as_ref().filter(|part| part.ended).and_then(&of);
    Observed { duration: exchange.duration(), request: ended(&exchange.request), response: ended(&exchange.response) }
}

impl Sink for Prometheus {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Message(_) | Record::Edge(_) => Ok(()),
            Record::Drift(drift) => Ok(self.metrics.verdicts().drift(drift)?),
            Record::Flow(flow) => {
                // A connection's end comes after its exchanges'.
                self.over.flush();
                Ok(self.metrics.count_flow(flow)?)
            }
        }
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.http.iter().chain(self.rpc.iter()).for_each(Local::flush);
        self.pending.flush(self.metrics.exemplars());
        self.over.flush();
        Ok(())
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        Ok(self.active.show(exchanges, &self.metrics, self.paths)?)
    }
}
