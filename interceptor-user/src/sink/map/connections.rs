//! Connections that are captured in several namespaces, of which one capture counts.

use std::{collections::HashMap, mem};

use foldhash::fast::RandomState;

use crate::model::FlowInfo;

/// Sockets that are remembered before those that were not seen meanwhile are forgotten.
const MOST: usize = 4096;

/// Where the connection of each socket is counted: a cookie is one socket's, wherever its packets are seen.
#[derive(Debug, Default)]
pub(super) struct Connections {
    now: HashMap<u64, u32, RandomState>,
    before: HashMap<u64, u32, RandomState>,
}

impl Connections {
    /// Is it counted by what another namespace sees of it? It is where it was seen first.
    pub(super) fn counted_elsewhere(&mut self, flow: &FlowInfo) -> bool {
        let zone = flow.key.zone();
        if zone == 0 {
            return false;
        }
        let sockets = || [flow.client.cookie, flow.server.cookie].into_iter().flatten();
        let known = sockets().find_map(|cookie| self.now.get(&cookie).or_else(|| self.before.get(&cookie)));
        let owner = known.copied().unwrap_or(zone);
        for cookie in sockets() {
            if !self.now.contains_key(&cookie) {
                if self.now.len() >= MOST {
                    self.before = mem::take(&mut self.now);
                }
                self.now.insert(cookie, owner);
            }
        }
        owner != zone
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.now.len() + self.before.len()
    }
}
