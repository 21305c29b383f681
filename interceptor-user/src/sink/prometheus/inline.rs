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
    pub failed: [(&'static str, u64); 4],
    /// Of clients, that were closed because no request came on them.
    pub idle: u64,
    /// Requests that there was no room to look at, by what became of them.
    pub unread: [(&'static str, u64); 2],
    /// Bytes of requests that are held back until they are whole.
    pub held_bytes: u64,
    /// Requests that were, and such as were refused.
    pub held: [(&'static str, u64); 3],
    /// The servers' side.
    pub upstream: InlineUpstream,
    /// Connections that policies steer, so far: name of the entry, direction, what became of them.
    pub steered: Vec<(Arc<str>, &'static str, &'static str, u64)>,
}

/// What the inline path says of its servers.
#[derive(Clone, Debug, Default)]
pub struct InlineUpstream {
    /// Connections that are open: with and without a request.
    pub connections: [(&'static str, u64); 2],
    /// That were opened so far.
    pub opened: u64,
    /// Requests on a connection that had one before.
    pub reused: u64,
    /// Attempts beside the first, by why.
    pub retries: [(&'static str, u64); 5],
    /// Such as the budget did not allow.
    pub over_budget: u64,
    /// What took too long.
    pub timeouts: [(&'static str, u64); 3],
    /// Times that an address was left alone.
    pub ejections: u64,
    /// Addresses that get no requests, by why.
    pub out: [(&'static str, u64); 2],
    /// Requests beyond a limit, by which.
    pub limited: [(&'static str, u64); 2],
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

const IDLE: Family = Family {
    name: "interceptor_inline_idle_closed_total",
    help: "Connections of clients that were closed because no request came on them.",
    labels: &[],
};
const UNREAD: Family = Family {
    name: "interceptor_inline_unread_requests_total",
    help: "Requests that the inline path had no room to look at, by what became of them.",
    labels: &["result"],
};
const HELD_BYTES: Family = Family {
    name: "interceptor_inline_held_bytes",
    help: "Bytes of requests that are held back until they are whole.",
    labels: &[],
};
const HELD: Family = Family {
    name: "interceptor_inline_held_requests_total",
    help: "Requests that were held back until they were whole because a rule asks for their content, by what became of them.",
    labels: &["result"],
};
const CONNECTIONS: Family = Family {
    name: "interceptor_inline_upstream_connections",
    help: "Connections to servers that are open for requests.",
    labels: &["state"],
};
const OPENED: Family = Family {
    name: "interceptor_inline_upstream_opened_total",
    help: "Connections to servers that were opened for requests.",
    labels: &[],
};
const REUSED: Family = Family {
    name: "interceptor_inline_upstream_reused_total",
    help: "Requests that went on a connection that had one before.",
    labels: &[],
};
const RETRIES: Family = Family {
    name: "interceptor_inline_retries_total",
    help: "Attempts at requests beside the first, by why.",
    labels: &["reason"],
};
const OVER_BUDGET: Family = Family {
    name: "interceptor_inline_over_budget_total",
    help: "Attempts at requests that were not made because the budget was used up.",
    labels: &[],
};
const TIMEOUTS: Family = Family {
    name: "interceptor_inline_timeouts_total",
    help: "Requests for which a server took too long, by what was waited for.",
    labels: &["kind"],
};
const EJECTIONS: Family = Family {
    name: "interceptor_inline_ejections_total",
    help: "Times that an address of a backend was left alone because it failed.",
    labels: &[],
};
const OUT: Family = Family {
    name: "interceptor_inline_backend_addresses_out",
    help: "Addresses of backends that get no requests, by why.",
    labels: &["reason"],
};
const LIMITED: Family = Family {
    name: "interceptor_inline_limited_total",
    help: "Requests that were answered with 503 because there were too many at a time.",
    labels: &["limit"],
};

/// Asks whenever metrics are read.
pub(super) struct InlinePath {
    ask: Ask,
    descriptions: Vec<Desc>,
}

impl InlinePath {
    pub(super) fn new(ask: Ask) -> prometheus::Result<Self> {
        let carried = [OPEN, ACCEPTED, FAILED, STEERED, IDLE, UNREAD, HELD_BYTES, HELD];
        let upstream = [CONNECTIONS, OPENED, REUSED, RETRIES, OVER_BUDGET, TIMEOUTS, EJECTIONS, OUT, LIMITED];
        let families = carried.iter().chain(&upstream);
        Ok(Self { ask, descriptions: families.map(Family::description).collect::<Result<_, _>>()? })
    }
}

impl Collector for InlinePath {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Inline { open, accepted, failed, steered, idle, unread, held_bytes, held, upstream } = (self.ask)();
        let unread = unread.iter().map(|(result, count)| UNREAD.counter(&[result], *count)).collect();
        let held = held.iter().map(|(result, count)| HELD.counter(&[result], *count)).collect();
        let failed = failed.iter().map(|(reason, count)| FAILED.counter(&[reason], *count)).collect();
        let steered = steered
            .iter()
            .map(|(rule, direction, outcome, count)| STEERED.counter(&[direction, outcome, rule], *count))
            .collect();
        let carried = vec![
            OPEN.of(MetricType::GAUGE, vec![OPEN.gauge(open)]),
            ACCEPTED.of(MetricType::COUNTER, vec![ACCEPTED.counter(&[], accepted)]),
            FAILED.of(MetricType::COUNTER, failed),
            STEERED.of(MetricType::COUNTER, steered),
            IDLE.of(MetricType::COUNTER, vec![IDLE.counter(&[], idle)]),
            UNREAD.of(MetricType::COUNTER, unread),
            HELD_BYTES.of(MetricType::GAUGE, vec![HELD_BYTES.gauge(held_bytes)]),
            HELD.of(MetricType::COUNTER, held),
        ];
        [carried, upstream.collect()].concat()
    }
}

impl InlineUpstream {
    fn collect(&self) -> Vec<MetricFamily> {
        let counter = |family: &Family, value| family.of(MetricType::COUNTER, vec![family.counter(&[], value)]);
        let counters = |family: &Family, values: &[(&str, u64)]| {
            let metrics = values.iter().map(|(label, value)| family.counter(&[label], *value));
            family.of(MetricType::COUNTER, metrics.collect())
        };
        let gauges = |family: &Family, values: &[(&str, u64)]| {
            let metrics = values.iter().map(|(label, value)| family.gauge_of(&[label], *value));
            family.of(MetricType::GAUGE, metrics.collect())
        };
        vec![
            gauges(&CONNECTIONS, &self.connections),
            counter(&OPENED, self.opened),
            counter(&REUSED, self.reused),
            counters(&RETRIES, &self.retries),
            counter(&OVER_BUDGET, self.over_budget),
            counters(&TIMEOUTS, &self.timeouts),
            counter(&EJECTIONS, self.ejections),
            gauges(&OUT, &self.out),
            counters(&LIMITED, &self.limited),
        ]
    }
}
