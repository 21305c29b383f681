//! What userspace tells the programs.

/// Capture configuration; the single value of an array map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CaptureConfig {
    /// Payload bytes of a segment to hand over at the most; 0 is no limit.
    pub payload_limit: u32,
    /// A flow is taken if its symmetric hash modulo 2^32 is below this, or if this is 0 (take all).
    pub sample_below: u32,
    /// Fill of a ring, in bytes, above which the reader is woken; below it the reader polls.
    pub wake_bytes: u32,
    /// `FILTER_*` bits: which filter maps to consult.
    pub filters: u32,
    /// The ring that a CPU writes to is the CPU's number and this mask: rings, a power of two, minus one.
    pub ring_mask: u32,
    /// With [`FILTER_INLINE`], the ports at which its listeners are on loopback addresses: of IPv4, of IPv6.
    pub inline_ports: [u16; 2],
}

/// Only flows with a port (either end) in the port map.
pub const FILTER_PORTS: u32 = 1;
/// Only flows with an address (either end) in the CIDR trie.
pub const FILTER_CIDRS: u32 = 2;
/// Only sockets whose cgroup, or an ancestor of it, is in the cgroup map.
pub const FILTER_CGROUPS: u32 = 4;
/// Leave out egress.
pub const FILTER_NO_EGRESS: u32 = 8;
/// Leave out ingress.
pub const FILTER_NO_INGRESS: u32 = 16;
/// The cut-off map has entries.
pub const FILTER_CUT_OFFS: u32 = 32;

/// Nothing is captured yet: programs are still being attached, and half a conversation would look like a gap.
pub const FILTER_HOLD: u32 = 64;

/// Only flows with a port (either end) in the port map of what policies reach.
pub const FILTER_REACH_PORTS: u32 = 128;
/// Only flows with an address (either end) in the networks that policies reach.
pub const FILTER_REACH_NETWORKS: u32 = 256;
/// There is an inline path: what it carries it tells of itself.
pub const FILTER_INLINE: u32 = 512;
/// Directions of connections that the inline path has opened, at one time.
pub const CARRIED_MAX: u32 = 64 * 1024;
/// Networks that policies reach, at the most.
pub const REACH_NETWORKS_MAX: u32 = 1024;
/// Words of 64 ports each, the lowest port in the lowest bit.
pub const PORT_WORDS: usize = 1024;

/// Rings at the most. Writers on several CPUs that share one spend more on its lock and position than on the record.
pub const RINGS_MAX: usize = 8;

/// In the kernel object's `OUTER_ZONE`: what leaves a namespace is captured in it.
pub const ZONE_OWN: u32 = u32::MAX;
/// Network namespaces that are captured at one time.
pub const ZONES_MAX: u32 = 4096;

/// Levels of ancestors at which a cgroup is looked for.
pub const CGROUP_LEVELS: i32 = 10;
/// Directions of flows that can be cut off at one time; the least recently used one is taken up again beyond.
pub const CUT_OFFS_MAX: u32 = 16 * 1024;

/// What one direction of a flow is cut off from; a value of the map of cut-offs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// `CUT_*` bits.
    pub kind: u32,
    /// Sequence number of the first byte that is wanted again ([`CUT_UNTIL`]).
    pub until: u32,
    /// Bytes of each turn that are wanted, its first ones; 0: all. A turn is what a side sends under one acknowledgement
    /// number: that advances when the other side has sent something.
    pub turn_limit: u32,
    /// The kernel's own: acknowledgement number of the turn ([`CUT_IN_TURN`]).
    pub turn_ack: u32,
    /// The kernel's own: sequence number of the turn's first byte ([`CUT_IN_TURN`]).
    pub turn_seq: u32,
}

/// Nothing is wanted until a sequence number.
pub const CUT_UNTIL: u32 = 1;
/// Nothing is wanted again.
pub const CUT_FOREVER: u32 = 2;
/// A turn has begun.
pub const CUT_IN_TURN: u32 = 4;

impl CutOff {
    /// Is a segment unwanted that ends before the sequence number `end`? One that reaches further is not.
    #[inline]
    pub const fn covers(&self, end: u32) -> bool {
        self.kind & CUT_FOREVER != 0 || (self.kind & CUT_UNTIL != 0 && self.until.wrapping_sub(end).cast_signed() >= 0)
    }

    /// Need not even be told that it was there? What comes next tells: there is more that is unwanted, with an end.
    #[inline]
    pub const fn covers_beyond(&self, end: u32) -> bool {
        self.kind & (CUT_FOREVER | CUT_UNTIL) == CUT_UNTIL && self.until.wrapping_sub(end).cast_signed() > 0
    }

    /// Of the payload at the sequence number `seq`, sent under the acknowledgement number `ack`, how many bytes are wanted by the
    /// limit of turns. What is not in order is wanted: it may be of an earlier turn.
    #[inline]
    pub const fn of_turn(&mut self, seq: u32, ack: u32) -> u32 {
        if self.turn_limit == 0 {
            return u32::MAX;
        }
        let before = seq.wrapping_sub(self.turn_seq);
        // Another acknowledgement is a later one: the other end may have said more than 2^31 bytes since.
        if self.kind & CUT_IN_TURN == 0 || (ack != self.turn_ack && before.cast_signed() >= 0) {
            self.kind |= CUT_IN_TURN;
            self.turn_ack = ack;
            self.turn_seq = seq;
            return self.turn_limit;
        }
        if before.cast_signed() < 0 { u32::MAX } else { self.turn_limit.saturating_sub(before) }
    }
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]`, u32 only, no padding.
    #[expect(unsafe_code, reason = "aya writes map values as plain bytes")]
    unsafe impl aya::Pod for super::CutOff {}
    // SAFETY: `#[repr(C)]`, u32 only, no padding.
    #[expect(unsafe_code, reason = "aya writes map values as plain bytes")]
    unsafe impl aya::Pod for super::CaptureConfig {}
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of segments of 100 bytes at these sequence and acknowledgement numbers, how many bytes are wanted in front of what is not.
    fn wanted<const N: usize>(segments: [(u32, u32); N]) -> [u32; N] {
        let mut cut_off = CutOff { turn_limit: 150, ..CutOff::default() };
        segments.map(|(seq, ack)| cut_off.of_turn(seq, ack).min(100))
    }

    #[test]
    fn a_turn_begins_with_another_acknowledgement() {
        assert_eq!(wanted([(0, 7), (100, 7), (200, 7), (300, 8), (400, 8)]), [100, 50, 0, 100, 50]);
        let start = u32::MAX - 149;
        assert_eq!(wanted([(start, 7), (start + 100, 7), (50, 7), (150, 8)]), [100, 50, 0, 100]);
    }

    #[test]
    fn it_may_be_more_than_half_of_all_numbers_ahead() {
        assert_eq!(wanted([(0, 7), (100, 7), (200, 7 + 0x9000_0000), (300, 7 + 0x9000_0000)]), [100, 50, 100, 50]);
    }

    #[test]
    fn what_comes_late_is_wanted_and_begins_none() {
        assert_eq!(wanted([(500, 8), (300, 7), (600, 8), (700, 8)]), [100, 100, 50, 0]);
    }
}
