//! Where the records of a worker go.

use std::sync::Arc;

use smallvec::SmallVec;

use super::sinks::Sinks;
use crate::{
    config::Config,
    model::{EdgeRecord, Exchange, Record, SinkName, Timestamp},
    sink::{
        Sink,
        delivery::Outlet,
        map,
        prometheus::{Metrics, Prometheus},
    },
};

/// Metrics and the map, which are counted at once, and the outlets of sinks that take their time.
pub(super) struct Outputs {
    metrics: Prometheus,
    map: Arc<map::Shared>,
    outlets: Vec<Outlet>,
}

impl Outputs {
    pub(super) fn new(metrics: &Arc<Metrics>, map: &Arc<map::Shared>, config: &Config, sinks: &Sinks) -> Self {
        let metrics = Prometheus::new(Arc::clone(metrics), config.metrics.paths);
        Self {
            metrics: metrics.with_exemplars(Arc::clone(sinks.linker())),
            map: Arc::clone(map),
            outlets: sinks.outlets().to_vec(),
        }
    }

    /// Hands a record to those that want it.
    fn offer(&self, record: Record) {
        // Asked once: that of traces looks into the headers.
        let wanting: SmallVec<[&Outlet; SinkName::ALL.len()]> =
            self.outlets.iter().filter(|outlet| outlet.wants(&record)).collect();
        if wanting.is_empty() {
            return;
        }
        let bytes = record.memory();
        let record = Arc::new(record);
        for outlet in wanting {
            outlet.offer(Arc::clone(&record), bytes);
        }
    }

    fn tell(&self, edges: Vec<EdgeRecord>) {
        for edge in edges {
            self.offer(Record::Edge(Box::new(edge)));
        }
    }
}

impl Sink for Outputs {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if record.sinks().has(SinkName::Metrics) { self.metrics.record(record) } else { Ok(()) }
    }

    fn take(&mut self, record: Record) -> anyhow::Result<()> {
        self.record(&record)?;
        // The map is one of the metrics: what has no part in these has none in it.
        if record.sinks().has(SinkName::Metrics) {
            self.tell(self.map.record(&record));
        }
        self.offer(record);
        Ok(())
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        self.metrics.open(exchanges)
    }

    fn tick(&mut self, now: Timestamp) -> anyhow::Result<()> {
        self.tell(self.map.tick(now));
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.metrics.flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.tell(self.map.end());
        self.metrics.close()
    }
}
