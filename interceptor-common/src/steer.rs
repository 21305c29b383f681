//! Which connections are sent to the inline path, and where they were going.

/// Rules at one time: each is a bit of a word, so that one look-up finds all that fit.
pub const STEER_RULES_MAX: usize = 16;
/// Bits of a word: those of the rules in force, and those of the rules that take their place.
pub const STEER_BITS: usize = 2 * STEER_RULES_MAX;
/// Ports that rules name, at the most.
pub const STEER_PORTS_MAX: u32 = 4096;
/// Networks that rules name, at the most.
pub const STEER_NETWORKS_MAX: u32 = 1024;
/// Cgroups that rules name or that are exempt, at the most.
pub const STEER_CGROUPS_MAX: u32 = 4096;
/// Steered connections that are open at one time.
pub const STEERED_MAX: u32 = 64 * 1024;

/// Number of the layout of what may be pinned, which another version of the interceptor finds: one more with each change of what is
/// in the maps for steering, or of what it means.
pub const STEER_LAYOUT: u32 = 1;

/// What the connect programs go by; the single value of an array map. All zeros steer nothing.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteerConfig {
    /// How old the heartbeat may be, in nanoseconds; 0: there is none, and a listener is enough.
    pub timeout_ns: u64,
    /// Where IPv4 connections go: the inline path's address (IPv4-mapped) and port. Port 0: nowhere.
    pub inline4: SocketAddress,
    /// Where IPv6 connections go.
    pub inline6: SocketAddress,
    /// Rules that are about any port.
    pub any_port: u32,
    /// Rules that are about any cgroup.
    pub any_cgroup: u32,
    /// Rules whose connections are refused while the inline path does not answer; those of others go straight.
    pub closed: u32,
    /// Sockets with this mark are exempt, if [`STEER_MARK`] is set.
    pub mark: u32,
    /// `STEER_*` bits.
    pub flags: u32,
    /// Rules in force. One write of this value puts all of them in force at once.
    pub active: u32,
    /// Only processes in this network namespace; 0: in any. One that the kernel does not tell counts as this one.
    pub zone: u32,
    /// Who wrote this: a number that each process draws for itself. The kernel does not look at it.
    pub owner: u32,
}

/// [`SteerConfig::mark`] means something.
pub const STEER_MARK: u32 = 1;
/// The inline path is the interceptor's own: its listener must be one of the sockets that userspace has marked as its own.
pub const STEER_OWN: u32 = 2;

/// An address with a port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SocketAddress {
    /// IPv6, or IPv4-mapped; network byte order.
    pub address: [u8; 16],
    /// Host byte order.
    pub port: u16,
    /// Explicit padding.
    pub pad: u16,
}

/// What the rules say of a cgroup.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SteerCgroup {
    /// Rules that name it.
    pub rules: u32,
    /// Not 0: nothing in it is steered.
    pub exempt: u32,
}

/// The local end of a socket that was steered, as its other end sees it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SteeredKey {
    /// Address and port.
    pub client: SocketAddress,
    /// Network namespace: its inode number, or 0 where the kernel does not tell.
    pub zone: u32,
}

/// What is remembered of a socket that was steered.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steered {
    /// The socket's cookie.
    pub cookie: u64,
    /// Cgroup of the process that connected.
    pub cgroup_id: u64,
    /// Process (thread group) that connected.
    pub pid: u32,
    /// Bit of the rule.
    pub rule: u32,
    /// Its name, as the kernel keeps it, padded with zeros.
    pub command: [u8; 16],
    /// Where it was going.
    pub destination: SocketAddress,
    /// Explicit padding.
    pub pad: u32,
}

/// What became of a connection that a rule is about. The index of a rule's counters; stable.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SteerOutcome {
    /// It was sent to the inline path.
    Steered = 0,
    /// It went straight or was refused, as the rule says: the heartbeat is too old.
    Stale = 1,
    /// Likewise: nobody listens there.
    NoListener = 2,
    /// Likewise: there is no room to remember where it was going.
    MapFull = 3,
    /// It is the interceptor's own, or exempt.
    Exempt = 4,
    /// Likewise as for [`Self::Stale`]: its socket is bound to an interface, by which the inline path cannot be reached.
    Bound = 5,
}

impl SteerOutcome {
    /// How many there are.
    pub const COUNT: usize = 6;

    /// All of them, in index order.
    pub const ALL: [Self; Self::COUNT] =
        [Self::Steered, Self::Stale, Self::NoListener, Self::MapFull, Self::Exempt, Self::Bound];

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steered => "steered",
            Self::Stale => "stale",
            Self::NoListener => "no_listener",
            Self::MapFull => "map_full",
            Self::Exempt => "exempt",
            Self::Bound => "bound",
        }
    }
}

#[cfg(feature = "user")]
mod pod {
    use super::{SteerCgroup, SteerConfig, Steered, SteeredKey};

    // SAFETY: `#[repr(C)]`, integers only, padding explicit; so those below.
    #[expect(unsafe_code, reason = "aya reads and writes map values as plain bytes")]
    unsafe impl aya::Pod for SteerConfig {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya reads and writes map values as plain bytes")]
    unsafe impl aya::Pod for SteerCgroup {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya reads and writes map values as plain bytes")]
    unsafe impl aya::Pod for SteeredKey {}
    // SAFETY: as above.
    #[expect(unsafe_code, reason = "aya reads and writes map values as plain bytes")]
    unsafe impl aya::Pod for Steered {}
}

// With another size goes another `STEER_LAYOUT`.
const _: () = {
    assert!(size_of::<SteerConfig>() == 8 + 20 + 20 + 8 * 4 && align_of::<SteerConfig>() == 8);
    assert!(size_of::<SteeredKey>() == 24);
    assert!(size_of::<Steered>() == 64);
};
