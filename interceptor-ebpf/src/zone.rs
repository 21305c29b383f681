//! The network namespace of a packet or a socket, by its inode number: that is what tells equal addresses apart.
//!
//! No helper gives it to all of these programs on all kernels. It is read out of the kernel's structures, whose layout the
//! loader knows by the kernel's own type information.

use core::ffi::c_void;

use aya_ebpf::{bindings::bpf_sock, helpers::generated::bpf_probe_read_kernel};
use interceptor_common::{TupleKey, ZONE_OWN};

use crate::{
    maps::{DEV_NET_AT, NET_INUM_AT, OUTER_ZONE, SKB_DEV_AT, SOCK_NET_AT, ZONE, ZONES},
    packet::Skb,
};

/// Of a packet: the namespace of the interface that carries it; 0 if that cannot be read.
#[inline(always)]
pub fn of_packet(skb: Skb) -> u32 {
    if ZONE.load() != 0 || NET_INUM_AT.load() == 0 {
        return ZONE.load();
    }
    let device = address(skb.address() + u64::from(SKB_DEV_AT.load()));
    inode(address(device + u64::from(DEV_NET_AT.load())))
}

/// Of a socket; `None` if what it sends is not captured.
#[inline(always)]
pub fn of_socket(socket: *mut bpf_sock, key: &TupleKey) -> Option<u32> {
    if NET_INUM_AT.load() == 0 {
        return Some(ZONE.load());
    }
    let own = where_is(socket);
    // SAFETY: values are replaced, never changed in place.
    let known = unsafe { ZONES.get(own) }.copied();
    match known.unwrap_or(OUTER_ZONE.load()) {
        ZONE_OWN => Some(own),
        0 => None,
        // These go over `lo`, which each namespace has for itself.
        _ if stays_inside(key) => known.map(|_| own),
        zone => Some(zone),
    }
}

/// Where a socket is, whatever is captured; 0 where the kernel does not tell.
#[inline(always)]
pub fn where_is(socket: *mut bpf_sock) -> u32 {
    if NET_INUM_AT.load() == 0 {
        return 0;
    }
    // The verifier allows no arithmetic on a socket pointer; read back from the stack it is a number like others.
    let socket = address(&raw const socket as u64);
    inode(address(socket + u64::from(SOCK_NET_AT.load())))
}

/// The pointer that lies in the kernel's memory at `at`; 0 if that cannot be read, and of 0. Without a branch: each would
/// double what the verifier has to look through.
#[inline(always)]
pub fn address(at: u64) -> u64 {
    let mut found = 0_u64;
    // SAFETY: the helper checks the address, and the destination is eight bytes long, which it clears if it fails.
    unsafe { bpf_probe_read_kernel((&raw mut found).cast(), 8, at as *const c_void) };
    found
}

/// The number of the namespace at `net`; 0 as above.
#[inline(always)]
fn inode(net: u64) -> u32 {
    let mut inode = 0_u32;
    let from = net + u64::from(NET_INUM_AT.load());
    // SAFETY: as above, of four bytes.
    unsafe { bpf_probe_read_kernel((&raw mut inode).cast(), 4, from as *const c_void) };
    inode
}

/// From or to a loopback address, or from an address to itself.
#[inline(always)]
fn stays_inside(key: &TupleKey) -> bool {
    let words = |address: &[u8; 16]| {
        let word = |at: usize| {
            u64::from_be_bytes([
                address[at],
                address[at + 1],
                address[at + 2],
                address[at + 3],
                address[at + 4],
                address[at + 5],
                address[at + 6],
                address[at + 7],
            ])
        };
        (word(0), word(8))
    };
    let (high, low) = words(&key.source);
    // 127.0.0.0/8 (mapped) or ::1.
    let loopback = high == 0 && (low == 1 || low >> 24 == 0xff_ff7f);
    loopback || (high, low) == words(&key.destination)
}
