use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

/// Why a record was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The queue had no room: the sink is slower than the traffic, or cannot deliver.
    QueueFull,
    /// It was tried for as long as is allowed.
    Expired,
    /// The other side said that it will never take it.
    Refused,
    /// The daemon ended first, or the sink did by a defect.
    Shutdown,
}

impl Reason {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 4] = [Self::QueueFull, Self::Expired, Self::Refused, Self::Shutdown];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Shutdown => "shutdown",
        }
    }
}

/// What became of the records that were offered to one sink. Written by whoever offers and whoever delivers, read at any
/// time.
#[derive(Debug)]
pub struct Counts {
    name: &'static str,
    offered: AtomicU64,
    delivered: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
    retries: AtomicU64,
    pub(super) queued_records: AtomicU64,
    pub(super) queued_bytes: AtomicU64,
    failing: AtomicBool,
    last_error: Mutex<Option<String>>,
}

/// The same at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Name of the sink.
    pub name: &'static str,
    /// Records that were offered.
    pub offered: u64,
    /// Those of them that arrived.
    pub delivered: u64,
    /// Those that did not and will not, by [`Reason`].
    pub dropped: [u64; Reason::ALL.len()],
    /// Attempts after the first one of a batch.
    pub retries: u64,
    /// Records that wait.
    pub queued_records: u64,
    /// Bytes of memory that they hold.
    pub queued_bytes: u64,
    /// The last attempt failed.
    pub failing: bool,
    /// What the last attempt that failed said.
    pub last_error: Option<String>,
}

impl Counts {
    /// All at zero.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            offered: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            dropped: Default::default(),
            retries: AtomicU64::new(0),
            queued_records: AtomicU64::new(0),
            queued_bytes: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    /// Name of the sink.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What they are now.
    pub fn standing(&self) -> Standing {
        Standing {
            name: self.name,
            offered: self.offered.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            dropped: Reason::ALL.map(|reason| self.dropped(reason)),
            retries: self.retries.load(Relaxed),
            queued_records: self.queued_records.load(Relaxed),
            queued_bytes: self.queued_bytes.load(Relaxed),
            failing: self.failing.load(Relaxed),
            last_error: self.last_error().clone(),
        }
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.dropped.get(reason as usize).map_or(0, |count| count.load(Relaxed))
    }

    fn last_error(&self) -> MutexGuard<'_, Option<String>> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many are offered, and queued; says how many records and bytes were queued before them.
    pub(in crate::sink) fn offer(&self, records: u64, bytes: u64) -> (u64, u64) {
        self.offered.fetch_add(records, Relaxed);
        (self.queued_records.fetch_add(records, Relaxed), self.queued_bytes.fetch_add(bytes, Relaxed))
    }

    pub(in crate::sink) fn deliver(&self, records: u64) {
        self.delivered.fetch_add(records, Relaxed);
    }

    pub(in crate::sink) fn lose(&self, reason: Reason, records: u64) {
        if let Some(count) = self.dropped.get(reason as usize) {
            count.fetch_add(records, Relaxed);
        }
    }

    pub(super) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Records leave the queue.
    pub(in crate::sink) fn leave(&self, records: u64, bytes: u64) {
        self.queued_records.fetch_sub(records, Relaxed);
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Notes how an attempt went. Says when it begins to fail, and when it is well again, not each time.
    pub(in crate::sink) fn note(&self, error: Option<&anyhow::Error>) {
        if let Some(error) = error {
            *self.last_error() = Some(format!("{error:#}"));
        }
        let changed = self.failing.swap(error.is_some(), Relaxed) != error.is_some();
        match error {
            Some(error) if changed => {
                tracing::warn!(sink = self.name, "cannot deliver, and tries again: {error:#}");
            }
            Some(error) => tracing::debug!(sink = self.name, "cannot deliver: {error:#}"),
            None if changed => {
                let dropped: u64 = self.standing().dropped.iter().sum();
                tracing::info!(sink = self.name, dropped, "delivers again");
            }
            None => {}
        }
    }
}
