use std::{sync::Arc, time::Duration};

use super::Timestamp;

/// Who an end of an edge of the service map is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeEnd {
    /// `pod`, `container`, `process`, `address`, `network` or `other`.
    pub kind: &'static str,
    /// Its name, which no other end has.
    pub name: Box<str>,
}

/// Who called whom in a time, and how that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeRecord {
    /// When the time began.
    pub start: Timestamp,
    /// When it was over; of the last one, when the last thing in it was.
    pub end: Timestamp,
    /// Who called.
    pub client: EdgeEnd,
    /// Who was called.
    pub server: EdgeEnd,
    /// The server's port; none where several were folded.
    pub port: Option<u16>,
    /// What was spoken.
    pub protocol: &'static str,
    /// The model that was asked.
    pub model: Option<Arc<str>>,
    /// Exchanges that were over in that time.
    pub exchanges: u64,
    /// Of them, those that failed.
    pub errors: u64,
    /// Connections that were over in that time and that no exchange shows.
    pub connections: u64,
    /// Content bytes of requests; of connections all that the client sent.
    pub client_bytes: u64,
    /// Content bytes of responses; of connections all that the server sent.
    pub server_bytes: u64,
    /// What half of the exchanges did not exceed.
    pub p50: Option<Duration>,
    /// What 99 of 100 did not exceed.
    pub p99: Option<Duration>,
}
