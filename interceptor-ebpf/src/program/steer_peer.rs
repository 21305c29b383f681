//! getpeername4, getpeername6: the application sees the address that it asked for.

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};
use interceptor_common::Steered;

use crate::steer;

/// The only answer that the kernel takes of these programs.
const GO_ON: i32 = 1;

#[cgroup_sock_addr(getpeername4)]
pub fn steer_peer4(context: SockAddrContext) -> i32 {
    if let Some(steered) = steered(&context) {
        let [.., a, b, c, d] = steered.destination.address;
        // SAFETY: the context is valid for the run of the program.
        unsafe {
            (*context.sock_addr).user_ip4 = u32::from_ne_bytes([a, b, c, d]);
            (*context.sock_addr).user_port = u32::from(steered.destination.port.to_be());
        }
    }
    GO_ON
}

#[cgroup_sock_addr(getpeername6)]
pub fn steer_peer6(context: SockAddrContext) -> i32 {
    if let Some(steered) = steered(&context) {
        let address = &steered.destination.address;
        let word = |at: usize| u32::from_ne_bytes([address[at], address[at + 1], address[at + 2], address[at + 3]]);
        // SAFETY: the context is valid for the run of the program; words are written one by one, as the verifier wants it.
        unsafe {
            let words = (&raw mut (*context.sock_addr).user_ip6).cast::<u32>();
            words.write_volatile(word(0));
            words.add(1).write_volatile(word(4));
            words.add(2).write_volatile(word(8));
            words.add(3).write_volatile(word(12));
            (*context.sock_addr).user_port = u32::from(steered.destination.port.to_be());
        }
    }
    GO_ON
}

#[inline(always)]
fn steered(context: &SockAddrContext) -> Option<Steered> {
    // SAFETY: the context is valid for the run of the program.
    let socket = unsafe { (*context.sock_addr).__bindgen_anon_1.sk };
    let steered = steer::steered(socket);
    // SAFETY: null is `None`.
    let steered = unsafe { steered.as_ref() }?;
    (steered.cookie != 0).then_some(*steered)
}
