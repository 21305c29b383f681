//! What is known of a flow's sockets, from the packets that name them and from the kernel's reports.

use std::sync::Arc;

use super::{
    direction::Direction,
    entry::{Flow, Phase},
    opening::client_of,
};
use crate::model::{FlowEnd, Owner, Side, SocketChange, SocketFigures, SocketReport};

impl<S> Flow<S> {
    /// Takes what a packet says of a socket. Says whether its cgroup is known only now.
    #[inline]
    pub(super) fn note_socket(&mut self, side: Side, owner: Owner, cookie: u64, cgroup: u64) -> bool {
        let side = if owner == Owner::Source { side } else { side.peer() };
        let [client, server] = &mut self.known;
        let known = if side == Side::Client { client } else { server };
        if *known {
            return false;
        }
        *known = cookie != 0 && cgroup != 0;
        let peer = self.info.peer(side);
        let new_cookie = peer.cookie.is_none() && cookie != 0;
        let new_cgroup = peer.cgroup.is_none() && cgroup != 0;
        if new_cookie || new_cgroup {
            let peer = Arc::make_mut(&mut self.info).peer_mut(side);
            peer.cookie = peer.cookie.or(Some(cookie).filter(|&cookie| cookie != 0));
            peer.cgroup = peer.cgroup.or(Some(cgroup).filter(|&cgroup| cgroup != 0));
        }
        new_cgroup
    }

    /// Is the report of this flow, as opposed to another that used the same addresses?
    pub(super) fn is_of(&self, report: &SocketReport) -> bool {
        let peer = self.info.peer(self.sender(report.local == self.info.key.low()));
        peer.cookie.is_none_or(|cookie| report.cookie == 0 || cookie == report.cookie)
    }

    /// Takes what the kernel says of one of the flow's sockets. Says whether its cgroup is known only now.
    pub(super) fn report(&mut self, report: &SocketReport) -> bool {
        // Who opened it is a fact now; a guess is corrected as long as nobody acted on it.
        if let Some(client) = client_of(report) {
            let wrong = client != self.info.client.endpoint;
            if wrong && self.info.joined && self.client.untouched() && self.server.untouched() {
                self.turn();
            }
        }
        let side = self.sender(report.local == self.info.key.low());
        let info = Arc::make_mut(&mut self.info);
        // The client's measure is of the whole way, the server's of the last step of the handshake only; both are the same way.
        info.round_trip = Some(report.srtt).filter(|srtt| !srtt.is_zero()).or(info.round_trip);
        let peer = info.peer_mut(side);
        peer.cookie = Some(report.cookie).filter(|&cookie| cookie != 0).or(peer.cookie);
        let new_cgroup = peer.cgroup.is_none() && report.cgroup.is_some();
        peer.cgroup = report.cgroup.or(peer.cgroup);
        peer.process = report.process.clone().or(peer.process.take());
        if report.change == SocketChange::Closed {
            let srtt = Some(report.srtt).filter(|srtt| !srtt.is_zero());
            peer.figures = Some(SocketFigures { srtt, retransmits: report.retransmits });
            let most = |direction: &mut Direction, bytes: u64| {
                direction.kernel = Some(direction.kernel.map_or(bytes, |other| other.max(bytes)));
            };
            most(self.side_mut(side), report.bytes_acked);
            most(self.side_mut(side.peer()), report.bytes_received);
            match self.phase {
                Phase::Open => self.phase = Phase::Closing { since: report.time },
                // The socket was closed by it, then.
                Phase::Doubted { .. } => self.phase = Phase::Over { end: FlowEnd::Reset, since: report.time },
                Phase::Closing { .. } | Phase::Over { .. } => {}
            }
        }
        new_cgroup
    }

    /// Client and server change places.
    fn turn(&mut self) {
        let info = Arc::make_mut(&mut self.info);
        std::mem::swap(&mut info.client, &mut info.server);
        std::mem::swap(&mut self.client, &mut self.server);
        self.client.side = Side::Client;
        self.server.side = Side::Server;
        self.client_low = !self.client_low;
        self.known.reverse();
    }
}
