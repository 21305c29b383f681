//! Whose an address is, as far as its sockets told: who is seen by address at one end may be known at the other.

use std::{collections::HashMap, net::IpAddr, sync::Arc, time::Duration};

use foldhash::fast::RandomState;

use super::node::Node;
use crate::model::{Peer, Side, Timestamp};

/// Who has not used an address for so long may have left it to somebody else, as pods do.
const STALE: Duration = Duration::from_mins(1);

/// Owners of addresses, and of addresses with ports.
#[derive(Debug, Default)]
pub(super) struct Names(HashMap<(IpAddr, Option<u16>), Claim, RandomState>);

#[derive(Debug)]
struct Claim {
    node: Arc<Node>,
    seen: Timestamp,
    /// Others use it too, as those in the host's network do.
    shared: bool,
}

impl Names {
    /// This end of a flow is that node's. Beyond `most` no more are learnt.
    pub(super) fn learn(&mut self, node: &Arc<Node>, peer: &Peer, side: Side, now: Timestamp, most: usize) {
        let ip = peer.endpoint.ip();
        if !node.is_known() || ip.is_loopback() {
            return;
        }
        if side == Side::Server {
            self.claim((ip, Some(peer.endpoint.port())), node, now, most);
        }
        self.claim((ip, None), node, now, most);
    }

    fn claim(&mut self, place: (IpAddr, Option<u16>), node: &Arc<Node>, now: Timestamp, most: usize) {
        let room = self.0.len() < most;
        match self.0.get_mut(&place) {
            Some(claim) if claim.node == *node => claim.seen = claim.seen.max(now),
            Some(claim) if now.since(claim.seen) > STALE => {
                *claim = Claim { node: Arc::clone(node), seen: now, shared: false };
            }
            Some(claim) => claim.shared = true,
            None if room => {
                self.0.insert(place, Claim { node: Arc::clone(node), seen: now, shared: false });
            }
            None => {}
        }
    }

    /// Who is at that address; the node itself where nobody said, or several did.
    pub(super) fn resolve(&self, node: &Arc<Node>, port: Option<u16>) -> Arc<Node> {
        let Node::Address { ip, .. } = **node else { return Arc::clone(node) };
        let owner = |port| self.0.get(&(ip, port)).filter(|claim| !claim.shared).map(|claim| &claim.node);
        let owner = port.and_then(|port| owner(Some(port))).or_else(|| owner(None));
        Arc::clone(owner.unwrap_or(node))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets who has not been seen since.
    pub(super) fn forget(&mut self, before: Timestamp) {
        self.0.retain(|_, claim| claim.seen >= before);
    }
}
