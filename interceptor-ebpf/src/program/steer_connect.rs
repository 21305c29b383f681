//! connect4, connect6: sends a connection that a rule is about to the inline path, if that is there.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{
        bpf_get_current_comm, bpf_get_current_pid_tgid,
        generated::{bpf_get_current_ancestor_cgroup_id, bpf_get_current_cgroup_id, bpf_get_socket_cookie},
    },
    macros::cgroup_sock_addr,
    programs::SockAddrContext,
};
use interceptor_common::{
    CGROUP_LEVELS, STEER_MARK, STEER_OWN, SocketAddress, SteerCgroup, SteerConfig, SteerOutcome, Steered,
};

use crate::{
    maps::{STEER_CGROUPS, STEERING},
    packet::{MAPPED, PROTOCOL_TCP, context_words, map_ipv4, put_ipv6},
    steer, zone,
};

const ALLOW: i32 = 1;
const REFUSE: i32 = 0;

#[cgroup_sock_addr(connect4)]
pub fn steer_conn4(context: SockAddrContext) -> i32 {
    let to = Connect(context);
    // SAFETY: the context is valid for the run of the program.
    let (address, port) = unsafe { ((*to.0.sock_addr).user_ip4, (*to.0.sock_addr).user_port) };
    let mut destination = SocketAddress { port: u16::from_be(port as u16), ..SocketAddress::default() };
    map_ipv4(&mut destination.address, address);
    to.decide(destination, |config| {
        let inline = config.inline4;
        to.listener4(inline, config).then(|| steer::put4(&to.0, inline))
    })
}

#[cgroup_sock_addr(connect6)]
pub fn steer_conn6(context: SockAddrContext) -> i32 {
    let to = Connect(context);
    // SAFETY: the context is valid for the run of the program.
    let (address, port) =
        unsafe { (context_words(&raw const (*to.0.sock_addr).user_ip6), (*to.0.sock_addr).user_port) };
    let mut destination = SocketAddress { port: u16::from_be(port as u16), ..SocketAddress::default() };
    put_ipv6(&mut destination.address, address);
    // An IPv6 socket may speak IPv4 (RFC 3493 section 3.7): then it goes to where IPv4 goes.
    let is_ipv4 = destination.address.starts_with(&MAPPED);
    to.decide(destination, |config| {
        let inline = if is_ipv4 { config.inline4 } else { config.inline6 };
        let listens = if is_ipv4 { to.listener4(inline, config) } else { to.listener6(inline, config) };
        listens.then(|| steer::put6(&to.0, inline))
    })
}

struct Connect(SockAddrContext);

impl Connect {
    /// Lets it go straight, refuses it, or has `redirect` change where it goes; that gives `None` if nobody listens there.
    #[inline(always)]
    fn decide(&self, destination: SocketAddress, redirect: impl FnOnce(&SteerConfig) -> Option<()>) -> i32 {
        // SAFETY: the context is valid for the run of the program.
        if unsafe { (*self.0.sock_addr).protocol } != u32::from(PROTOCOL_TCP) {
            return ALLOW;
        }
        self.forget();
        let Some(config) = STEERING.get(0) else { return ALLOW };
        let Some((rule, cgroup)) = rule(config, &destination) else { return ALLOW };
        if !self.is_here(config) {
            return ALLOW;
        }
        let is_inline = destination == config.inline4 || destination == config.inline6;
        if is_inline || cgroup.exempt != 0 || self.is_exempt(config) {
            steer::count(rule, SteerOutcome::Exempt);
            return ALLOW;
        }
        let outcome = self.steer(config, rule, destination, redirect);
        steer::count(rule, outcome);
        if outcome == SteerOutcome::Steered || config.closed >> rule & 1 == 0 { ALLOW } else { REFUSE }
    }

