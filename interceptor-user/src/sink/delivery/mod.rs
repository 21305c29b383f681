//! Sinks that take their time: files, networks, brokers.
//!
//! Each is on a thread of its own behind a queue of its own. The pipeline offers records and never waits; a record that
//! finds no room is dropped and counted. Of what was offered, each record is delivered, dropped for a [`Reason`], or
//! still queued: `offered = delivered + dropped + queued`, at any time.
//!
//! ```text
//! pipeline ─ Outlet::offer ─► queue ─► batch ─► Deliver::deliver ─► delivered
//!                  │ no room                       │ later: again, with back-off, until `retry_for` is over
//!                  ▼                               ▼ never
//!               dropped                         dropped
//! ```

mod backoff;
mod counts;
mod outlet;
mod run;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

pub(super) use self::outlet::{runtime, spawn};
pub use self::{
    counts::{Counts, Reason, Standing},
    outlet::{Outlet, Running, Waiting, start},
};
use crate::model::Record;

/// A place that batches of records are delivered to. It runs on a thread of its own, so it may block.
pub trait Deliver: Send + 'static {
    /// Tries once. What it does not deliver or refuse it gives back, to be tried again.
    fn deliver(&mut self, batch: Vec<Arc<Record>>) -> impl Future<Output = Attempt>;

    /// Puts what left the queue into the line for the next batch, of which nothing is under way. What has to see others come
    /// first may be kept back: it still counts as queued. It is put into the line in a later call, of which there is one, if
    /// only with nothing, at the time that is given back, and one that is the last (`ending`) and keeps nothing back.
    fn line_up(&mut self, came: Vec<Waiting>, line: &mut VecDeque<Waiting>, _ending: bool) -> Option<Instant> {
        line.extend(came);
        None
    }

    /// No batch follows: what was begun is brought to an end.
    fn close(&mut self) -> impl Future<Output = ()> {
        async {}
    }
}

/// What came of an attempt to deliver a batch.
#[derive(Debug, Default)]
pub struct Attempt {
    /// Records that arrived.
    pub delivered: u64,
    /// Records that will never be taken, whatever is tried.
    pub refused: u64,
    /// Records to be tried again.
    pub left: Vec<Arc<Record>>,
    /// Why not all were delivered.
    pub error: Option<anyhow::Error>,
    /// How long the other side asks to wait.
    pub wait: Option<Duration>,
}

impl Attempt {
    /// All of it arrived.
    pub fn delivered(batch: &[Arc<Record>]) -> Self {
        Self { delivered: batch.len() as u64, ..Self::default() }
    }

    /// None of it arrived; it may later.
    pub fn later(batch: Vec<Arc<Record>>, error: anyhow::Error) -> Self {
        Self { left: batch, error: Some(error), ..Self::default() }
    }

    /// None of it will ever be taken.
    pub fn refused(batch: &[Arc<Record>], error: anyhow::Error) -> Self {
        Self { refused: batch.len() as u64, error: Some(error), ..Self::default() }
    }
}

/// Bounds of one sink.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Records that wait, those of the batch that is being delivered included.
    pub queue_records: usize,
    /// Bytes of memory that they hold.
    pub queue_bytes: usize,
    /// Records of a batch.
    pub batch_records: usize,
    /// Bytes of memory that those of a batch hold.
    pub batch_bytes: usize,
    /// How long the first record of a batch waits for others. Where delivering takes longer, more gather by themselves.
    pub batch_wait: Duration,
    /// How long a batch is tried again.
    pub retry_for: Duration,
    /// How long what is queued is still delivered once the daemon ends.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_records: 10_000,
            queue_bytes: 16 << 20,
            batch_records: 512,
            batch_bytes: 4 << 20,
            batch_wait: Duration::from_millis(200),
            retry_for: Duration::from_mins(1),
            grace: Duration::from_secs(5),
        }
    }
}
