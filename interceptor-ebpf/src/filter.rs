//! Capture this?

use aya_ebpf::maps::lpm_trie::Key;
use interceptor_common::{
    CGROUP_LEVELS, CUT_UNTIL, CaptureConfig, DIRECTION_EGRESS, DropReason, FILTER_CGROUPS, FILTER_CIDRS,
    FILTER_CUT_OFFS, FILTER_NO_EGRESS, FILTER_NO_INGRESS, FILTER_PORTS, FILTER_REACH_NETWORKS, FILTER_REACH_PORTS,
    TupleKey,
};

use crate::{
    maps::{CGROUPS, CIDRS, CONFIG, CUT_OFFS, PORTS, REACH_NETWORKS, REACH_PORTS},
    packet::Skb,
};

/// The configuration. Always there: it is an array's first value.
#[inline(always)]
pub fn config() -> Result<&'static CaptureConfig, DropReason> {
    CONFIG.get(0).ok_or(DropReason::HelperFailed)
}

/// What can be decided before any header is read.
#[inline(always)]
pub fn direction(config: &CaptureConfig, direction: u8) -> Result<(), DropReason> {
    let unwanted = if direction == DIRECTION_EGRESS { FILTER_NO_EGRESS } else { FILTER_NO_INGRESS };
    if config.filters & unwanted != 0 { Err(DropReason::Filtered) } else { Ok(()) }
}

/// Is this flow captured? The answer is the same for both of its directions.
#[inline(always)]
pub fn flow(config: &CaptureConfig, key: &TupleKey) -> Result<(), DropReason> {
    if config.filters & FILTER_PORTS != 0 && !has_port(key.source_port) && !has_port(key.destination_port) {
        return Err(DropReason::Filtered);
    }
    if config.filters & FILTER_CIDRS != 0 && !has_address(key.source) && !has_address(key.destination) {
        return Err(DropReason::Filtered);
    }
    if config.sample_below != 0 && symmetric_hash(key) >= config.sample_below {
        return Err(DropReason::Sampled);
    }
    Ok(())
}

/// Can a policy's rule be about this flow? The answer is the same for both of its directions.
#[inline(always)]
pub fn is_reached(config: &CaptureConfig, key: &TupleKey) -> bool {
    if config.filters & FILTER_REACH_PORTS != 0 && !reaches_port(key.source_port) && !reaches_port(key.destination_port)
    {
        return false;
    }
    config.filters & FILTER_REACH_NETWORKS == 0 || reaches_address(key.source) || reaches_address(key.destination)
}

/// Is the packet's socket in a captured cgroup, or below one?
#[inline(always)]
pub fn cgroup(config: &CaptureConfig, skb: Skb) -> Result<(), DropReason> {
    if config.filters & FILTER_CGROUPS == 0 || has_cgroup(skb.cgroup_id()) {
        return Ok(());
    }
    // Level 0 is the root, which is the same as no filter.
    for level in 1..CGROUP_LEVELS {
        let id = skb.ancestor_cgroup_id(level);
        if id == 0 {
            break;
        }
        if has_cgroup(id) {
            return Ok(());
        }
    }
    Err(DropReason::Filtered)
}

/// What is wanted of a segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// All of it.
    All,
    /// The first so many bytes, and the length; none: the length only.
    First(u32),
    /// Nothing.
    Nothing,
}

/// What of a segment's payload, which begins at `seq` and ends at `end`, is this direction of the flow not cut off from?
#[inline(always)]
pub fn cut_off(config: &CaptureConfig, key: &TupleKey, seq: u32, ack: u32, end: u32) -> Wanted {
    if config.filters & FILTER_CUT_OFFS == 0 {
        return Wanted::All;
    }
    let Some(value) = CUT_OFFS.get_ptr_mut(key) else { return Wanted::All };
    // SAFETY: a map value. Userspace may put another one in its place meanwhile, and another CPU change this one: each
    // combination of the old and the new is an answer, and costs a few bytes more or less at the most.
    let cut_off = unsafe { &mut *value };
    if cut_off.covers_beyond(end) {
        return Wanted::Nothing;
    }
    if cut_off.covers(end) {
        return Wanted::First(0);
    }
    // Passed. Left in place it would cut again once sequence numbers have come round (RFC 9293 section 3.4).
    if cut_off.turn_limit == 0 {
        let _gone = CUT_OFFS.remove(key);
        return Wanted::All;
    }
    cut_off.kind &= !CUT_UNTIL;
    let wanted = cut_off.of_turn(seq, ack);
    if wanted >= end.wrapping_sub(seq) { Wanted::All } else { Wanted::First(wanted) }
}

#[inline(always)]
fn has_port(port: u16) -> bool {
    // SAFETY: the value is not read.
    unsafe { PORTS.get(port) }.is_some()
}

#[inline(always)]
fn reaches_port(port: u16) -> bool {
    REACH_PORTS.get(u32::from(port >> 6)).is_some_and(|word| word >> (port & 63) & 1 != 0)
}

#[inline(always)]
fn reaches_address(address: [u8; 16]) -> bool {
    REACH_NETWORKS.get(Key::new(128, address)).is_some()
}

#[inline(always)]
fn has_address(address: [u8; 16]) -> bool {
    CIDRS.get(Key::new(128, address)).is_some()
}

#[inline(always)]
fn has_cgroup(id: u64) -> bool {
    // SAFETY: the value is not read.
    unsafe { CGROUPS.get(id) }.is_some()
}

/// Does not change if source and destination change places. The finishing steps are those of MurmurHash3.
#[inline(always)]
fn symmetric_hash(key: &TupleKey) -> u32 {
    let word = |at: usize| {
        let part =
            |address: &[u8; 16]| u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
        part(&key.source) ^ part(&key.destination)
    };
    let mut hash = word(0) ^ word(4).rotate_left(8) ^ word(8).rotate_left(16) ^ word(12).rotate_left(24);
    hash ^= u32::from(key.source_port ^ key.destination_port) << 7;
    // Ports of one side only would cancel out where both ends use the same one; the sum does not.
    hash = hash.wrapping_add(u32::from(key.source_port) + u32::from(key.destination_port));
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}
