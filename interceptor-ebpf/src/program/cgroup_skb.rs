//! cgroup_skb: every packet of the sockets of a pod's cgroup. Data begins at the IP header.

use aya_ebpf::{EbpfContext, macros::cgroup_skb, programs::SkBuffContext};
use interceptor_common::HOOK_CGROUP_SKB;

use crate::{
    conn::{self, EGRESS, Hook, INGRESS},
    packet::{Link, Skb},
};

const ALLOW: i32 = 1;

#[cgroup_skb(egress)]
pub fn intercept_cgout(context: SkBuffContext) -> i32 {
    run(&context, EGRESS)
}

#[cgroup_skb(ingress)]
pub fn intercept_cgin(context: SkBuffContext) -> i32 {
    run(&context, INGRESS)
}

#[inline(always)]
fn run(context: &SkBuffContext, direction: u8) -> i32 {
    conn::capture(Skb::new(context.as_ptr()), Hook { hook: HOOK_CGROUP_SKB, direction, link: Link::Raw });
    ALLOW
}
