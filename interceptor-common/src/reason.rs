//! Why bytes or packets are not in the ring.

/// Index into the kernel's per-CPU drop counters. Stable: new reasons go to the end.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The ring buffer had no room.
    RingFull = 0,
    /// Userspace asked for no more of this flow.
    CutOff = 1,
    /// Beyond the configured payload limit of a segment.
    PayloadLimit = 2,
    /// The flow is not in the sample.
    Sampled = 3,
    /// A filter (port, CIDR, cgroup, direction) excludes it. Only packets are counted, as it is no loss.
    Filtered = 4,
    /// The IP or TCP header could not be read.
    Unparseable = 5,
    /// An IP fragment: it has no ports (non-first) or not all of its payload.
    Fragment = 6,
    /// Larger than [`crate::PIECES_MAX`] pieces.
    Oversized = 7,
    /// A helper failed where it should not.
    HelperFailed = 8,
    /// A map that keeps per-socket state was full.
    MapFull = 9,
    /// No rule of the policies in force can be about the flow, and nobody wants to know of the others.
    NoRule = 10,
    /// The inline path carries it, and tells of it itself.
    Inline = 11,
}

impl DropReason {
    /// How many there are.
    pub const COUNT: usize = 12;

    /// All of them, in index order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::RingFull,
        Self::CutOff,
        Self::PayloadLimit,
        Self::Sampled,
        Self::Filtered,
        Self::Unparseable,
        Self::Fragment,
        Self::Oversized,
        Self::HelperFailed,
        Self::MapFull,
        Self::NoRule,
        Self::Inline,
    ];

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingFull => "ring_full",
            Self::CutOff => "cut_off",
            Self::PayloadLimit => "payload_limit",
            Self::Sampled => "sampled",
            Self::Filtered => "filtered",
            Self::Unparseable => "unparseable",
            Self::Fragment => "fragment",
            Self::Oversized => "oversized",
            Self::HelperFailed => "helper_failed",
            Self::MapFull => "map_full",
            Self::NoRule => "no_rule",
            Self::Inline => "inline",
        }
    }
}

/// One CPU's counters for one [`DropReason`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct DropCount {
    /// Packets (skbs).
    pub packets: u64,
    /// TCP payload bytes in them, where known.
    pub bytes: u64,
}

#[cfg(feature = "user")]
mod pod {
    // SAFETY: `#[repr(C)]`, integers only, no padding (asserted by the field types being all u64).
    #[expect(unsafe_code, reason = "aya reads map values as plain bytes")]
    unsafe impl aya::Pod for super::DropCount {}
}
