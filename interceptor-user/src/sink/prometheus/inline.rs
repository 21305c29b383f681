//! The inline path: what is steered to it, and what it carries.

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::{MetricFamily, MetricType},
};

use super::families::Family;

/// What the inline path says of itself.
#[derive(Debug, Default)]
pub struct Inline {
    /// Connections that are carried now.
    pub open: u64,
    /// That were accepted so far.
    pub accepted: u64,
    /// Of those, such as nobody had steered, and such whose server was not reached; and requests that no server answered.
    pub failed: [(&'static str, u64); 3],
    /// Connections that policies steer, so far: name of the entry, direction, what became of them.
    pub steered: Vec<(Arc<str>, &'static str, &'static str, u64)>,
}

/// Asks the inline path.
pub type Ask = Box<dyn Fn() -> Inline + Send + Sync>;

const OPEN: Family = Family {
    name: "interceptor_inline_connections",
    help: "Connections that the inline path carries now.",
    labels: &[],
};
const ACCEPTED: Family = Family {
    name: "interceptor_inline_accepted_total",
    help: "Connections that the inline path accepted.",
    labels: &[],
};
const FAILED: Family = Family {
    name: "interceptor_inline_failed_total",
    help: "Connections that the inline path accepted and could not carry, and requests that it could not have answered, by why.",
    labels: &["reason"],
};
const STEERED: Family = Family {
    name: "interceptor_steered_connections_total",
    help: "Connections that policies steer, by what became of them.",
    labels: &["direction", "outcome", "rule"],
};

/// Asks whenever metrics are read.
pub(super) struct InlinePath {
    ask: Ask,
    descriptions: Vec<Desc>,
}

impl InlinePath {
    pub(super) fn new(ask: Ask) -> prometheus::Result<Self> {
        let families = [OPEN, ACCEPTED, FAILED, STEERED];
        Ok(Self { ask, descriptions: families.iter().map(Family::description).collect::<Result<_, _>>()? })
    }
}

impl Collector for InlinePath {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inline { open, accepted, failed, steered } = (self.ask)();
        let failed = failed.iter().map(|(reason, count)| FAILED.counter(&[reason], *count)).collect();
        let steered = steered
            .iter()
            .map(|(rule, direction, outcome, count)| STEERED.counter(&[direction, outcome, rule], *count))
            .collect();
        vec![
            OPEN.of(MetricType::GAUGE, vec![OPEN.gauge(open)]),
            ACCEPTED.of(MetricType::COUNTER, vec![ACCEPTED.counter(&[], accepted)]),
            FAILED.of(MetricType::COUNTER, failed),
            STEERED.of(MetricType::COUNTER, steered),
        ]
    }
}
