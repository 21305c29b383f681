//! The interceptor's kernel half: one object whose programs share maps.
//!
//! The programs of the passive path observe and never decide: on every path, errors included, the traffic passes. Those
//! that steer (`steer_*`) are attached where a policy asks for it; what they cannot steer they let go straight, or refuse if
//! its rule says so. What cannot be handed
//! over is counted by reason. No application protocol is parsed here.
//!
//! Written for the verifier of Linux 5.10 and later: no dynptr, no `bpf_loop`; lengths are clamped where the compiler
//! cannot undo it (see [`emit`]).
#![no_std]
#![no_main]
// Inline assembly for the BPF target is not stable yet; the build sets RUSTC_BOOTSTRAP.
#![feature(asm_experimental_arch)]

mod carried;
mod conn;
mod emit;
mod filter;
mod maps;
mod packet;
mod program {
    mod cgroup_skb;
    mod connect;
    mod sock_ops;
    mod steer_assign;
    mod steer_connect;
    mod steer_lookup;
    mod steer_original;
    mod steer_peer;
    mod steer_sock;
    mod tc;
}
mod steer;
mod zone;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // No program can panic: the verifier would refuse this loop.
    loop {}
}

/// Helpers such as `bpf_probe_read_kernel` need a licence that is compatible with the GPL.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
