//! sock_ops: connections opened and closed, with the kernel's own counters. Observes only.

use core::mem::MaybeUninit;

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_SK_STORAGE_GET_F_CREATE, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB,
        BPF_SOCK_OPS_STATE_CB, BPF_SOCK_OPS_STATE_CB_FLAG, bpf_sock, bpf_sock_ops,
    },
    helpers::generated::{bpf_get_socket_cookie, bpf_probe_read_kernel, bpf_sk_storage_get, bpf_sock_ops_cb_flags_set},
    macros::sock_ops,
    programs::SockOpsContext,
};
use interceptor_common::{
    ABI_VERSION, CaptureConfig, DropReason, EVENT_SOCKET, EventHeader, FILTER_HOLD, FILTER_INLINE, SOCKET_CLOSED,
    SOCKET_OPENED_ACTIVE, SOCKET_OPENED_PASSIVE, SocketEvent,
};

use crate::{
    carried, emit, filter,
    maps::{CONNECTING, SK_FLAGS_AT, SOCKETS, SocketState},
    packet::{AF_INET, context_words, map_ipv4, put_ipv6},
    steer, zone,
};

/// What a sock_ops program that has no opinion returns.
const GO_ON: u32 = 1;

const AF_INET6: u32 = 10;

// States, as the state callback gives them (include/net/tcp_states.h).
const FIN_WAIT2: u32 = 5;
const CLOSE: u32 = 7;
const CLOSE_WAIT: u32 = 8;
const LAST_ACK: u32 = 9;
const CLOSING: u32 = 11;

/// `1 << SOCK_DONE` of `struct sock::sk_flags`: the kernel sets it where it takes in the peer's FIN, and nowhere else.
const SOCK_DONE: u64 = 1 << 1;

#[sock_ops]
pub fn intercept_sock(context: SockOpsContext) -> u32 {
    let ops = Ops(context.as_ptr().cast());
    match context.op() {
        BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB => ops.opened(SOCKET_OPENED_ACTIVE),
        BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB => ops.opened(SOCKET_OPENED_PASSIVE),
        BPF_SOCK_OPS_STATE_CB => ops.changed(context.arg(0), context.arg(1)),
        _ => {}
    }
    GO_ON
}

#[derive(Clone, Copy)]
struct Ops(*mut bpf_sock_ops);

impl Ops {
    #[inline(always)]
    fn opened(self, op: u8) {
        let mut event = MaybeUninit::<SocketEvent>::uninit();
        let event = emit::zeroed(&mut event);
        event.op = op;
        let Some(config) = self.wanted(event) else { return };
        // SAFETY: the context is valid for the run of the program; so below.
        unsafe {
            // Others may have asked for callbacks of their own: add to their flags.
            let flags = (*self.0).bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG;
            bpf_sock_ops_cb_flags_set(self.0, flags as i32);
        }
        let state = self.state(BPF_SK_STORAGE_GET_F_CREATE);
        if state.is_null() {
            emit::count_drop(DropReason::MapFull, 0);
        } else {
            // SAFETY: checked for null. The SYN is acknowledged before an active socket is established, and counted;
            // a passive one starts to count after it.
            unsafe { (*state).syn_acked = u8::from(op == SOCKET_OPENED_ACTIVE) };
        }
        if op == SOCKET_OPENED_ACTIVE {
            // SAFETY: the entry is not written again for this cookie while it is read.
            if let Some(who) = unsafe { CONNECTING.get(event.cookie) } {
                event.cgroup_id = who.cgroup_id;
                event.pid = who.pid;
                event.command = who.command;
            }
            // Gone already where the map was full.
            let _ = CONNECTING.remove(event.cookie);
        }
        self.count(event);
        event.bytes_acked = event.bytes_acked.saturating_sub(u64::from(op == SOCKET_OPENED_ACTIVE));
        emit::socket(config, event);
    }

    #[inline(always)]
    fn changed(self, old: u32, new: u32) {
        if new == FIN_WAIT2 {
            let state = self.state(0);
            if !state.is_null() {
                // SAFETY: checked for null.
                unsafe { (*state).fin_wait2_rcv_nxt = (*self.0).rcv_nxt };
            }
        }
        if new != CLOSE {
            return;
        }
        let mut event = MaybeUninit::<SocketEvent>::uninit();
        let event = emit::zeroed(&mut event);
        event.op = SOCKET_CLOSED;
        let Some(config) = self.wanted(event) else { return };
        self.count(event);
        let state = self.state(0);
        // The kernel counts sequence numbers: SYN and FIN take one each (RFC 9293 section 3.4). We want payload.
        let syn_acked = if state.is_null() {
            0
        } else {
            // SAFETY: checked for null.
            u64::from(unsafe { (*state).syn_acked })
        };
        event.bytes_acked = event.bytes_acked.saturating_sub(syn_acked + u64::from(self.fin_acked(old)));
        event.bytes_received = event.bytes_received.saturating_sub(u64::from(self.fin_received(old, state)));
        emit::socket(config, event);
    }

