//! sock_ops: where a steered connection was going, by the address that the inline path sees of it, as long as it is open.

use aya_ebpf::{
    EbpfContext as _,
    bindings::{BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock_ops},
    helpers::generated::bpf_sock_ops_cb_flags_set,
    macros::sock_ops,
    programs::SockOpsContext,
};
use interceptor_common::{SocketAddress, SteerOutcome, SteeredKey};

use crate::{
    maps::ORIGINALS,
    packet::{AF_INET, context_words, map_ipv4, put_ipv6},
    steer, zone,
};

/// What a sock_ops program that has no opinion returns.
const GO_ON: u32 = 1;

/// `TCP_CLOSE`
const CLOSE: u32 = 7;

#[sock_ops]
pub fn steer_sock(context: SockOpsContext) -> u32 {
    let ops: *mut bpf_sock_ops = context.as_ptr().cast();
    match context.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => opened(ops),
        BPF_SOCK_OPS_STATE_CB if context.arg(1) == CLOSE => closed(ops),
        _ => {}
    }
    GO_ON
}

/// Before the other end can accept it: its last word of the handshake has not been sent yet.
#[inline(always)]
fn opened(ops: *mut bpf_sock_ops) {
    // SAFETY: the context is valid for the run of the program; so below.
    let socket = unsafe { (*ops).__bindgen_anon_2.sk };
    let Some(steered) = steer::steered(socket) else { return };
    // SAFETY: as above.
    unsafe {
        // Others may have asked for callbacks of their own: add to their flags.
        let flags = (*ops).bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;
        bpf_sock_ops_cb_flags_set(ops, flags as i32);
    }
    if ORIGINALS.insert(key(ops), steered, 0).is_err() {
        // The inline path does not find where it goes, and closes it.
        steer::count(steered.rule, SteerOutcome::MapFull);
    }
}

#[inline(always)]
fn closed(ops: *mut bpf_sock_ops) {
    // SAFETY: as above.
    let socket = unsafe { (*ops).__bindgen_anon_2.sk };
    if !steer::memory(socket).is_null() {
        let _may_not_have_been_there = ORIGINALS.remove(key(ops));
    }
}

#[inline(always)]
fn key(ops: *mut bpf_sock_ops) -> SteeredKey {
    let mut client = SocketAddress::default();
    // SAFETY: as above.
    unsafe {
        if (*ops).family == AF_INET {
            map_ipv4(&mut client.address, (*ops).local_ip4);
        } else {
            put_ipv6(&mut client.address, context_words(&raw const (*ops).local_ip6));
        }
        // In host order.
        client.port = (*ops).local_port as u16;
        SteeredKey { client, zone: zone::where_is((*ops).__bindgen_anon_2.sk) }
    }
}
