//! What the programs that steer share: sockets' memory, rules, counters.

use core::{ffi::c_void, mem, ptr};

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock, bpf_sock_tuple},
    btf_maps::SkStorage,
    helpers::generated::{bpf_ktime_get_ns, bpf_sk_lookup_tcp, bpf_sk_release, bpf_sk_storage_get},
    maps::lpm_trie::Key,
    programs::SockAddrContext,
};
use interceptor_common::{STEER_BITS, SocketAddress, SteerConfig, SteerOutcome, Steered};

use crate::{
    emit,
    maps::{HEARTBEAT, OWN, STEER_COUNTS, STEER_NETWORKS, STEER_PORTS, STEERED},
    packet::STATE_LISTEN,
};

/// Counts what became of a connection.
#[inline(always)]
pub fn count(rule: u32, outcome: SteerOutcome) {
    let index = rule % STEER_BITS as u32 * SteerOutcome::COUNT as u32 + outcome as u32;
    if let Some(count) = STEER_COUNTS.get_ptr_mut(index) {
        // SAFETY: a map value.
        unsafe { emit::add(count, 1) };
    }
}

/// Rules in force about a port, and about a network with the address.
#[inline(always)]
pub fn rules(config: &SteerConfig, port: u16, address: [u8; 16]) -> u32 {
    // SAFETY: values are replaced, never changed in place.
    let by_port = unsafe { STEER_PORTS.get(port) }.copied().unwrap_or(0) | config.any_port;
    if by_port == 0 {
        return 0;
    }
    by_port & STEER_NETWORKS.get(Key::new(128, address)).copied().unwrap_or(0) & config.active
}

/// The first rule: number of the lowest bit that is set. In steps: the target has no instruction for it, and no call is made.
#[inline(always)]
pub fn first(bits: u32) -> u32 {
    let mut left = bits;
    let mut at = 0;
    for width in [16, 8, 4, 2, 1] {
        if left & ((1 << width) - 1) == 0 {
            left >>= width;
            at += width;
        }
    }
    at
}

/// Is the heartbeat older than it may be?
#[inline(always)]
pub fn is_stale(config: &SteerConfig) -> bool {
    if config.timeout_ns == 0 {
        return false;
    }
    let beat = HEARTBEAT.get(0).copied().unwrap_or(0);
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }.saturating_sub(beat) > config.timeout_ns
}

/// Is the socket one of the interceptor's own?
#[inline(always)]
pub fn is_own(socket: *mut bpf_sock) -> bool {
    !storage(&OWN, socket, 0).is_null()
}

/// `BPF_F_CURRENT_NETNS`: that of the context.
const ITS_NAMESPACE: u64 = -1_i32 as u64;

/// Does somebody listen there, in the context's namespace? `own`: one of ours. The words are those of `bpf_sock_tuple`, for
/// IPv4 or IPv6: source and destination address, then their ports.
#[inline(always)]
pub fn is_listener<const WORDS: usize>(context: *mut c_void, tuple: &mut [u32; WORDS], own: bool) -> bool {
    let size = mem::size_of::<[u32; WORDS]>() as u32;
    let tuple = (&raw mut *tuple).cast::<bpf_sock_tuple>();
    // SAFETY: the size says which of the union's two kinds it is.
    let found = unsafe { bpf_sk_lookup_tcp(context, tuple, size, ITS_NAMESPACE, 0) };
    if found.is_null() {
        return false;
    }
    // SAFETY: checked for null, and not released yet.
    let listens = unsafe { (*found).state } == STATE_LISTEN && (!own || is_own(found));
    // SAFETY: it was found, and is not used below.
    unsafe { bpf_sk_release(found.cast()) };
    listens
}

/// What is remembered of a socket that is steered.
#[inline(always)]
pub fn steered(socket: *mut bpf_sock) -> Option<&'static Steered> {
    // SAFETY: null is `None`; what is with a socket stays as long as the program runs.
    unsafe { memory(socket).as_ref() }.filter(|steered| steered.cookie != 0)
}

/// Where that is, also of a socket that was steered and is connected again; or null.
#[inline(always)]
pub fn memory(socket: *mut bpf_sock) -> *mut Steered {
    storage(&STEERED, socket, 0)
}

/// The same, made if it is not there; null if it cannot be.
#[inline(always)]
pub fn remember(socket: *mut bpf_sock) -> *mut Steered {
    storage(&STEERED, socket, BPF_SK_STORAGE_GET_F_CREATE)
}

#[inline(always)]
fn storage<T>(map: &'static SkStorage<T>, socket: *mut bpf_sock, flags: u32) -> *mut T {
    if socket.is_null() {
        return ptr::null_mut();
    }
    let map: *const SkStorage<T> = map;
    // SAFETY: checked for null; the map outlives the program.
    unsafe { bpf_sk_storage_get(map.cast_mut().cast::<c_void>(), socket.cast(), ptr::null_mut(), u64::from(flags)) }
        .cast()
}

#[inline(always)]
pub fn socket(context: &SockAddrContext) -> *mut bpf_sock {
    // SAFETY: the context is valid for the run of the program; so below.
    unsafe { (*context.sock_addr).__bindgen_anon_1.sk }
}

/// Puts an IPv4 address in the place of the one that the application gave, or is given.
#[inline(always)]
pub fn put4(context: &SockAddrContext, to: SocketAddress) {
    let [.., word] = words_of(&to.address);
    // SAFETY: as above.
    unsafe {
        (*context.sock_addr).user_ip4 = word;
        (*context.sock_addr).user_port = u32::from(to.port.to_be());
    }
}

/// Likewise an IPv6 address.
#[inline(always)]
pub fn put6(context: &SockAddrContext, to: SocketAddress) {
    let words = words_of(&to.address);
    // SAFETY: as above; words are written one by one, as the verifier wants it.
    unsafe {
        let place = (&raw mut (*context.sock_addr).user_ip6).cast::<u32>();
        place.write_volatile(words[0]);
        place.add(1).write_volatile(words[1]);
        place.add(2).write_volatile(words[2]);
        place.add(3).write_volatile(words[3]);
        (*context.sock_addr).user_port = u32::from(to.port.to_be());
    }
}

/// As contexts have them: network byte order.
#[inline(always)]
pub fn words_of(address: &[u8; 16]) -> [u32; 4] {
    let word = |at: usize| u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
    [word(0), word(4), word(8), word(12)]
}
