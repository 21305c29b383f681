//! connect4, connect6: which process opens a connection. Observes only.

use aya_ebpf::{
    EbpfContext,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_cgroup_id, bpf_get_socket_cookie},
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use interceptor_common::DropReason;

use crate::{
    emit,
    maps::{CONNECTING, Connecting},
};

const ALLOW: i32 = 1;

#[cgroup_sock_addr(connect4)]
pub fn intercept_conn4(context: SockAddrContext) -> i32 {
    remember(&context);
    ALLOW
}

#[cgroup_sock_addr(connect6)]
pub fn intercept_conn6(context: SockAddrContext) -> i32 {
    remember(&context);
    ALLOW
}

#[inline(always)]
fn remember(context: &SockAddrContext) {
    /// `IPPROTO_TCP`
    const TCP: u32 = 6;
    // SAFETY: the context is valid for the run of the program.
    let (protocol, cookie) = unsafe { ((*context.sock_addr).protocol, bpf_get_socket_cookie(context.as_ptr())) };
    if protocol != TCP {
        return;
    }
    let connecting = Connecting {
        // SAFETY: no arguments.
        cgroup_id: unsafe { bpf_get_current_cgroup_id() },
        command: bpf_get_current_comm().unwrap_or_default(),
        pid: (bpf_get_current_pid_tgid() >> 32) as u32,
        pad: 0,
    };
    if CONNECTING.insert(cookie, connecting, 0).is_err() {
        emit::count_drop(DropReason::MapFull, 0);
    }
}
