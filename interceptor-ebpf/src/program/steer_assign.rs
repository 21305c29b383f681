//! TC, where there is no sk_lookup: gives a connection that comes in, and that a rule is about, to the inline path's listener.
//!
//! Only the packet that opens it is looked at. What follows it the kernel finds by the addresses, which stay as they are.

use core::{ffi::c_void, mem::MaybeUninit};

use aya_ebpf::{
    EbpfContext as _,
    bindings::bpf_sock,
    helpers::generated::{bpf_fib_lookup, bpf_map_lookup_elem, bpf_sk_assign, bpf_sk_release},
    macros::classifier,
    maps::SockMap,
    programs::TcContext,
};
use interceptor_common::{SegmentEvent, SteerConfig, SteerOutcome, TupleKey};

use crate::{
    emit,
    maps::{LISTENERS, STEERING},
    packet::{AF_INET, Link, MAPPED, PROTOCOL_TCP, Skb},
    steer,
};

/// "Go on with the next program", as the programs of the capture do.
const NEXT: i32 = -1;
/// `TC_ACT_SHOT`: it is dropped.
const DROP: i32 = 2;

const SYN: u8 = 2;
const ACK: u8 = 16;
const AF_INET6: u32 = 10;

#[classifier]
pub fn steer_assign(context: TcContext) -> i32 {
    run(Skb::new(context.as_ptr()), Link::Ethernet)
}

#[classifier]
pub fn steer_assignl3(context: TcContext) -> i32 {
    run(Skb::new(context.as_ptr()), Link::Raw)
}

#[inline(always)]
fn run(skb: Skb, link: Link) -> i32 {
    let mut segment = MaybeUninit::<SegmentEvent>::uninit();
    let segment = emit::zeroed(&mut segment);
    if skb.parse(link, segment).is_err() || segment.flags & (SYN | ACK) != SYN {
        return NEXT;
    }
    let key = &segment.key;
    let Some(config) = STEERING.get(0) else { return NEXT };
    let rules = steer::rules(config, key.destination_port, key.source);
    if rules == 0 || !stays_here(skb, key) {
        return NEXT;
    }
    let rule = steer::first(rules);
    let outcome = decide(skb, config, key);
    steer::count(rule, outcome);
    let goes_on = matches!(outcome, SteerOutcome::Steered | SteerOutcome::Exempt) || config.closed >> rule & 1 == 0;
    if goes_on { NEXT } else { DROP }
}

#[inline(always)]
fn decide(skb: Skb, config: &SteerConfig, key: &TupleKey) -> SteerOutcome {
    // From here: the inline path itself, on its way to the application, among others.
    if key.source == key.destination {
        return SteerOutcome::Exempt;
    }
    if steer::is_stale(config) {
        return SteerOutcome::Stale;
    }
    if assign(skb, u32::from(!key.destination.starts_with(&MAPPED))) {
        SteerOutcome::Steered
    } else {
        SteerOutcome::NoListener
    }
}

/// Gives the packet to one of the listeners.
#[inline(always)]
fn assign(skb: Skb, index: u32) -> bool {
    let map: *const SockMap = &raw const LISTENERS;
    // SAFETY: the map outlives the program, and the helper reads the key only.
    let listener: *mut bpf_sock =
        unsafe { bpf_map_lookup_elem(map.cast_mut().cast::<c_void>(), (&raw const index).cast()) }.cast();
    if listener.is_null() {
        return false;
    }
    // SAFETY: checked for null, and not released yet.
    let assigned = unsafe { bpf_sk_assign(skb.as_ptr(), listener.cast(), 0) } == 0;
    // SAFETY: it was found, and is not used below.
    unsafe { bpf_sk_release(listener.cast()) };
    assigned
}

/// `struct bpf_fib_lookup`, in words.
type Route = [u32; 16];
/// Where its words are: interface, source, destination.
const ROUTE_INTERFACE: usize = 2;
const ROUTE_SOURCE: usize = 4;
const ROUTE_DESTINATION: usize = 8;
/// `BPF_FIB_LKUP_RET_NOT_FWDED`: it is for this host.
const NOT_FORWARDED: i64 = 4;
/// `BPF_FIB_LKUP_RET_FWD_DISABLED`: nothing that comes in here is for others.
const FORWARDING_DISABLED: i64 = 5;

/// Is it for this namespace? What is forwarded with a socket of ours at it would be dropped.
#[inline(always)]
fn stays_here(skb: Skb, key: &TupleKey) -> bool {
    let (from, to) = (steer::words_of(&key.source), steer::words_of(&key.destination));
    let is_ipv4 = key.destination.starts_with(&MAPPED);
    let family = if is_ipv4 { AF_INET } else { AF_INET6 };
    let mut route: Route = [0; 16];
    route[0] = u32::from_ne_bytes([family as u8, PROTOCOL_TCP, 0, 0]);
    route[ROUTE_INTERFACE] = skb.ifindex();
    if is_ipv4 {
        route[ROUTE_SOURCE] = from[3];
        route[ROUTE_DESTINATION] = to[3];
    } else {
        route[ROUTE_SOURCE..ROUTE_SOURCE + 4].copy_from_slice(&from);
        route[ROUTE_DESTINATION..ROUTE_DESTINATION + 4].copy_from_slice(&to);
    }
    // SAFETY: the size is that of what the helper reads and writes.
    let found = unsafe { bpf_fib_lookup(skb.as_ptr(), (&raw mut route).cast(), size_of::<Route>() as i32, 0) };
    found == NOT_FORWARDED || found == FORWARDING_DISABLED
}
