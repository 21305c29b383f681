//! Requests that are being answered.
//!
//! They are counted anew each time: what they are is read from the open exchanges, and nothing is added when one begins
//! or taken off when it ends. So the gauges are right whatever becomes known of a flow in between and however it ends,
//! and exchanges that begin and end between two counts cost nothing.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

use super::{
    Metrics,
    labels::{ACTIVE_NAMES, Labels},
    sets::{Fold, Key, Sets},
    sides,
};
use crate::{
    config::Paths,
    model::{Exchange, Side},
};

/// The gauges of both sides, which workers add to.
pub(super) struct Gauges {
    server: IntGaugeVec,
    client: IntGaugeVec,
    sets: Sets<IntGauge>,
}

impl Gauges {
    pub(super) fn new(registry: &Registry, cap: usize) -> prometheus::Result<Self> {
        let gauge = |side: &str, who: &str| {
            let help = format!("HTTP requests {who} local sockets that have begun and are not answered to the end.");
            let gauge = IntGaugeVec::new(Opts::new(format!("http_{side}_active_requests"), help), ACTIVE_NAMES)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        Ok(Self { server: gauge("server", "served by")?, client: gauge("client", "made by")?, sets: Sets::new(cap) })
    }

    fn admit(&self, key: &[u8], labels: &Labels<'_>) -> prometheus::Result<Option<IntGauge>> {
        let family = if labels.side() == Side::Server { &self.server } else { &self.client };
        self.sets.admit(key, labels.fold(), || family.get_metric_with_label_values(&labels.values()))
    }
}

/// One worker's part of the gauges.
#[derive(Default)]
pub(super) struct Active {
    rows: HashMap<Key, Row, RandomState>,
    /// Kept to be reused.
    key: Key,
}

struct Row {
    gauge: IntGauge,
    /// What of the gauge is this worker's.
    shown: i64,
    counted: i64,
}

impl Active {
    /// Shows these exchanges in place of those it was given before.
    pub(super) fn show(
        &mut self,
        exchanges: &mut dyn Iterator<Item = &Exchange>,
        metrics: &Arc<Metrics>,
        paths: Paths,
    ) -> prometheus::Result<()> {
        for exchange in exchanges {
            // Without its request an exchange has no method and no route.
            let Some(request) = &exchange.request else { continue };
            for side in sides(&exchange.flow) {
                self.count(&Labels::active(exchange, &request.head, side, paths), metrics.gauges())?;
            }
        }
        for row in self.rows.values_mut() {
            let counted = std::mem::take(&mut row.counted);
            row.gauge.add(counted - row.shown);
            row.shown = counted;
        }
        Ok(())
    }

    fn count(&mut self, labels: &Labels<'_>, gauges: &Gauges) -> prometheus::Result<()> {
        for labels in Fold::ALL.map(|fold| labels.folded(fold)) {
            labels.write_key(&mut self.key);
            if let Some(row) = self.rows.get_mut(&self.key) {
                row.counted += 1;
                return Ok(());
            }
            if let Some(gauge) = gauges.admit(&self.key, &labels)? {
                self.rows.insert(self.key.clone(), Row { gauge, shown: 0, counted: 1 });
                return Ok(());
            }
        }
        Ok(())
    }
}
