//! What the inline path carries: it tells of it itself, so neither of its two connections is captured.

use aya_ebpf::EbpfContext as _;
use interceptor_common::{CaptureConfig, FILTER_INLINE, TupleKey};

use crate::{
    maps::CARRIED,
    packet::{MAPPED, Skb},
    steer,
};

/// Is a packet of such a connection? `first`: it is the one that opens it; `out`: it is on its way out, and its socket is known.
#[inline(always)]
pub fn is_packet(config: &CaptureConfig, key: &TupleKey, skb: Skb, first: bool, out: bool) -> bool {
    if config.filters & FILTER_INLINE == 0 {
        return false;
    }
    if is_to_listener(config, key) {
        return true;
    }
    if !first {
        return is_known(key);
    }
    // A program before this one may have given it to a listener of ours.
    if steer::is_own(skb.socket()) || (!out && comes_in(key, skb)) {
        // Without room it is captured beside, which is told twice but not lost.
        return CARRIED.insert(key, 1, 0).is_ok() && CARRIED.insert(reversed(key), 1, 0).is_ok();
    }
    // Somebody else uses addresses again that one of ours had. (The errors: they are not known.) What goes out of one interface
    // and comes in at another one here is known from the first.
    if out {
        let _ = CARRIED.remove(key);
        let _ = CARRIED.remove(reversed(key));
        return false;
    }
    is_known(key)
}

/// Will a listener of ours get it? From port 0, from which nobody connects: whoever counts what comes in knows that it is asked
/// about only.
#[inline(always)]
fn comes_in(key: &TupleKey, skb: Skb) -> bool {
    let ports = u32::from(key.destination_port.to_be()) << 16;
    let (from, to) = (steer::words_of(&key.source), steer::words_of(&key.destination));
    if key.destination.starts_with(&MAPPED) {
        steer::is_listener(skb.as_ptr(), &mut [from[3], to[3], ports], true)
    } else {
        let mut tuple = [from[0], from[1], from[2], from[3], to[0], to[1], to[2], to[3], ports];
        steer::is_listener(skb.as_ptr(), &mut tuple, true)
    }
}

/// Is a socket of such a connection? Its other end may be here, too.
#[inline(always)]
pub fn is_socket(config: &CaptureConfig, key: &TupleKey, is_own: bool) -> bool {
    config.filters & FILTER_INLINE != 0 && (is_own || is_to_listener(config, key) || is_known(key))
}

#[inline(always)]
fn is_known(key: &TupleKey) -> bool {
    // SAFETY: the value is not read.
    unsafe { CARRIED.get(key) }.is_some()
}

/// Between an application and the inline path's listener.
#[inline(always)]
fn is_to_listener(config: &CaptureConfig, key: &TupleKey) -> bool {
    let [v4, v6] = config.inline_ports;
    let is = |address: &[u8; 16], port: u16| {
        (v4 != 0 && port == v4 && is_loopback4(address)) || (v6 != 0 && port == v6 && is_loopback6(address))
    };
    is(&key.source, key.source_port) || is(&key.destination, key.destination_port)
}

#[inline(always)]
fn is_loopback4(address: &[u8; 16]) -> bool {
    address[10] == 0xff && address[11] == 0xff && address[12] == 127 && address[..10].iter().all(|byte| *byte == 0)
}

#[inline(always)]
fn is_loopback6(address: &[u8; 16]) -> bool {
    address[15] == 1 && address[..15].iter().all(|byte| *byte == 0)
}

#[inline(always)]
fn reversed(key: &TupleKey) -> TupleKey {
    TupleKey {
        source: key.destination,
        destination: key.source,
        source_port: key.destination_port,
        destination_port: key.source_port,
        zone: key.zone,
    }
}
