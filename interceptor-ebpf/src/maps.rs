//! Every map. "Owner" is who writes it.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{ArrayOfMaps, RingBuf, SkStorage},
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, SockMap},
};
use interceptor_common::{
    CARRIED_MAX, CUT_OFFS_MAX, CaptureConfig, CutOff, DropCount, DropReason, LOST_MAX, LostKey, MISSED_SOCKETS_MAX,
    MissedKey, PORT_WORDS, REACH_NETWORKS_MAX, RINGS_MAX, STEER_BITS, STEER_CGROUPS_MAX, STEER_NETWORKS_MAX,
    STEER_PORTS_MAX, STEERED_MAX, SocketEvent, SteerCgroup, SteerConfig, SteerOutcome, Steered, SteeredKey, TupleKey,
    ZONES_MAX,
};

/// A ring buffer of events. The size is that of the pattern by which the kernel knows the type (a page, on machines with
/// the largest pages); the loader makes the real ones.
pub type Ring = RingBuf<u64, { 64 << 10 }>;

/// Events to userspace: one ring a CPU, or shared by a few. Owner: userspace puts the rings in, before it attaches.
#[btf_map]
pub static EVENTS: ArrayOfMaps<Ring, RINGS_MAX> = ArrayOfMaps::new();

/// What to capture. Owner: userspace. One value.
#[map]
pub static CONFIG: Array<CaptureConfig> = Array::with_max_entries(1, 0);

/// What was not handed over, by [`DropReason`]. Owner: kernel.
#[map]
pub static DROPS: PerCpuArray<DropCount> = PerCpuArray::with_max_entries(DropReason::COUNT as u32, 0);

/// What was handed over: skbs and payload bytes. Owner: kernel. One value.
#[map]
pub static TAKEN: PerCpuArray<DropCount> = PerCpuArray::with_max_entries(1, 0);

/// Ports to capture, host byte order. Owner: userspace. The loader makes room for them, as for the next two.
#[map]
pub static PORTS: HashMap<u16, u8> = HashMap::with_max_entries(1, 0);

/// Prefixes to capture; IPv4 is mapped. Owner: userspace.
#[map]
pub static CIDRS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(1, 0);

/// Cgroups to capture, by id. Owner: userspace.
#[map]
pub static CGROUPS: HashMap<u64, u8> = HashMap::with_max_entries(1, 0);

/// Ports that policies reach, 64 a word. Owner: userspace, at any time.
#[map]
pub static REACH_PORTS: Array<u64> = Array::with_max_entries(PORT_WORDS as u32, 0);

/// Networks that policies reach; IPv4 is mapped. Owner: userspace, at any time.
#[map]
pub static REACH_NETWORKS: LpmTrie<[u8; 16], u8> = LpmTrie::with_max_entries(REACH_NETWORKS_MAX, 0);

/// Directions of flows whose payload is not wanted, for now. Owner: userspace; the kernel takes out what was passed.
#[map]
pub static CUT_OFFS: LruHashMap<TupleKey, CutOff> = LruHashMap::with_max_entries(CUT_OFFS_MAX, 0);

/// Payload bytes that found no room, by direction of flow. Owner: kernel; userspace takes entries out.
#[map]
pub static LOST: LruHashMap<LostKey, u64> = LruHashMap::with_max_entries(LOST_MAX, 0);

/// Socket events that found no room. Owner: kernel; userspace takes entries out.
#[map]
pub static MISSED_SOCKETS: HashMap<MissedKey, SocketEvent> = HashMap::with_max_entries(MISSED_SOCKETS_MAX, 0);

/// Who called connect, by socket cookie, until the connection stands. Owner: kernel.
#[map]
pub static CONNECTING: LruHashMap<u64, Connecting> = LruHashMap::with_max_entries(16 * 1024, 0);

/// What sock_ops remembers of a socket; freed with it. Owner: kernel.
#[btf_map]
pub static SOCKETS: SkStorage<SocketState> = SkStorage::new();

/// Network namespaces that are captured, and for each the zone in which what leaves it is seen: its own, or that of the
/// host if there the other end of its interface is captured. Owner: userspace.
#[map]
pub static ZONES: HashMap<u32, u32> = HashMap::with_max_entries(ZONES_MAX, BPF_F_NO_PREALLOC);

