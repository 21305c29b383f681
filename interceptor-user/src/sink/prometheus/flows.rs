//! How many connections there were, by how they ended and by what they spoke.

use prometheus::{IntCounter, Registry};

use super::metrics::{by_label, register};
use crate::model::{FlowEnd, FlowRecord, Protocol};

pub(super) struct Flows {
    ended: Vec<IntCounter>,
    /// By [`Protocol`]; after those, the ones that carried nothing.
    spoken: Vec<IntCounter>,
    unbalanced: IntCounter,
}

impl Flows {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let unbalanced = IntCounter::new(
            "interceptor_flows_unbalanced_total",
            "Ended TCP connections whose ledger does not balance: a defect of ours, to be reported.",
        );
        Ok(Self {
            ended: by_label(
                registry,
                "interceptor_flows_ended_total",
                "TCP connections that are over for us, by why.",
                "reason",
                FlowEnd::ALL.map(FlowEnd::name),
            )?,
            spoken: by_label(
                registry,
                "interceptor_flow_protocols_total",
                "TCP connections that are over for us, by what they spoke.",
                "protocol",
                Protocol::ALL.map(Protocol::name).into_iter().chain(["silent"]),
            )?,
            unbalanced: register(registry, unbalanced)?,
        })
    }

    pub(super) fn count(&self, flow: &FlowRecord) {
        let spoken = if flow.silent() { Protocol::ALL.len() } else { flow.protocol as usize };
        for counter in [self.ended.get(flow.end as usize), self.spoken.get(spoken)].into_iter().flatten() {
            counter.inc();
        }
        if !flow.ledger.balances() {
            self.unbalanced.inc();
            tracing::warn!(flow = flow.flow.id, client = %flow.flow.client.endpoint, server = %flow.flow.server.endpoint,
                ledger = ?flow.ledger, "the ledger of a connection does not balance; please report this");
        }
    }
}