    #[inline(always)]
    fn steer(
        &self,
        config: &SteerConfig,
        rule: u32,
        destination: SocketAddress,
        redirect: impl FnOnce(&SteerConfig) -> Option<()>,
    ) -> SteerOutcome {
        if steer::is_stale(config) {
            return SteerOutcome::Stale;
        }
        let socket = steer::socket(&self.0);
        // SAFETY: checked for null.
        if !socket.is_null() && unsafe { (*socket).bound_dev_if } != 0 {
            return SteerOutcome::Bound;
        }
        let memory = steer::remember(socket);
        if memory.is_null() {
            return SteerOutcome::MapFull;
        }
        if redirect(config).is_none() {
            return SteerOutcome::NoListener;
        }
        let steered = Steered {
            // SAFETY: the context is valid for the run of the program.
            cookie: unsafe { bpf_get_socket_cookie(self.0.as_ptr()) },
            // SAFETY: no arguments.
            cgroup_id: unsafe { bpf_get_current_cgroup_id() },
            pid: (bpf_get_current_pid_tgid() >> 32) as u32,
            rule,
            command: bpf_get_current_comm().unwrap_or_default(),
            destination,
            pad: 0,
        };
        // SAFETY: checked for null.
        unsafe { memory.write(steered) };
        SteerOutcome::Steered
    }

    /// A socket that was steered may be connected again, to somewhere else.
    #[inline(always)]
    fn forget(&self) {
        let memory = steer::memory(steer::socket(&self.0));
        if !memory.is_null() {
            // SAFETY: checked for null.
            unsafe { (*memory).cookie = 0 };
        }
    }

    /// Is it in the network namespace that the rules are for?
    #[inline(always)]
    fn is_here(&self, config: &SteerConfig) -> bool {
        if config.zone == 0 {
            return true;
        }
        let zone = zone::where_is(steer::socket(&self.0));
        zone == 0 || zone == config.zone
    }

    /// One of our own sockets, or one that is marked.
    #[inline(always)]
    fn is_exempt(&self, config: &SteerConfig) -> bool {
        let socket = steer::socket(&self.0);
        if socket.is_null() {
            return false;
        }
        // SAFETY: checked for null.
        steer::is_own(socket) || (config.flags & STEER_MARK != 0 && unsafe { (*socket).mark } == config.mark)
    }

    #[inline(always)]
    fn listener4(&self, inline: SocketAddress, config: &SteerConfig) -> bool {
        let words = steer::words_of(&inline.address);
        // Of `bpf_sock_tuple`: source and destination address, then their ports.
        self.is_listener([0, words[3], u32::from(inline.port.to_be()) << 16], inline, config)
    }

    #[inline(always)]
    fn listener6(&self, inline: SocketAddress, config: &SteerConfig) -> bool {
        let to = steer::words_of(&inline.address);
        let ports = u32::from(inline.port.to_be()) << 16;
        self.is_listener([0, 0, 0, 0, to[0], to[1], to[2], to[3], ports], inline, config)
    }

    /// Does somebody listen there? A connection to a port without a listener would be refused.
    #[inline(always)]
    fn is_listener<const WORDS: usize>(
        &self,
        mut tuple: [u32; WORDS],
        inline: SocketAddress,
        config: &SteerConfig,
    ) -> bool {
        if inline.port == 0 {
            return false;
        }
        steer::is_listener(self.0.as_ptr(), &mut tuple, config.flags & STEER_OWN != 0)
    }
}

/// The first rule that fits, and what is said of the cgroup.
#[inline(always)]
fn rule(config: &SteerConfig, destination: &SocketAddress) -> Option<(u32, SteerCgroup)> {
    let rules = steer::rules(config, destination.port, destination.address);
    if rules == 0 {
        return None;
    }
    let cgroup = cgroup();
    let rules = rules & (cgroup.rules | config.any_cgroup);
    (rules != 0).then(|| (steer::first(rules), cgroup))
}

/// What is said of the cgroup of the process, and of those that it is in.
#[inline(always)]
fn cgroup() -> SteerCgroup {
    let mut all = SteerCgroup::default();
    for level in 0..CGROUP_LEVELS {
        // SAFETY: no pointers.
        let id = unsafe { bpf_get_current_ancestor_cgroup_id(level) };
        if id == 0 {
            break;
        }
        // SAFETY: values are replaced, never changed in place.
        if let Some(said) = unsafe { STEER_CGROUPS.get(id) } {
            all.rules |= said.rules;
            all.exempt |= said.exempt;
        }
    }
    all
}
