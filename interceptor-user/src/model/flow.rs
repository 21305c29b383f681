use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{Container, Timestamp};

/// An address and a port. IPv4 is kept mapped into IPv6, so that comparing and hashing is one integer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    ip: u128,
    port: u16,
}

impl Endpoint {
    /// From an address (IPv4 or IPv6) and a port.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        let ip = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        Self { ip: ip.to_bits(), port }
    }

    /// From an IPv6 or IPv4-mapped address in network byte order, as the kernel programs send it.
    pub const fn from_mapped(ip: [u8; 16], port: u16) -> Self {
        Self { ip: u128::from_be_bytes(ip), port }
    }

    /// The address as [`Self::from_mapped`] takes it.
    pub const fn mapped(self) -> [u8; 16] {
        self.ip.to_be_bytes()
    }

    /// The address; mapped IPv4 comes out as IPv4.
    pub fn ip(self) -> IpAddr {
        Ipv6Addr::from_bits(self.ip).to_canonical()
    }

    /// The port.
    pub const fn port(self) -> u16 {
        self.port
    }

    /// Both, in the standard library's type.
    pub fn socket_addr(self) -> SocketAddr {
        SocketAddr::new(self.ip(), self.port)
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::new(address.ip(), address.port())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket_addr().fmt(f)
    }
}

/// One TCP connection's addresses, whichever way a packet goes: the smaller endpoint is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    zone: u32,
    low: Endpoint,
    high: Endpoint,
}

impl FlowKey {
    /// `zone` tells namespaces apart that may use the same addresses; 0 where it is not known.
    pub fn new(zone: u32, a: Endpoint, b: Endpoint) -> Self {
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        Self { zone, low, high }
    }

    /// The smaller endpoint.
    pub const fn low(&self) -> Endpoint {
        self.low
    }

    /// The larger endpoint.
    pub const fn high(&self) -> Endpoint {
        self.high
    }

    /// The namespace's number.
    pub const fn zone(&self) -> u32 {
        self.zone
    }
}

/// Which end of a flow sent something. The client opened the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that opened the connection, as far as we know.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// Both, client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// The other end.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A process that owns a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Thread group id, in the namespace of the observer.
    pub pid: u32,
    /// `comm`: at most 15 bytes.
    pub command: Arc<str>,
}

/// How a local socket fared, in the kernel's own words as it was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketFigures {
    /// Smoothed round-trip time (RFC 6298), where one was measured.
    pub srtt: Option<Duration>,
    /// Segments that it sent more than once.
    pub retransmits: u32,
}

/// What is known of one end of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port.
    pub endpoint: Endpoint,
    /// Socket cookie, where the kernel gave one.
    pub cookie: Option<u64>,
    /// Cgroup id of its socket, where the kernel gave one.
    pub cgroup: Option<u64>,
    /// The process that owns its socket.
    pub process: Option<Process>,
    /// The container that its socket, or else its process, is in.
    pub container: Option<Arc<Container>>,
    /// How its socket fared, where that is a local one and told us so before the flow was over.
    pub figures: Option<SocketFigures>,
}

impl Peer {
    /// An end of which only the address is known.
    pub const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, cookie: None, cgroup: None, process: None, container: None, figures: None }
    }
}

/// What is known of a flow. Shared by its exchanges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowInfo {
    /// Unique in this run of the program; the first is 1.
    pub id: u64,
    /// Addresses and zone.
    pub key: FlowKey,
    /// The end that opened the connection. A guess (see `joined`) where we came in the middle.
    pub client: Peer,
    /// The end that accepted it.
    pub server: Peer,
    /// When we first saw it.
    pub start: Timestamp,
    /// We saw no handshake: the connection is older than the capture.
    pub joined: bool,
    /// Round-trip time between both ends, as a local socket measured it: in the handshake, and later smoothed (RFC 6298). Where
    /// none did, that of the handshake as it passed here: from the SYN to what acknowledges the answer to it. Where that
    /// acknowledgement is first seen with data, the time that the client took to have some is in it: at the most a second.
    pub round_trip: Option<Duration>,
    /// Interface index where it was first seen; 0 for cgroup capture and files without one.
    pub interface: u32,
}

impl FlowInfo {
    /// The named end.
    pub const fn peer(&self, side: Side) -> &Peer {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// The named end, to change it.
    pub const fn peer_mut(&mut self, side: Side) -> &mut Peer {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}