/// What is steered, and where to. Owner: userspace, at any time. One value.
#[map]
pub static STEERING: Array<SteerConfig> = Array::with_max_entries(1, 0);

/// Rules that name a port, host byte order. Owner: userspace, at any time; so the two below.
#[map]
pub static STEER_PORTS: HashMap<u16, u32> = HashMap::with_max_entries(STEER_PORTS_MAX, BPF_F_NO_PREALLOC);

/// Rules that are about a network, and about all those that it is in; IPv4 is mapped.
#[map]
pub static STEER_NETWORKS: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(STEER_NETWORKS_MAX, 0);

/// Rules that name a cgroup, and cgroups that are exempt; what is below them is in them.
#[map]
pub static STEER_CGROUPS: HashMap<u64, SteerCgroup> = HashMap::with_max_entries(STEER_CGROUPS_MAX, BPF_F_NO_PREALLOC);

/// When the inline path last said that it runs: `CLOCK_MONOTONIC`, nanoseconds. Owner: userspace. One value.
#[map]
pub static HEARTBEAT: Array<u64> = Array::with_max_entries(1, 0);

/// Connections, by rule and [`SteerOutcome`]. Owner: kernel.
#[map]
pub static STEER_COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries((STEER_BITS * SteerOutcome::COUNT) as u32, 0);

/// The interceptor's own sockets: its listeners, and those that it connects with. Freed with them. Owner: userspace.
#[btf_map]
pub static OWN: SkStorage<u32> = SkStorage::new();

/// Listeners for what comes in: of IPv4, of IPv6. One that is closed is gone. Owner: userspace.
#[map]
pub static LISTENERS: SockMap = SockMap::with_max_entries(2, 0);

/// Directions of connections that the inline path has opened. The oldest make room: their ends are not looked at. Owner: kernel.
#[map]
pub static CARRIED: LruHashMap<TupleKey, u8> = LruHashMap::with_max_entries(CARRIED_MAX, 0);

/// Where a socket that was steered was going. Freed with it. Owner: kernel.
#[btf_map]
pub static STEERED: SkStorage<Steered> = SkStorage::new();

/// The same, by what the inline path sees of it, while the connection is open. Owner: kernel.
#[map]
pub static ORIGINALS: HashMap<SteeredKey, Steered> = HashMap::with_max_entries(STEERED_MAX, BPF_F_NO_PREALLOC);

/// The zone of all packets, where only one namespace is captured; 0: each packet's is read. Set at load.
#[unsafe(no_mangle)]
pub static ZONE: Global<u32> = Global::new(0);

/// The zone in which what leaves any other namespace is seen; 0: it is not; [`ZONE_OWN`]: in its own. Set at load.
#[unsafe(no_mangle)]
pub static OUTER_ZONE: Global<u32> = Global::new(0);

/// Where the inode number lies in the kernel's `struct net`; 0: not known, all is one zone. Set at load, as are those below.
#[unsafe(no_mangle)]
pub static NET_INUM_AT: Global<u32> = Global::new(0);

/// Where the network device lies in `struct sk_buff`.
#[unsafe(no_mangle)]
pub static SKB_DEV_AT: Global<u32> = Global::new(0);

/// Where the namespace lies in `struct net_device`.
#[unsafe(no_mangle)]
pub static DEV_NET_AT: Global<u32> = Global::new(0);

/// Where the namespace lies in `struct sock`.
#[unsafe(no_mangle)]
pub static SOCK_NET_AT: Global<u32> = Global::new(0);

/// Where `sk_flags` lies in the kernel's `struct sock` (`skc_flags` of `struct sock_common`); 0: not known.
#[unsafe(no_mangle)]
pub static SK_FLAGS_AT: Global<u32> = Global::new(0);

/// Who called connect.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Connecting {
    pub cgroup_id: u64,
    pub command: [u8; 16],
    pub pid: u32,
    pub pad: u32,
}

/// What sock_ops remembers of a socket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct SocketState {
    /// `rcv_nxt` when our FIN was acknowledged (entry to FIN_WAIT2).
    pub fin_wait2_rcv_nxt: u32,
    /// The SYN is among its `bytes_acked`.
    pub syn_acked: u8,
    pub pad: [u8; 3],
}
