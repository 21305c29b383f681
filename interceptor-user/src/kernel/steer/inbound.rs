//! What comes into a network namespace is given to the inline path, by sk_lookup.

use std::{collections::BTreeMap, os::fd::AsRawFd, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::{MapData, SockMap},
    programs::{SkLookup, sk_lookup::SkLookupLink},
};
use interceptor_common::{SteerConfig, SteerOutcome};

use super::{SteerRule, heartbeat::Heartbeat, rules::Rules};
use crate::kernel::{
    attach::root,
    maps::take,
    netns::Netns,
    object::{self, explain_program, program},
};

/// What is steered that comes in.
#[derive(Clone, Debug, Default)]
pub struct InboundOptions {
    /// Path of the network namespace; our own by default.
    pub netns: Option<PathBuf>,
    /// By the port that is asked for, and by the networks of who asks. Cgroups are not known here.
    pub rules: Vec<SteerRule>,
    /// How long after an [`Inbound::beat`] the inline path counts as gone. None: a listener is enough.
    pub timeout: Option<Duration>,
}

/// Connections that come in are steered as long as it lives.
pub struct Inbound {
    _link: SkLookupLink,
    rules: Rules,
    listeners: SockMap<MapData>,
    heartbeat: Heartbeat,
    _ebpf: Ebpf,
}

impl Inbound {
    /// Loads and attaches. Until there are listeners, all is as without.
    pub fn start(options: &InboundOptions) -> anyhow::Result<Self> {
        let by_cgroup = options.rules.iter().any(|rule| !rule.cgroups.is_empty());
        ensure!(!by_cgroup, "what comes in is not of a cgroup");
        let mut ebpf = object::load_steering()?;
        let rules = Rules::new(&mut ebpf, Vec::new(), options.timeout, SteerConfig::default())?;
        rules.set(&options.rules)?;
        let netns = Netns::open(options.netns.as_deref())?;
        let name = "steer_lookup";
        let program: &mut SkLookup = program(&mut ebpf, name)?;
        program.load().map_err(|error| explain_program(name, &error))?;
        let link = program
            .attach(netns.file()?)
            .and_then(|link| program.take_link(link))
            .map_err(|error| anyhow::anyhow!("cannot attach {name} to {netns}: {}", root(&error)))?;
        Ok(Self {
            _link: link,
            rules,
            listeners: take(&mut ebpf, "LISTENERS")?,
            heartbeat: Heartbeat::new(&mut ebpf)?,
            _ebpf: ebpf,
        })
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

    /// From now on nothing more is steered, nor refused.
    pub fn release(&self) -> anyhow::Result<()> {
        self.rules.clear()
    }

    /// The inline path runs.
    pub fn beat(&self) -> anyhow::Result<()> {
        self.heartbeat.beat()
    }

    /// What became of connections, by name of the rule.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<(Arc<str>, SteerOutcome), u64>> {
        self.rules.counts()
    }
}
