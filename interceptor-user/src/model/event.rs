use std::time::Duration;

use super::{Endpoint, FlowKey, LossReason, Process, Timestamp};

/// What a source hands over.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A TCP segment, or a piece of it.
    Segment(Segment<'a>),
    /// What the kernel says of a socket.
    Socket(SocketReport),
    /// Bytes of one flow that the kernel side could not hand over.
    Loss(LossReport),
}

impl Event<'_> {
    /// The flow that it is of.
    pub fn key(&self) -> FlowKey {
        match self {
            Self::Segment(segment) => FlowKey::new(segment.zone, segment.source, segment.destination),
            Self::Socket(report) => FlowKey::new(report.zone, report.local, report.remote),
            Self::Loss(report) => FlowKey::new(report.zone, report.source, report.destination),
        }
    }
}

/// Bytes that `source` sent and that were dropped on the way to us. It may come later than what followed them.
#[derive(Clone, Copy, Debug)]
pub struct LossReport {
    /// Namespace number.
    pub zone: u32,
    /// Who sent them.
    pub source: Endpoint,
    /// Who they were for.
    pub destination: Endpoint,
    /// How many (retransmissions may count twice).
    pub bytes: u64,
    /// Why.
    pub reason: LossReason,
}

/// TCP flags as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Opens the connection; counts one in sequence space.
    pub const SYN: Self = Self(2);
    /// The connection is gone.
    pub const RST: Self = Self(4);
    /// The acknowledgement number is valid.
    pub const ACK: Self = Self(16);

    /// Is every flag of `other` set?
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Which end of a segment the socket behind `cookie` and `cgroup` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The sender's socket.
    Source,
    /// The receiver's socket.
    Destination,
}

/// Captured payload of one skb or packet.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    /// When it passed the hook.
    pub time: Timestamp,
    /// Namespace number; see [`super::FlowKey::new`].
    pub zone: u32,
    /// Who sent it.
    pub source: Endpoint,
    /// Who it is for.
    pub destination: Endpoint,
    /// Sequence number of the first byte of `payload` (of the SYN itself if `flags` has SYN).
    pub seq: u32,
    /// Acknowledgement number, valid if `flags` has ACK.
    pub ack: u32,
    /// TCP flags. A piece that is not the last of its skb carries no FIN and no RST.
    pub flags: TcpFlags,
    /// Receive window that the sender announces, as on the wire: before scaling (RFC 7323 section 2.2). Zero is zero either way.
    pub window: u16,
    /// What we have of its payload.
    pub payload: &'a [u8],
    /// Payload bytes on the wire; the last `wire_len - payload.len()` bytes were not captured, for the reason in `cut`.
    pub wire_len: u32,
    /// Why `payload` is shorter than `wire_len`.
    pub cut: Option<LossReason>,
    /// The socket behind it, where known: which end, cookie, cgroup id (0 where unknown).
    pub socket: Option<(Owner, u64, u64)>,
    /// Interface index, 0 where there is none.
    pub interface: u32,
}

/// What happened to a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketChange {
    /// It opened a connection: it is the client.
    OpenedActive,
    /// It accepted a connection: it is the server.
    OpenedPassive,
    /// It is closed; its counters are final.
    Closed,
}

/// What the kernel says of a local socket.
#[derive(Clone, Debug)]
pub struct SocketReport {
    /// When.
    pub time: Timestamp,
    /// Namespace number.
    pub zone: u32,
    /// What happened.
    pub change: SocketChange,
    /// Its own end.
    pub local: Endpoint,
    /// Its peer.
    pub remote: Endpoint,
    /// Socket cookie.
    pub cookie: u64,
    /// Cgroup id, where known.
    pub cgroup: Option<u64>,
    /// The process that opened it, where known.
    pub process: Option<Process>,
    /// Smoothed round-trip time.
    pub srtt: Duration,
    /// Segments retransmitted in total.
    pub retransmits: u32,
    /// Payload bytes acknowledged by the peer.
    pub bytes_acked: u64,
    /// Payload bytes received in order.
    pub bytes_received: u64,
}
