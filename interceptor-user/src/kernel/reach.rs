//! Connections that no policy's rule can be about: the kernel is told to leave them out.

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{Array, LpmTrie, MapData, lpm_trie::Key},
};
use interceptor_common::{FILTER_REACH_NETWORKS, FILTER_REACH_PORTS};

use super::maps::{Feedback, take};
use crate::model::{Cidr, Networks, Ports, Reach};

/// The maps of what policies reach. At first that is everything.
pub(super) struct Reached {
    ports: Array<MapData, u64>,
    networks: LpmTrie<MapData, [u8; 16], u8>,
    /// What is in the first map, in force or not.
    written: Ports,
    /// What is in the other one.
    inserted: Vec<Cidr>,
}

impl Reached {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        let (ports, networks) = (take(ebpf, "REACH_PORTS")?, take(ebpf, "REACH_NETWORKS")?);
        Ok(Self { ports, networks, written: Ports::none(), inserted: Vec::new() })
    }

    /// Has the programs leave out all but these. What was captured before and is among them is captured all the while.
    pub(super) fn set(&mut self, reach: &Reach, feedback: &Feedback) -> anyhow::Result<()> {
        if reach.ports.is_all() {
            feedback.set_filters(FILTER_REACH_PORTS, false)?;
        } else {
            self.write(&reach.ports)?;
            feedback.set_filters(FILTER_REACH_PORTS, true)?;
        }
        match &reach.networks {
            Networks::All => feedback.set_filters(FILTER_REACH_NETWORKS, false),
            Networks::Of(networks) => {
                self.insert(networks)?;
                feedback.set_filters(FILTER_REACH_NETWORKS, true)?;
                self.remove_all_but(networks)
            }
        }
    }

    fn write(&mut self, ports: &Ports) -> anyhow::Result<()> {
        for (at, (word, before)) in (0..).zip(ports.words().iter().zip(self.written.words())) {
            if word != before {
                self.ports.set(at, *word, 0).context("cannot filter by the ports that policies need")?;
            }
        }
        self.written = ports.clone();
        Ok(())
    }

    fn insert(&mut self, networks: &[Cidr]) -> anyhow::Result<()> {
        for network in networks {
            if !self.inserted.contains(network) {
                self.networks
                    .insert(&key(*network), 1, 0)
                    .with_context(|| format!("cannot filter by the network {network}, which policies need"))?;
                self.inserted.push(*network);
            }
        }
        Ok(())
    }

    fn remove_all_but(&mut self, networks: &[Cidr]) -> anyhow::Result<()> {
        let gone: Vec<Cidr> = self.inserted.iter().filter(|one| !networks.contains(one)).copied().collect();
        for network in gone {
            self.networks
                .remove(&key(network))
                .with_context(|| format!("cannot end to capture the network {network}"))?;
            self.inserted.retain(|one| *one != network);
        }
        Ok(())
    }
}

fn key(network: Cidr) -> Key<[u8; 16]> {
    let (address, prefix) = network.mapped();
    Key::new(prefix, address.octets())
}
