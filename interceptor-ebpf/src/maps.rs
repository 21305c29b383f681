//! Every map. "Owner" is who writes it.

use aya_ebpf::{
    Global,
    btf_maps::{ArrayOfMaps, RingBuf, SkStorage},
    macros::{btf_map, map},
    maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray},
};
use interceptor_common::{
    CUT_OFFS_MAX, CaptureConfig, DropCount, DropReason, LOST_MAX, LostKey, MISSED_SOCKETS_MAX, MissedKey, RINGS_MAX,
    SocketEvent, TupleKey,
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

/// Directions of flows whose payload is not wanted any more. Owner: userspace.
#[map]
pub static CUT_OFFS: LruHashMap<TupleKey, u32> = LruHashMap::with_max_entries(CUT_OFFS_MAX, 0);

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

/// Cookie of the network namespace that is captured, 0 where the kernel has no such helper. Set at load.
#[unsafe(no_mangle)]
pub static NETNS_COOKIE: Global<u64> = Global::new(0);

/// Not 0: only sockets of that namespace are reported, whatever their addresses. Set at load.
#[unsafe(no_mangle)]
pub static NETNS_ONLY: Global<u32> = Global::new(0);

/// Where `sk_flags` lies in the kernel's `struct sock` (`skc_flags` of `struct sock_common`), 0 where that is not known. Set at load.
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
