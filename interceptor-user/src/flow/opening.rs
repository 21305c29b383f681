//! How a flow begins, and who its client is.

use crate::model::{Endpoint, FlowKey, Segment, SocketChange, SocketReport, TcpFlags, Timestamp};

/// Ports that servers use although they lie where clients' ports are taken from (gRPC's customary ones).
const SERVER_PORTS: [u16; 3] = [50_051, 50_052, 50_053];
/// Linux takes clients' ports from here up (`ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;

/// Where and when a flow began.
pub(super) struct Beginning {
    pub(super) key: FlowKey,
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) time: Timestamp,
    pub(super) interface: u32,
}

impl Beginning {
    pub(super) const fn of(key: FlowKey, segment: &Segment<'_>) -> Self {
        let Segment { source, destination, time, interface, .. } = *segment;
        Self { key, source, destination, time, interface }
    }
}

/// The first thing known of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// SYN without ACK: its sender is the client (RFC 9293 section 3.5).
    Syn,
    /// SYN with ACK: its receiver is the client.
    SynAck,
    /// A socket reported the handshake, of which we saw no segment.
    Reported {
        /// Is the sender of the first segment the client?
        source_is_client: bool,
    },
    /// Neither: we came in the middle and guess.
    Joined {
        /// Is the sender of the first segment the client?
        source_is_client: bool,
    },
}

impl Opening {
    /// What `segment`, of a flow that is not known, begins; `None` if it carries nothing to begin a flow with.
    pub(super) fn of(segment: &Segment<'_>, reports: &[SocketReport]) -> Option<Self> {
        let flags = segment.flags;
        if flags.has(TcpFlags::RST) {
            return None;
        }
        if flags.has(TcpFlags::SYN) {
            return Some(if flags.has(TcpFlags::ACK) { Self::SynAck } else { Self::Syn });
        }
        if segment.wire_len == 0 && segment.payload.is_empty() {
            return None;
        }
        let reported = reports.iter().find_map(client_of);
        Some(match reported {
            Some(client) => Self::Reported { source_is_client: client == segment.source },
            None => Self::guess(segment.source, segment.destination),
        })
    }

    /// Nobody told who opened it.
    pub(super) fn guess(source: Endpoint, destination: Endpoint) -> Self {
        Self::Joined { source_is_client: !serves(source.port(), destination.port()) }
    }

    pub(super) const fn source_is_client(self) -> bool {
        match self {
            Self::Syn => true,
            Self::SynAck => false,
            Self::Reported { source_is_client } | Self::Joined { source_is_client } => source_is_client,
        }
    }

    pub(super) const fn joined(self) -> bool {
        matches!(self, Self::Joined { .. })
    }

    /// No segment tells where the streams start.
    pub(super) const fn late(self) -> bool {
        matches!(self, Self::Reported { .. } | Self::Joined { .. })
    }
}

/// The client, if the report tells.
pub(super) fn client_of(report: &SocketReport) -> Option<Endpoint> {
    match report.change {
        SocketChange::OpenedActive => Some(report.local),
        SocketChange::OpenedPassive => Some(report.remote),
        SocketChange::Closed => None,
    }
}

/// Is the end with port `own` likely to be the server, if the other has `peer`? Servers have the smaller port, other
/// than those that are known to have a large one. Equal ports tell nothing; then the first to speak is the client.
fn serves(own: u16, peer: u16) -> bool {
    let known = |port: u16| port < EPHEMERAL || SERVER_PORTS.contains(&port);
    match (known(own), known(peer)) {
        (true, false) => true,
        (false, true) => false,
        _ => own < peer,
    }
}

#[cfg(test)]
mod tests {
    use super::serves;

    #[test]
    fn the_server_is_guessed_by_port() {
        assert!(serves(80, 40_000));
        assert!(!serves(40_000, 80));
        assert!(serves(50_051, 40_000), "gRPC's port is a server's");
        assert!(!serves(40_000, 50_051));
        assert!(serves(80, 8080));
        assert!(!serves(5000, 5000) && !serves(5000, 5000), "the first to speak is the client");
    }
}
