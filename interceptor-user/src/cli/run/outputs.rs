//! Where the records of a worker go.

use std::sync::Arc;

use smallvec::SmallVec;

use super::sinks::Sinks;
use crate::{
    config::Config,
    model::{Exchange, Record, SinkName},
    sink::{
        Sink,
        delivery::Outlet,
        prometheus::{Metrics, Prometheus},
    },
};

/// Metrics, which are counted at once, and the outlets of sinks that take their time.
pub(super) struct Outputs {
    metrics: Prometheus,
    outlets: Vec<Outlet>,
}

impl Outputs {
    pub(super) fn new(metrics: &Arc<Metrics>, config: &Config, sinks: &Sinks) -> Self {
        let metrics = Prometheus::new(Arc::clone(metrics), config.metrics.paths);
        Self { metrics: metrics.with_exemplars(Arc::clone(sinks.linker())), outlets: sinks.outlets().to_vec() }
    }
}

impl Sink for Outputs {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if record.sinks().has(SinkName::Metrics) { self.metrics.record(record) } else { Ok(()) }
    }

    fn take(&mut self, record: Record) -> anyhow::Result<()> {
        self.record(&record)?;
        // Asked once: that of traces looks into the headers.
        let wanting: SmallVec<[&Outlet; SinkName::ALL.len()]> =
            self.outlets.iter().filter(|outlet| outlet.wants(&record)).collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let bytes = record.memory();
        let record = Arc::new(record);
        for outlet in wanting {
            outlet.offer(Arc::clone(&record), bytes);
        }
        Ok(())
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        self.metrics.open(exchanges)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.metrics.flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.metrics.close()
    }
}
