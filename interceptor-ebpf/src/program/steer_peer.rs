//! getpeername4, getpeername6: the application sees the address that it asked for.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

use crate::steer;

/// The only answer that the kernel takes of these programs.
const GO_ON: i32 = 1;

#[cgroup_sock_addr(getpeername4)]
pub fn steer_peer4(context: SockAddrContext) -> i32 {
    if let Some(steered) = steer::steered(steer::socket(&context)) {
        steer::put4(&context, steered.destination);
    }
    GO_ON
}

#[cgroup_sock_addr(getpeername6)]
pub fn steer_peer6(context: SockAddrContext) -> i32 {
    if let Some(steered) = steer::steered(steer::socket(&context)) {
        steer::put6(&context, steered.destination);
    }
    GO_ON
}
