//! What the programs that steer share: sockets' memory, rules, counters.

use core::{ffi::c_void, ptr};

use aya_ebpf::{
    bindings::{BPF_SK_STORAGE_GET_F_CREATE, bpf_sock},
    btf_maps::SkStorage,
    helpers::generated::{bpf_ktime_get_ns, bpf_sk_storage_get},
    maps::lpm_trie::Key,
};
use interceptor_common::{STEER_RULES_MAX, SteerConfig, SteerOutcome, Steered};

use crate::maps::{HEARTBEAT, OWN, STEER_COUNTS, STEER_NETWORKS, STEER_PORTS, STEERED};

/// Counts what became of a connection.
#[inline(always)]
pub fn count(rule: u32, outcome: SteerOutcome) {
    let index = rule % STEER_RULES_MAX as u32 * SteerOutcome::COUNT as u32 + outcome as u32;
    if let Some(count) = STEER_COUNTS.get_ptr_mut(index) {
        // SAFETY: a map value of this CPU; connect runs in a process, with migration off.
        unsafe { *count += 1 };
    }
}

/// Rules about a port, and about a network with the address.
#[inline(always)]
pub fn rules(config: &SteerConfig, port: u16, address: [u8; 16]) -> u32 {
    // SAFETY: values are replaced, never changed in place.
    let by_port = unsafe { STEER_PORTS.get(port) }.copied().unwrap_or(0) | config.any_port;
    if by_port == 0 {
        return 0;
    }
    by_port & STEER_NETWORKS.get(Key::new(128, address)).copied().unwrap_or(0)
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

/// What is remembered of a socket that was steered, or null.
#[inline(always)]
pub fn steered(socket: *mut bpf_sock) -> *mut Steered {
    storage(&STEERED, socket, 0)
}

/// The same, made if it is not there; null if there is no memory.
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
