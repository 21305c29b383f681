//! What the inline path counts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Read by others while it runs.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections that are carried now.
    pub open: AtomicU64,
    /// That were carried, or are.
    pub accepted: AtomicU64,
    /// Of which nobody knows where they were going: somebody connected to us.
    pub strays: AtomicU64,
    /// That could not be connected to where they were going.
    pub unreachable: AtomicU64,
    /// Requests that no server answered.
    pub unanswered: AtomicU64,
    /// Lookups of backends' names that gave no address.
    pub unresolved: AtomicU64,
    /// Connections of clients that were closed because no request came on them.
    pub client_idle: AtomicU64,
    /// Requests that there was no room to read, and that were sent on all the same.
    pub unread_forwarded: AtomicU64,
    /// Such as were not.
    pub unread_refused: AtomicU64,
    /// Bytes of requests that are held back now.
    pub held_bytes: AtomicU64,
    /// Requests that were held back, and became whole.
    pub held: AtomicU64,
    /// Such as were larger than the rule that asks for them takes.
    pub held_too_large: AtomicU64,
    /// Such as there was no room for.
    pub held_no_room: AtomicU64,
    /// Of servers.
    pub upstream: UpstreamCounts,
}

/// The servers' side.
#[derive(Debug, Default)]
pub struct UpstreamCounts {
    /// Connections that are open for requests.
    pub connections: AtomicU64,
    /// Of those, without a request.
    pub idle: AtomicU64,
    /// That were opened.
    pub opened: AtomicU64,
    /// Requests on a connection that had one before.
    pub reused: AtomicU64,
    /// Attempts beside the first, because no connection could be opened.
    pub retry_connect: AtomicU64,
    /// Because a connection was closed meanwhile.
    pub retry_closed: AtomicU64,
    /// Because the server did not look at the request (HTTP/2).
    pub retry_refused: AtomicU64,
    /// Because of the answer's status.
    pub retry_status: AtomicU64,
    /// Because there was no answer.
    pub retry_reset: AtomicU64,
    /// That were not made, because the budget was used up.
    pub over_budget: AtomicU64,
    /// Connections that were not there in time.
    pub late_connect: AtomicU64,
    /// Heads of answers.
    pub late_response: AtomicU64,
    /// Requests and answers that stood still.
    pub late_idle: AtomicU64,
    /// Times that an address was left alone.
    pub ejections: AtomicU64,
    /// Addresses that are.
    pub ejected: AtomicU64,
    /// Addresses that failed their checks.
    pub unhealthy: AtomicU64,
    /// Requests beyond the limit of all upstreams.
    pub limited_all: AtomicU64,
    /// Beyond the limit of theirs.
    pub limited_upstream: AtomicU64,
}

/// Counted while it lives.
pub(super) struct Gauge {
    counts: Arc<Counts>,
    of: fn(&Counts) -> &AtomicU64,
}

impl Gauge {
    pub(super) fn new(counts: &Arc<Counts>, of: fn(&Counts) -> &AtomicU64) -> Self {
        of(counts).fetch_add(1, Relaxed);
        Self { counts: Arc::clone(counts), of }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        (self.of)(&self.counts).fetch_sub(1, Relaxed);
    }
}
