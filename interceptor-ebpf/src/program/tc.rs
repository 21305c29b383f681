//! TC: every packet of an interface. One pair of programs for links with an Ethernet header, one for those without.

use aya_ebpf::{EbpfContext, macros::classifier, programs::TcContext};
use interceptor_common::HOOK_TC;

use crate::{
    conn::{self, EGRESS, Hook, INGRESS},
    packet::{Link, Skb},
};

/// "Go on with the next program": `TCX_NEXT`, and `TC_ACT_UNSPEC` under clsact.
const NEXT: i32 = -1;

#[classifier]
pub fn intercept_out(context: TcContext) -> i32 {
    run(&context, EGRESS, Link::Ethernet)
}

#[classifier]
pub fn intercept_in(context: TcContext) -> i32 {
    run(&context, INGRESS, Link::Ethernet)
}

#[classifier]
pub fn intercept_outl3(context: TcContext) -> i32 {
    run(&context, EGRESS, Link::Raw)
}

#[classifier]
pub fn intercept_inl3(context: TcContext) -> i32 {
    run(&context, INGRESS, Link::Raw)
}

#[inline(always)]
fn run(context: &TcContext, direction: u8, link: Link) -> i32 {
    conn::capture(Skb::new(context.as_ptr()), Hook { hook: HOOK_TC, direction, link });
    NEXT
}
