use super::Side;

/// Why bytes that TCP carried are not among the captured ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum LossReason {
    /// Carried before the capture joined the flow.
    BeforeJoin,
    /// The ring buffer was full.
    RingFull,
    /// Nobody wants it, so the kernel was told to leave it out: no loss, and in no sum of losses, even where the ring was full before
    /// the kernel heard of it.
    SkippedByPolicy,
    /// The kernel left out more than nobody wants: what it leaves out of each turn reached into the next head, or into a
    /// content that somebody wants.
    CutTooFar,
    /// Beyond the payload limit of a segment, or the snap length of a capture file.
    PayloadLimit,
    /// Out-of-order bytes beyond the reassembly limits.
    MemoryLimit,
    /// A fragment, an oversized or unparseable packet.
    Unreadable,
    /// Never seen, and no reason is known: a capture tool's drop, a path around the hook, the end of the capture.
    NotSeen,
}

impl LossReason {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in index order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::BeforeJoin,
        Self::RingFull,
        Self::SkippedByPolicy,
        Self::CutTooFar,
        Self::PayloadLimit,
        Self::MemoryLimit,
        Self::Unreadable,
        Self::NotSeen,
    ];

    /// Those that are losses.
    pub fn losses() -> impl Iterator<Item = Self> + Clone {
        Self::ALL.into_iter().filter(|reason| *reason != Self::SkippedByPolicy)
    }

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BeforeJoin => "before_join",
            Self::RingFull => "ring_full",
            Self::SkippedByPolicy => "skipped_by_policy",
            Self::CutTooFar => "cut_too_far",
            Self::PayloadLimit => "payload_limit",
            Self::MemoryLimit => "memory_limit",
            Self::Unreadable => "unreadable",
            Self::NotSeen => "not_seen",
        }
    }
}

/// What became of the bytes that one side of a flow sent, in bytes of TCP payload, each counted once.
///
/// `carried = captured + skipped + lost` and, once the flow is over, `captured = parsed + reported`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideLedger {
    /// Carried by TCP: the kernel's counter where there is one (`kernel`), else what sequence numbers prove.
    pub carried: u64,
    /// `carried` is the kernel's own counter.
    pub kernel: bool,
    /// Captured and handed to a decoder, in order.
    pub captured: u64,
    /// Captured bytes that became part of a message.
    pub parsed: u64,
    /// Captured bytes that became part of none, which an anomaly or the protocol `opaque` reports.
    pub reported: u64,
    /// Not captured, by [`LossReason`].
    pub lost: [u64; LossReason::COUNT],
    /// Captured more than once (retransmissions, overlaps); in none of the sums above.
    pub duplicate: u64,
}

impl SideLedger {
    /// All bytes that were not captured and should have been.
    pub fn lost_total(&self) -> u64 {
        LossReason::losses().map(|reason| self.lost[reason as usize]).sum()
    }

    /// Bytes that nobody wanted captured.
    pub const fn skipped(&self) -> u64 {
        self.lost[LossReason::SkippedByPolicy as usize]
    }

    /// Books lost bytes.
    pub const fn lose(&mut self, reason: LossReason, bytes: u64) {
        self.lost[reason as usize] += bytes;
    }

    /// Takes up to `bytes` lost bytes back, which another reason turned out to be true of; returns how many.
    pub fn unlose(&mut self, reason: LossReason, bytes: u64) -> u64 {
        let lost = &mut self.lost[reason as usize];
        let taken = bytes.min(*lost);
        *lost -= taken;
        taken
    }

    /// Adds up what became of the bytes of another side; whose counters stand behind a sum, it does not say.
    pub fn add(&mut self, other: &Self) {
        self.carried += other.carried;
        self.captured += other.captured;
        self.parsed += other.parsed;
        self.reported += other.reported;
        self.duplicate += other.duplicate;
        for (sum, lost) in self.lost.iter_mut().zip(other.lost) {
            *sum += lost;
        }
    }

    /// Do both equations hold?
    pub fn balances(&self) -> bool {
        self.carried == self.captured + self.skipped() + self.lost_total()
            && self.captured == self.parsed + self.reported
    }
}

/// Both sides of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// What the client sent.
    pub client: SideLedger,
    /// What the server sent.
    pub server: SideLedger,
}

impl Ledger {
    /// What this side sent.
    pub const fn side(&self, side: Side) -> &SideLedger {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    /// What this side sent, to change it.
    pub const fn side_mut(&mut self, side: Side) -> &mut SideLedger {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Do the equations hold on both sides?
    pub fn balances(&self) -> bool {
        self.client.balances() && self.server.balances()
    }
}
