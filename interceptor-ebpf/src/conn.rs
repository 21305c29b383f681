//! Context to flow key, and the one way that both packet hooks take.

use core::mem::MaybeUninit;

use aya_log_ebpf::debug;
use interceptor_common::{
    CaptureConfig, DIRECTION_EGRESS, DIRECTION_INGRESS, DropReason, FILTER_HOLD, HOOK_CGROUP_SKB, HOOK_TC,
    OWNER_DESTINATION, OWNER_SOURCE, SegmentEvent,
};

use crate::{
    carried, emit,
    filter::{self, Wanted},
    packet::{Link, Skb, Skip},
    zone,
};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Which hook sees the packet, and which way it goes.
#[derive(Clone, Copy)]
pub struct Hook {
    pub hook: u8,
    pub direction: u8,
    pub link: Link,
}

/// Captures a packet, or counts why not. The packet passes in any case.
#[inline(always)]
pub fn capture(skb: Skb, hook: Hook) {
    match try_capture(skb, hook) {
        Ok(()) | Err(Skip::NotTcp) => {}
        Err(Skip::Drop(reason)) => {
            emit::count_drop(reason, 0);
            if matches!(reason, DropReason::Unparseable) {
                debug!(&skb, "unparseable packet on interface {}, direction {}", skb.ifindex(), hook.direction);
            }
        }
    }
}

#[inline(always)]
fn try_capture(skb: Skb, hook: Hook) -> Result<(), Skip> {
    let config = filter::config()?;
    if config.filters & FILTER_HOLD != 0 {
        return Ok(());
    }
    filter::direction(config, hook.direction)?;
    let mut event = MaybeUninit::<SegmentEvent>::uninit();
    let event = emit::zeroed(&mut event);
    let payload_at = skb.parse(hook.link, event)?;
    // A bare acknowledgement carries nothing for us, unless it says that its sender takes no more: who reads slowly says so
    // in no other way.
    if event.payload_len == 0 && event.window != 0 && event.flags & (SYN | FIN | RST) == 0 {
        return Ok(());
    }
    filter::flow(config, &event.key)?;
    filter::cgroup(config, skb)?;
    if !filter::is_reached(config, &event.key) {
        emit::count_drop(DropReason::NoRule, event.payload_len);
        return Ok(());
    }
    event.key.zone = zone::of_packet(skb);
    let (first, out) = (event.flags & (SYN | ACK) == SYN, hook.direction == DIRECTION_EGRESS);
    if carried::is_packet(config, &event.key, skb, first, out) {
        emit::count_drop(DropReason::Inline, event.payload_len);
        return Ok(());
    }
    let Some(wanted) = wanted(config, event) else { return Ok(()) };
    own(skb, hook, event);
    event.time_ns = emit::now();
    event.direction = hook.direction;
    event.hook = hook.hook;
    if hook.hook == HOOK_TC {
        event.ifindex = skb.ifindex();
    }
    emit::segment(skb, config, event, payload_at, wanted);
    Ok(())
}

/// How much of the payload is wanted; counts the rest. None where not even its length is.
#[inline(always)]
fn wanted(config: &CaptureConfig, event: &mut SegmentEvent) -> Option<u32> {
    let payload_len = event.payload_len;
    // The SYN takes a sequence number of its own (RFC 9293 section 3.4).
    let seq = event.seq.wrapping_add(u32::from(event.flags & SYN != 0));
    let asked = if payload_len == 0 {
        Wanted::All
    } else {
        filter::cut_off(config, &event.key, seq, event.ack, seq.wrapping_add(payload_len))
    };
    let (wanted, reason) = match asked {
        Wanted::Nothing if event.flags & (SYN | FIN | RST) == 0 => {
            emit::count_drop(DropReason::CutOff, payload_len);
            return None;
        }
        Wanted::Nothing => (0, DropReason::CutOff),
        Wanted::First(first) => (first, DropReason::CutOff),
        Wanted::All => (payload_len, DropReason::CutOff),
    };
    let (wanted, reason) = if config.payload_limit != 0 && wanted > config.payload_limit {
        (config.payload_limit, DropReason::PayloadLimit)
    } else {
        (wanted, reason)
    };
    if wanted == payload_len {
        return Some(payload_len);
    }
    event.cut = reason as u16 + 1;
    emit::count_drop(reason, payload_len - wanted);
    Some(wanted)
}

/// Writes down whose socket the kernel ties to this packet.
#[inline(always)]
fn own(skb: Skb, hook: Hook, event: &mut SegmentEvent) {
    // The kernel answers for sockets that are gone (RST) through a socket of its own.
    if event.flags & RST != 0 {
        return;
    }
    let incoming = hook.hook == HOOK_CGROUP_SKB && hook.direction == DIRECTION_INGRESS;
    // An incoming SYN, and sometimes the first data, still belong to the listener.
    if incoming && (event.flags & (SYN | ACK) == SYN || skb.socket_listens()) {
        return;
    }
    event.cookie = skb.cookie();
    if event.cookie != 0 {
        // TC sees the sender's socket in both directions: a packet that comes out of a pod's veth still has it.
        event.owner = if incoming { OWNER_DESTINATION } else { OWNER_SOURCE };
        event.cgroup_id = skb.cgroup_id();
    }
}

/// Out of the host, or of the namespace.
pub const EGRESS: u8 = DIRECTION_EGRESS;
/// Into it.
pub const INGRESS: u8 = DIRECTION_INGRESS;
