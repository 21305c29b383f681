//! What the kernel keeps for userspace to sweep when the ring had no room.

use crate::TupleKey;

/// Directions of flows whose lost bytes can wait for a sweep at one time.
pub const LOST_MAX: u32 = 4096;
/// Socket events that can wait for a sweep at one time.
pub const MISSED_SOCKETS_MAX: u32 = 4096;

/// Key of the map of lost bytes: one direction of one flow, and why. The value is a `u64` of payload bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LostKey {
    /// `source` sent the bytes.
    pub key: TupleKey,
    /// A [`crate::DropReason`].
    pub reason: u32,
}

/// Key of the map of socket events that found no room in the ring. The value is a [`crate::SocketEvent`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MissedKey {
    /// The socket's cookie.
    pub cookie: u64,
    /// `SOCKET_*`.
    pub op: u64,
}

const _: () = {
    assert!(size_of::<LostKey>() == 44 && align_of::<LostKey>() == 4);
    assert!(size_of::<MissedKey>() == 16);
};

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]`, integers only, no padding (sizes asserted above).
    #[expect(unsafe_code, reason = "aya reads map keys as plain bytes")]
    unsafe impl aya::Pod for super::LostKey {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya reads map keys as plain bytes")]
    unsafe impl aya::Pod for super::MissedKey {}
}
