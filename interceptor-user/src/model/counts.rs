use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a pipeline tells others about itself; written once a poll, read at any time.
#[derive(Debug, Default)]
pub struct Counts {
    /// Flows in the table.
    pub open_flows: AtomicU64,
    /// Exchanges that have begun and are not over.
    pub open_exchanges: AtomicU64,
    /// Flows opened so far.
    pub flows_opened: AtomicU64,
    /// Polls of the source so far.
    pub polls: AtomicU64,
    /// Bytes that decoding keeps at the moment, of all flows.
    pub session_bytes: AtomicU64,
    /// Parts of messages that decoding had no room for so far.
    pub session_given_up: AtomicU64,
    /// Flows ended because there were too many.
    pub evicted: AtomicU64,
    /// Segments of no known flow that carry nothing to begin one with.
    pub strangers: AtomicU64,
    /// Segments that no receiver would accept.
    pub out_of_window: AtomicU64,
    /// Payload bytes in them.
    pub out_of_window_bytes: AtomicU64,
    /// Payload bytes beyond a FIN.
    pub beyond_end_bytes: AtomicU64,
    /// Resets that were not believed.
    pub resets_ignored: AtomicU64,
    /// Acknowledgements that were not believed.
    pub acks_ignored: AtomicU64,
    /// FINs that were not believed.
    pub fins_ignored: AtomicU64,
    /// Payload bytes that came after they had been given up.
    pub late_bytes: AtomicU64,
    /// Payload bytes that continue a side after the flow was over.
    pub after_end_bytes: AtomicU64,
    /// Bytes in loss reports of flows that were never seen.
    pub unattributed_loss: AtomicU64,
}

/// What is in no flow's ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAside {
    /// Segments, by why they are set aside.
    pub segments: [(&'static str, u64); 5],
    /// Payload bytes, by why they are set aside.
    pub bytes: [(&'static str, u64); 5],
}

impl Counts {
    /// What is in no flow's ledger so far, by name.
    pub fn set_aside(&self) -> SetAside {
        SetAside {
            segments: [
                ("stranger", self.strangers.load(Relaxed)),
                ("out_of_window", self.out_of_window.load(Relaxed)),
                ("reset_ignored", self.resets_ignored.load(Relaxed)),
                ("ack_ignored", self.acks_ignored.load(Relaxed)),
                ("fin_ignored", self.fins_ignored.load(Relaxed)),
            ],
            bytes: [
                ("out_of_window", self.out_of_window_bytes.load(Relaxed)),
                ("beyond_end", self.beyond_end_bytes.load(Relaxed)),
                ("late", self.late_bytes.load(Relaxed)),
                ("after_end", self.after_end_bytes.load(Relaxed)),
                ("lost_unattributed", self.unattributed_loss.load(Relaxed)),
            ],
        }
    }
}
