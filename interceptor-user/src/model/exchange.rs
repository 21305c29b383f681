use std::sync::Arc;

use bytes::Bytes;

use super::{Anomalies, Anomaly, Fields, FlowInfo, Head, Protocol, Timestamp};

/// One side of an exchange: a request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Start line and header fields.
    pub head: Head,
    /// Trailer fields.
    pub trailers: Fields,
    /// The first bytes of the content, up to the configured limit; transfer coding removed, content coding kept.
    pub body: Bytes,
    /// Content bytes seen (more than `body` holds where the limit cut it).
    pub body_size: u64,
    /// Content bytes known to be missing.
    pub body_missing: u64,
    /// When its first byte was captured.
    pub first_byte: Timestamp,
    /// When its last byte so far was captured.
    pub last_byte: Timestamp,
    /// It ended as its framing says.
    pub ended: bool,
}

/// A request with its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The flow that carried it.
    pub flow: Arc<FlowInfo>,
    /// Ordinal in its flow; the first is 1.
    pub number: u64,
    /// Protocol that was spoken.
    pub protocol: Protocol,
    /// The request; missing where only a response was seen.
    pub request: Option<Part>,
    /// The final response; missing where none was seen.
    pub response: Option<Part>,
    /// Interim (1xx) responses before it, 101 not counted.
    pub interim: u32,
    /// What is odd about it.
    pub anomalies: Anomalies,
}

impl Exchange {
    /// Both messages were seen from their first byte to their last.
    pub fn complete(&self) -> bool {
        let whole = |part: &Option<Part>| part.as_ref().is_some_and(|part| part.ended && part.body_missing == 0);
        whole(&self.request) && whole(&self.response) && !self.anomalies.contains(Anomaly::Gap)
    }

    /// First byte of the request to last byte of the response, where both were seen.
    pub fn duration(&self) -> Option<std::time::Duration> {
        Some(self.response.as_ref()?.last_byte.since(self.request.as_ref()?.first_byte))
    }
}
