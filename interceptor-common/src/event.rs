//! Events, as they lie in the ring buffer.

/// What kind of event follows an [`EventHeader`].
pub const EVENT_SEGMENT: u16 = 1;
/// See [`SocketEvent`].
pub const EVENT_SOCKET: u16 = 2;

/// Payload bytes that one ring record carries at the most. Larger skbs are cut into pieces, in order.
/// Under the 32 KiB that a per-CPU map value may hold on every kernel from 5.10 up.
pub const PIECE_MAX: usize = 30 * 1024;
/// Pieces of one skb at the most: 24 * 30 KiB = 720 KiB covers big TCP (512 KiB and a little).
pub const PIECES_MAX: usize = 24;

/// The packet left the host, or the namespace, through the hook.
pub const DIRECTION_EGRESS: u8 = 0;
/// The packet came in through the hook.
pub const DIRECTION_INGRESS: u8 = 1;

/// Captured by a TC program on an interface.
pub const HOOK_TC: u8 = 0;
/// Captured by a cgroup_skb program on a pod's cgroup.
pub const HOOK_CGROUP_SKB: u8 = 1;

/// In [`SegmentEvent::owner`]: no socket is known for this packet.
pub const OWNER_NONE: u8 = 0;
/// The cookie and cgroup belong to the socket at the packet's source.
pub const OWNER_SOURCE: u8 = 1;
/// The cookie and cgroup belong to the socket at the packet's destination.
pub const OWNER_DESTINATION: u8 = 2;

/// First in every ring record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct EventHeader {
    /// [`crate::ABI_VERSION`].
    pub version: u16,
    /// `EVENT_*`.
    pub kind: u16,
    /// Bytes of this record that mean something, header included; a record may be longer (size classes).
    pub len: u32,
}

/// Addresses of a packet, or of a socket (then `source` is the local end).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TupleKey {
    /// IPv6, or IPv4-mapped; network byte order.
    pub source: [u8; 16],
    /// IPv6, or IPv4-mapped; network byte order.
    pub destination: [u8; 16],
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub destination_port: u16,
    /// Network namespace in which they mean something: its inode number (that of `/proc/PID/ns/net`), or 0 where the
    /// kernel does not tell.
    pub zone: u32,
}

/// A TCP segment, or one piece of it; [`SegmentEvent::captured`] payload bytes follow in the record.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SegmentEvent {
    /// Kind [`EVENT_SEGMENT`].
    pub header: EventHeader,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Cookie of the socket that `owner` names, or 0.
    pub cookie: u64,
    /// Cgroup id (inode of its directory) of that socket, or 0.
    pub cgroup_id: u64,
    /// Addresses and ports.
    pub key: TupleKey,
    /// Sequence number of the skb's first payload byte (of the SYN itself where `flags` has SYN).
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Payload bytes of the whole skb, by its IP and TCP headers.
    pub payload_len: u32,
    /// Where in that payload this piece begins.
    pub offset: u32,
    /// Payload bytes in this record.
    pub captured: u32,
    /// Interface index in its namespace; 0 for cgroup_skb.
    pub ifindex: u32,
    /// TCP flags as on the wire (FIN 1, SYN 2, RST 4, PSH 8, ACK 16).
    pub flags: u8,
    /// `DIRECTION_*`.
    pub direction: u8,
    /// `HOOK_*`.
    pub hook: u8,
    /// `OWNER_*`.
    pub owner: u8,
    /// On the last piece of a payload that was not taken whole, why: a [`crate::DropReason`] + 1; else 0.
    pub cut: u16,
    /// Receive window that the sender announces, as on the wire: before scaling (RFC 7323 section 2.2).
    pub window: u16,
}

/// A connection was opened by a local socket.
pub const SOCKET_OPENED_ACTIVE: u8 = 1;
/// A connection was accepted by a local socket.
pub const SOCKET_OPENED_PASSIVE: u8 = 2;
/// A local socket's connection reached `TCP_CLOSE`; the counters are final.
pub const SOCKET_CLOSED: u8 = 3;

/// What the kernel's own socket says, from sock_ops.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketEvent {
    /// Kind [`EVENT_SOCKET`].
    pub header: EventHeader,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// The socket's cookie.
    pub cookie: u64,
    /// Cgroup id of the process that opened it (active) or 0.
    pub cgroup_id: u64,
    /// `source` is the local end.
    pub key: TupleKey,
    /// Smoothed round-trip time, microseconds.
    pub srtt_us: u32,
    /// Segments retransmitted in total.
    pub retransmits: u32,
    /// Process (thread group) that called connect, or 0.
    pub pid: u32,
    /// Explicit padding.
    pub pad: u32,
    /// Payload bytes that the peer acknowledged (SYN and FIN not counted).
    pub bytes_acked: u64,
    /// Payload bytes received in order (SYN and FIN not counted).
    pub bytes_received: u64,
    /// Name of that process, NUL padded.
    pub command: [u8; 16],
    /// `SOCKET_*`.
    pub op: u8,
    /// Explicit padding.
    pub pad_end: [u8; 7],
}

const _: () = {
    use core::mem::{align_of, size_of};
    assert!(size_of::<EventHeader>() == 8);
    assert!(size_of::<TupleKey>() == 40);
    assert!(size_of::<SegmentEvent>() == 104 && align_of::<SegmentEvent>() == 8);
    assert!(size_of::<SocketEvent>() == 128 && align_of::<SocketEvent>() == 8);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]`, integers only, padding explicit (sizes asserted above).
    #[expect(unsafe_code, reason = "aya reads and writes map keys and values as plain bytes")]
    unsafe impl aya::Pod for super::TupleKey {}
    // SAFETY: as above; aya only reads it.
    #[expect(unsafe_code, reason = "aya reads map values as plain bytes")]
    unsafe impl aya::Pod for super::SocketEvent {}
}
