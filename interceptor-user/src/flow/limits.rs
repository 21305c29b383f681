use std::time::Duration;

/// Bounds of the flow table. Reaching one is never silent: it shows as a gap with its reason, or as how a flow ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Flows at a time, those that linger included; beyond it the least recently used one is ended (`Evicted`).
    pub flows: usize,
    /// Memory for out-of-order bytes of one flow, both directions together.
    pub flow_bytes: usize,
    /// Memory for out-of-order bytes of all flows together.
    pub total_bytes: usize,
    /// Out-of-order bytes behind a hole that make us give the hole up. Only holes that no acknowledgement explains
    /// get there: the window of one connection on a local network fits, a long fat path may want more.
    pub gap_bytes: usize,
    /// Time after which a hole is given up.
    pub gap_time: Duration,
    /// Time without a segment after which a flow is ended (`Idle`).
    pub idle: Duration,
    /// Time that a closed flow stays, to absorb late retransmissions and reports, before it is `Ended`.
    pub linger: Duration,
    /// Socket and loss reports kept of flows that we saw no segment of.
    pub pending: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 65_536,
            flow_bytes: 1 << 20,
            total_bytes: 64 << 20,
            gap_bytes: 256 << 10,
            gap_time: Duration::from_secs(1),
            idle: Duration::from_mins(5),
            linger: Duration::from_secs(1),
            pending: 16_384,
        }
    }
}
