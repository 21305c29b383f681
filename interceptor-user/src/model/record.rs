use std::sync::Arc;

use super::{Anomalies, Exchange, FlowEnd, FlowInfo, Ledger, Timestamp};

/// What a flow speaks, as far as it was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or 1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// WebSocket, after an HTTP/1 exchange or in an HTTP/2 stream.
    WebSocket,
    /// Tunnelled or upgraded after an HTTP/1 exchange.
    Tunnel,
    /// Nothing that we decode.
    Unknown,
}

impl Protocol {
    /// `network.protocol.name`, or `opaque`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 | Self::Http2 => "http",
            Self::WebSocket => "websocket",
            Self::Tunnel => "tunnel",
            Self::Unknown => "opaque",
        }
    }
}

/// A flow that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowRecord {
    /// Who and where.
    pub flow: Arc<FlowInfo>,
    /// Why it ended for us.
    pub end: FlowEnd,
    /// When.
    pub time: Timestamp,
    /// What it spoke.
    pub protocol: Protocol,
    /// Where its bytes went.
    pub ledger: Ledger,
    /// How many exchanges it had.
    pub exchanges: u64,
    /// What was odd about it and concerns no exchange.
    pub anomalies: Anomalies,
}

/// What a sink receives.
#[derive(Clone, Debug)]
pub enum Record {
    /// An exchange that is over, one way or another.
    Exchange(Box<Exchange>),
    /// A flow that is over.
    Flow(Box<FlowRecord>),
}