    /// Was our FIN acknowledged when the socket closed out of state `old`?
    #[inline(always)]
    fn fin_acked(self, old: u32) -> bool {
        match old {
            FIN_WAIT2 => true,
            // Left by the acknowledgement of our FIN, or by a reset.
            // SAFETY: as above.
            LAST_ACK | CLOSING => unsafe { (*self.0).snd_una == (*self.0).snd_nxt },
            _ => false,
        }
    }

    /// Did the peer's FIN come before the socket closed out of state `old`?
    #[inline(always)]
    fn fin_received(self, old: u32, state: *mut SocketState) -> bool {
        match old {
            CLOSE_WAIT | LAST_ACK | CLOSING => true,
            // Left by the peer's FIN, but also by a reset, or by close() before the FIN came.
            FIN_WAIT2 => match self.sk_flags() {
                Some(flags) => flags & SOCK_DONE != 0,
                // Without the flag: a FIN moves `rcv_nxt`. So does payload, and then this may be one too low.
                // SAFETY: checked for null.
                None => !state.is_null() && unsafe { (*state).fin_wait2_rcv_nxt != (*self.0).rcv_nxt },
            },
            _ => false,
        }
    }

    /// `sk_flags` of the socket, where the loader found its place in the kernel's type information.
    #[inline(always)]
    fn sk_flags(self) -> Option<u64> {
        let at = u64::from(SK_FLAGS_AT.load());
        if at == 0 {
            return None;
        }
        let socket = self.socket();
        let mut flags = 0_u64;
        // The verifier allows no arithmetic on a socket pointer; read back from the stack it is a number like others.
        let address = zone::address(&raw const socket as u64);
        // SAFETY: the helper checks the address, and the destination is eight bytes long.
        let failed = unsafe { bpf_probe_read_kernel((&raw mut flags).cast(), 8, (address + at) as *const _) } != 0;
        if failed { None } else { Some(flags) }
    }

    /// Fills in who and when. Gives the configuration if it is of the captured namespace and passes the filters.
    #[inline(always)]
    fn wanted(self, event: &mut SocketEvent) -> Option<&'static CaptureConfig> {
        let config = filter::config().ok()?;
        // Of a connection that stands by now no packet was captured: it would be a flow of which all is missing.
        if config.filters & FILTER_HOLD != 0 {
            return None;
        }
        if !self.key(event) || filter::flow(config, &event.key).is_err() || !filter::is_reached(config, &event.key) {
            return None;
        }
        event.key.zone = zone::of_socket(self.socket(), &event.key)?;
        let is_own = config.filters & FILTER_INLINE != 0 && steer::is_own(self.socket());
        if carried::is_socket(config, &event.key, is_own) {
            return None;
        }
        event.header = EventHeader { version: ABI_VERSION, kind: EVENT_SOCKET, len: size_of::<SocketEvent>() as u32 };
        event.time_ns = emit::now();
        // SAFETY: as above.
        event.cookie = unsafe { bpf_get_socket_cookie(self.0.cast()) };
        Some(config)
    }

    #[inline(always)]
    fn key(self, event: &mut SocketEvent) -> bool {
        let key = &mut event.key;
        // SAFETY: as above.
        unsafe {
            match (*self.0).family {
                AF_INET => {
                    map_ipv4(&mut key.source, (*self.0).local_ip4);
                    map_ipv4(&mut key.destination, (*self.0).remote_ip4);
                }
                AF_INET6 => {
                    put_ipv6(&mut key.source, context_words(&raw const (*self.0).local_ip6));
                    put_ipv6(&mut key.destination, context_words(&raw const (*self.0).remote_ip6));
                }
                _ => return false,
            }
            // One in host order, the other in network order in the upper half of its 32 bits.
            key.source_port = (*self.0).local_port as u16;
            key.destination_port = u32::from_be((*self.0).remote_port) as u16;
        }
        true
    }

    #[inline(always)]
    fn count(self, event: &mut SocketEvent) {
        // SAFETY: as above.
        unsafe {
            // Kept times eight.
            event.srtt_us = (*self.0).srtt_us >> 3;
            event.retransmits = (*self.0).total_retrans;
            event.bytes_acked = (*self.0).bytes_acked;
            event.bytes_received = (*self.0).bytes_received;
        }
    }

    #[inline(always)]
    fn socket(self) -> *mut bpf_sock {
        // SAFETY: as above.
        unsafe { (*self.0).__bindgen_anon_2.sk }
    }

    /// What we remember of this socket, or null.
    #[inline(always)]
    fn state(self, flags: u32) -> *mut SocketState {
        let socket = self.socket();
        if socket.is_null() {
            return core::ptr::null_mut();
        }
        // SAFETY: checked for null; the map outlives the program.
        unsafe {
            bpf_sk_storage_get(
                (&raw const SOCKETS).cast_mut().cast(),
                socket.cast(),
                core::ptr::null_mut(),
                u64::from(flags),
            )
            .cast()
        }
    }
}
