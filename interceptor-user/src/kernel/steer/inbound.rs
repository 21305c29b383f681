//! What comes into a network namespace is given to the inline path: by sk_lookup, or by TC.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::{MapData, SockMap},
};
use interceptor_common::{SteerConfig, SteerOutcome};

use super::{
    SteerRule,
    assign::Assigning,
    heartbeat::Heartbeat,
    links::{Links, Place},
    release,
    rules::Rules,
};
use crate::kernel::{maps::take, netns::Netns, object, pins::Pins};

/// What is steered that comes in.
#[derive(Clone, Debug, Default)]
pub struct InboundOptions {
    /// Path of the network namespace; our own by default.
    pub netns: Option<PathBuf>,
    /// By the port that is asked for, and by the networks of who asks. Cgroups are not known here.
    pub rules: Vec<SteerRule>,
    /// How long after an [`Inbound::beat`] the inline path counts as gone. None: a listener is enough.
    pub timeout: Option<Duration>,
    /// A directory of a BPF file system, as that of [`super::SteerOptions`]. Not for TC.
    pub pins: Option<PathBuf>,
    /// How it is steered.
    pub hook: InboundHook,
    /// TC by clsact even where there is TCX.
    pub clsact: bool,
}

/// How what comes in is steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InboundHook {
    /// By sk_lookup, or by TC if that is refused and nothing is pinned.
    #[default]
    Auto,
    /// By sk_lookup.
    SkLookup,
    /// By programs on all interfaces but loopback.
    Tc,
}

fn attach(mut ebpf: Ebpf, pins: Option<Pins>, options: &InboundOptions) -> anyhow::Result<Attached> {
    let netns = Netns::open(options.netns.as_deref())?;
    let is_pinned = pins.is_some();
    if options.hook != InboundHook::Tc {
        match lookup(&mut ebpf, pins, &netns) {
            Ok(links) => return Ok(Attached::Lookup { _links: links, _ebpf: ebpf }),
            Err(error) if options.hook == InboundHook::Auto && !is_pinned => {
                tracing::warn!("what comes in is steered by TC, as it cannot be by sk_lookup: {error:#}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Attached::Tc(Box::new(Assigning::start(ebpf, netns, options.clsact)?)))
}

fn lookup(ebpf: &mut Ebpf, pins: Option<Pins>, netns: &Netns) -> anyhow::Result<Vec<OwnedFd>> {
    let mut links = Links::new(ebpf, pins);
    let place = Place { file: netns.file()?, number: netns.inode().into(), name: netns.to_string() };
    links.attach("steer_lookup", &place)?;
    links.end()
}

/// The maps that who comes next goes on with.
const PINNED: [&str; 6] = ["STEERING", "STEER_PORTS", "STEER_NETWORKS", "STEER_COUNTS", "HEARTBEAT", "LISTENERS"];

/// Connections that come in are steered as long as it lives, or as its link is pinned.
pub struct Inbound {
    attached: Attached,
    pinned: bool,
    rules: Rules,
    listeners: SockMap<MapData>,
    heartbeat: Heartbeat,
}

/// What it is by, which ends with it.
enum Attached {
    Lookup { _links: Vec<OwnedFd>, _ebpf: Ebpf },
    Tc(Box<Assigning>),
}

impl Inbound {
    /// Loads and attaches. Until there are listeners, all is as without.
    ///
    /// If what is taken over has rules in force, these stay so until [`Inbound::set_rules`]: the listeners come first.
    pub fn start(options: &InboundOptions) -> anyhow::Result<Self> {
        let by_cgroup = options.rules.iter().any(|rule| !rule.cgroups.is_empty());
        ensure!(!by_cgroup, "what comes in is not of a cgroup");
        let is_pinned = options.pins.is_some();
        ensure!(
            !is_pinned || options.hook != InboundHook::Tc,
            "what steers by TC cannot be pinned: leave `inline.pins` out, or have `inline.inbound` be auto"
        );
        let pins = options.pins.as_deref().map(|directory| Pins::open(&directory.join("inbound"))).transpose()?;
        let mut ebpf = object::load_steering(pins.as_ref(), &PINNED)?;
        let rules = Rules::new(&mut ebpf, Vec::new(), options.timeout, SteerConfig::default())?;
        if !rules.are_there() {
            rules.set(&options.rules)?;
        }
        let (listeners, heartbeat) = (take(&mut ebpf, "LISTENERS")?, Heartbeat::new(&mut ebpf)?);
        let attached = attach(ebpf, pins, options)?;
        Ok(Self { attached, pinned: is_pinned, rules, listeners, heartbeat })
    }

    /// Connections over IPv4 go to this one, which listens in the namespace.
    pub fn listen4(&mut self, listener: &impl AsRawFd) -> anyhow::Result<()> {
        self.listeners.set(0, listener, 0).context("the kernel does not take the listener for IPv4")
    }

    /// Connections over IPv6 go to this one.
    pub fn listen6(&mut self, listener: &impl AsRawFd) -> anyhow::Result<()> {
        self.listeners.set(1, listener, 0).context("the kernel does not take the listener for IPv6")
    }

    /// Puts other rules in force, all at once.
    pub fn set_rules(&self, rules: &[SteerRule]) -> anyhow::Result<()> {
        self.rules.set(rules)
    }

    /// From now on nothing more is steered, nor refused; or, if it is pinned, all is as while the inline path does not answer.
    pub fn release(&self) -> anyhow::Result<()> {
        release(&self.rules, &self.heartbeat, self.pinned)
    }

    /// Another process has put its rules in the place of ours.
    pub fn is_replaced(&self) -> anyhow::Result<bool> {
        self.rules.are_replaced()
    }

    /// Is what comes from here to this port refused while the inline path does not answer?
    pub fn is_closed(&self, port: u16, from: IpAddr) -> bool {
        let from = match from {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        self.rules.closed_about(port, from)
    }

    /// The inline path runs.
    pub fn beat(&self) -> anyhow::Result<()> {
        if let Attached::Tc(assigning) = &self.attached {
            assigning.follow();
        }
        self.heartbeat.beat()
    }

    /// What became of connections, by name of the rule.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<(Arc<str>, SteerOutcome), u64>> {
        self.rules.counts()
    }
}
