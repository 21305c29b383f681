//! Who a node of the map is.

use std::{
    fmt,
    hash::Hash,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use crate::model::{Peer, Side};

/// One end of an edge, by the best that is known of it. The order is that of certainty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    /// By its uid.
    Pod(Arc<str>),
    /// By the runtime's id of it.
    Container(Arc<str>),
    /// A process outside of containers; without a number it is all of that name that there was no room for.
    Process { command: Arc<str>, pid: Option<u32> },
    /// With the port where the address alone says little: a server's on loopback.
    Address { ip: IpAddr, port: Option<u16> },
    /// Addresses that there was no room for: the first of them, and how many bits they have in common.
    Network(IpAddr, u8),
    /// All that there was no room for.
    Other,
}

/// Characters of a container's id that people are shown, as container runtimes do.
const SHOWN_ID: usize = 12;
/// Bits of an address that are its network's, where nothing is known of it: what is most often one site's.
const V4_BITS: u8 = 24;
const V6_BITS: u8 = 64;

impl Node {
    /// This end of a flow.
    pub(super) fn of(peer: &Peer, side: Side) -> Self {
        if let Some(container) = &peer.container {
            return match &container.pod {
                Some(pod) => Self::Pod((&*pod.uid).into()),
                None => Self::Container((&*container.id).into()),
            };
        }
        if let Some(process) = &peer.process {
            return Self::Process { command: Arc::clone(&process.command), pid: Some(process.pid) };
        }
        let ip = peer.endpoint.ip();
        let port = (side == Side::Server && ip.is_loopback()).then(|| peer.endpoint.port());
        Self::Address { ip, port }
    }

    /// What it becomes part of where there is no room for it.
    pub(super) fn wider(&self) -> Self {
        match self {
            Self::Process { command, pid: Some(_) } => Self::Process { command: Arc::clone(command), pid: None },
            Self::Address { ip: IpAddr::V4(ip), .. } => {
                let network = ip.to_bits() & (u32::MAX << (32 - V4_BITS));
                Self::Network(Ipv4Addr::from_bits(network).into(), V4_BITS)
            }
            Self::Address { ip: IpAddr::V6(ip), .. } => {
                let network = ip.to_bits() & (u128::MAX << (128 - V6_BITS));
                Self::Network(Ipv6Addr::from_bits(network).into(), V6_BITS)
            }
            Self::Pod(_) | Self::Container(_) | Self::Process { pid: None, .. } | Self::Network(..) | Self::Other => {
                Self::Other
            }
        }
    }

    /// There may be any number of its like: clients come with new addresses, commands are run again.
    pub(super) const fn is_one_of_many(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::Process { pid: Some(_), .. })
    }

    /// More is known of it than its address.
    pub(super) const fn is_known(&self) -> bool {
        matches!(self, Self::Pod(_) | Self::Container(_) | Self::Process { .. })
    }

    /// What kind of thing it is.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Pod(_) => "pod",
            Self::Container(_) => "container",
            Self::Process { .. } => "process",
            Self::Address { .. } => "address",
            Self::Network(..) => "network",
            Self::Other => "other",
        }
    }
}

/// Its name, which tells nodes apart: of two kinds of nodes none has the same.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(uid) => write!(f, "pod/{uid}"),
            Self::Container(id) => write!(f, "container/{}", id.get(..SHOWN_ID).unwrap_or(id)),
            Self::Process { command, pid: Some(pid) } => write!(f, "{command}[{pid}]"),
            Self::Process { command, pid: None } => write!(f, "{command}[*]"),
            Self::Address { ip: IpAddr::V6(ip), port: Some(port) } => write!(f, "[{ip}]:{port}"),
            Self::Address { ip, port: Some(port) } => write!(f, "{ip}:{port}"),
            Self::Address { ip, port: None } => ip.fmt(f),
            Self::Network(ip, bits) => write!(f, "{ip}/{bits}"),
            Self::Other => f.write_str("other"),
        }
    }
}
