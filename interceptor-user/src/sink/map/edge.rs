//! An edge of the map: who calls whom, and how that goes.

use std::sync::Arc;

use super::{durations::Durations, node::Node};
use crate::model::{Protocol, Timestamp};

/// What makes two exchanges of one edge.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) client: Arc<Node>,
    pub(super) server: Arc<Node>,
    /// The server's; 0 where ports are not told apart any more.
    pub(super) port: u16,
    pub(super) protocol: Spoken,
    pub(super) model: Option<Arc<str>>,
}

/// What an edge speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Spoken {
    Grpc,
    /// Index into [`Protocol::ALL`].
    Plain(u8),
}

impl Spoken {
    #[cfg(test)]
    pub(super) const COUNT: usize = Protocol::ALL.len() + 1;

    pub(super) const fn new(protocol: Protocol) -> Self {
        Self::Plain(match protocol {
            // What matters to its user is that it is HTTP.
            Protocol::Http2 => Protocol::Http1 as u8,
            other => other as u8,
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Plain(protocol) => {
                Protocol::ALL.get(usize::from(protocol)).map_or("opaque", |protocol| protocol.name())
            }
        }
    }
}

/// Who saw something of an edge. Where both ends are captured apart, both see the same: that is not to be counted twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vantage {
    Client,
    Server,
    /// Both ends at once, or somebody between them.
    Whole,
}

/// What was seen of an edge from one place.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) exchanges: u64,
    pub(super) errors: u64,
    /// That no exchange shows.
    pub(super) connections: u64,
    pub(super) client_bytes: u64,
    pub(super) server_bytes: u64,
    pub(super) durations: Durations,
}

impl Figures {
    pub(super) fn merge(&mut self, other: &Self) {
        self.exchanges += other.exchanges;
        self.errors += other.errors;
        self.connections += other.connections;
        self.client_bytes = self.client_bytes.saturating_add(other.client_bytes);
        self.server_bytes = self.server_bytes.saturating_add(other.server_bytes);
        self.durations.merge(&other.durations);
    }

    /// What has come since they were those; nothing of what they fell.
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            exchanges: self.exchanges.saturating_sub(before.exchanges),
            errors: self.errors.saturating_sub(before.errors),
            connections: self.connections.saturating_sub(before.connections),
            client_bytes: self.client_bytes.saturating_sub(before.client_bytes),
            server_bytes: self.server_bytes.saturating_sub(before.server_bytes),
            durations: self.durations.since(&before.durations),
        }
    }

    /// Exchanges and connections.
    pub(super) const fn seen(&self) -> u64 {
        self.exchanges + self.connections
    }
}

/// An edge's figures, by who saw it.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) first: Timestamp,
    pub(super) last: Timestamp,
    pub(super) by: [Figures; 3],
}

impl Edge {
    pub(super) fn new(time: Timestamp) -> Self {
        Self { first: time, last: time, by: Default::default() }
    }

    pub(super) fn at(&mut self, vantage: Vantage, first: Timestamp, last: Timestamp) -> &mut Figures {
        self.first = self.first.min(first);
        self.last = self.last.max(last);
        &mut self.by[vantage as usize]
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        for (figures, more) in self.by.iter_mut().zip(&other.by) {
            figures.merge(more);
        }
    }

    /// What has come since it was that.
    pub(super) fn since(&self, before: &Self) -> Self {
        let [client, server, whole] = &self.by;
        let [client_before, server_before, whole_before] = &before.by;
        let by = [client.since(client_before), server.since(server_before), whole.since(whole_before)];
        Self { by, ..self.clone() }
    }

    /// What there was. What one end alone saw the other may have seen too: the one that saw more counts.
    pub(super) fn figures(&self) -> Figures {
        let [client, server, whole] = &self.by;
        let more = if server.seen() >= client.seen() { server } else { client };
        let mut all = whole.clone();
        all.merge(more);
        all
    }

    /// How long the client, and how long the server took it to last, as far as they were seen there.
    pub(super) fn durations(&self) -> [Durations; 2] {
        let [client, server, whole] = &self.by;
        [client, server].map(|seen| {
            let mut all = whole.durations.clone();
            all.merge(&seen.durations);
            all
        })
    }
}
