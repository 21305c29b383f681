use foldhash::fast::RandomState;

use super::Limits;

/// What the table did, for metrics. Everything that is in no flow's ledger is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Flows opened.
    pub flows: u64,
    /// Flows ended because there were too many.
    pub evicted: u64,
    /// Segments of no known flow that carry nothing to begin one with (pure ACK, FIN, RST).
    pub strangers: u64,
    /// Segments that no receiver would accept: their sequence number is out of the window.
    pub out_of_window: u64,
    /// Payload bytes in them.
    pub out_of_window_bytes: u64,
    /// Payload bytes beyond a FIN.
    pub beyond_end_bytes: u64,
    /// Resets that were not believed, by their sequence number or because the stream went on.
    pub resets_ignored: u64,
    /// Acknowledgements that were not believed: too far beyond all that was seen.
    pub acks_ignored: u64,
    /// FINs that were not believed: too far beyond all that was seen.
    pub fins_ignored: u64,
    /// Payload bytes that came after they had been given up, with nothing handed over in between.
    pub late_bytes: u64,
    /// Payload bytes that continue a side after the flow was over: its reset may have been an exact forgery.
    pub after_end_bytes: u64,
    /// Bytes in loss reports of flows that we never saw.
    pub unattributed_loss: u64,
}

/// What all flows share.
pub(super) struct Shared {
    pub(super) limits: Limits,
    /// Memory that out-of-order bytes of all flows take.
    pub(super) total: usize,
    pub(super) stats: Stats,
    pub(super) hasher: RandomState,
}
