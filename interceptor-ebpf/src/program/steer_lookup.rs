//! sk_lookup: gives a connection that comes in, and that a rule is about, to the inline path's listener, whatever port and
//! address that has. The accepted socket keeps the address that was asked for.

use aya_ebpf::{
    bindings::{bpf_sk_lookup, sk_action::SK_DROP, sk_action::SK_PASS},
    macros::sk_lookup,
    programs::SkLookupContext,
};
use interceptor_common::{SocketAddress, SteerConfig, SteerOutcome};

use crate::{
    maps::{LISTENERS, STEERING},
    packet::{AF_INET, PROTOCOL_TCP, context_words, map_ipv4, put_ipv6},
    steer,
};

#[sk_lookup]
pub fn steer_lookup(context: SkLookupContext) -> u32 {
    let lookup = context.lookup;
    // SAFETY: the context is valid for the run of the program; so below.
    if unsafe { (*lookup).protocol } != u32::from(PROTOCOL_TCP) {
        return SK_PASS;
    }
    let Some(config) = STEERING.get(0) else { return SK_PASS };
    let (local, remote) = ends(lookup);
    let rules = steer::rules(config, local.port, remote.address);
    if rules == 0 {
        return SK_PASS;
    }
    let rule = steer::first(rules);
    let outcome = decide(&context, config, &local, &remote);
    // Nobody connects from port 0: a capture asks who would get it.
    // SAFETY: as above.
    if unsafe { (*lookup).remote_port } != 0 {
        steer::count(rule, outcome);
    }
    let goes_on = matches!(outcome, SteerOutcome::Steered | SteerOutcome::Exempt) || config.closed >> rule & 1 == 0;
    if goes_on { SK_PASS } else { SK_DROP }
}

#[inline(always)]
fn decide(
    context: &SkLookupContext,
    config: &SteerConfig,
    local: &SocketAddress,
    remote: &SocketAddress,
) -> SteerOutcome {
    // From here: the inline path itself, on its way to the application, among others.
    if local.address == remote.address {
        return SteerOutcome::Exempt;
    }
    if steer::is_stale(config) {
        return SteerOutcome::Stale;
    }
    // SAFETY: as above.
    let index = u32::from(unsafe { (*context.lookup).family } != AF_INET);
    if LISTENERS.redirect_sk_lookup(context, index, 0).is_ok() {
        SteerOutcome::Steered
    } else {
        SteerOutcome::NoListener
    }
}

/// The addresses and ports: ours, and that of who connects. The port of that is not looked at.
#[inline(always)]
fn ends(lookup: *mut bpf_sk_lookup) -> (SocketAddress, SocketAddress) {
    let (mut local, mut remote) = (SocketAddress::default(), SocketAddress::default());
    // SAFETY: as above; words are read one by one, as the verifier wants it.
    unsafe {
        if (*lookup).family == AF_INET {
            map_ipv4(&mut local.address, (*lookup).local_ip4);
            map_ipv4(&mut remote.address, (*lookup).remote_ip4);
        } else {
            put_ipv6(&mut local.address, context_words(&raw const (*lookup).local_ip6));
            put_ipv6(&mut remote.address, context_words(&raw const (*lookup).remote_ip6));
        }
        // In host order.
        local.port = (*lookup).local_port as u16;
    }
    (local, remote)
}
