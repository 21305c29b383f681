//! What comes into a network namespace is given to the inline path, by sk_lookup.

use std::{os::fd::AsRawFd, path::PathBuf, time::Duration};

use anyhow::{Context as _, ensure};
use aya::{
    Ebpf,
    maps::{MapData, SockMap},
    programs::{SkLookup, sk_lookup::SkLookupLink},
};
use interceptor_common::{SteerConfig, SteerOutcome};

use super::{
    SteerRule,
    shared::{self, Counts, Heartbeat},
};
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
    listeners: SockMap<MapData>,
    heartbeat: Heartbeat,
    counts: Counts,
    _ebpf: Ebpf,
}

impl Inbound {
    /// Loads and attaches. Until there are listeners, all is as without.
    pub fn start(options: &InboundOptions) -> anyhow::Result<Self> {
        ensure!(options.rules.iter().all(|rule| rule.cgroups.is_empty()), "what comes in is not of a cgroup");
        let mut ebpf = object::load_steering()?;
        shared::write(&mut ebpf, &options.rules, &[], options.timeout, SteerConfig::default())?;
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
            listeners: take(&mut ebpf, "LISTENERS")?,
            heartbeat: Heartbeat::new(&mut ebpf)?,
            counts: Counts::new(&mut ebpf, options.rules.len())?,
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

    /// The inline path runs.
    pub fn beat(&self) -> anyhow::Result<()> {
        self.heartbeat.beat()
    }

    /// What became of connections, by index of the rule.
    pub fn counts(&self) -> anyhow::Result<Vec<(usize, SteerOutcome, u64)>> {
        self.counts.read()
    }
}
