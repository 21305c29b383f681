//! Sends connections to an inline path, and knows where they were going.
//!
//! ```text
//! connect(10.1.2.3:8000) ─ connect4/6 ─► 127.0.0.1:15001 ─ sock_ops ─► who the inline path will see ─► 10.1.2.3:8000
//!                             │ nobody listens, or the heartbeat is old
//!                             └► 10.1.2.3:8000, or refused: as the rule says
//! ```
//!
//! No route, no packet filter and no address is changed: what is rewritten is what the application gave to connect(2).

mod counts;
mod heartbeat;
mod inbound;
mod rules;
mod words;

use std::{
    collections::BTreeMap,
    fs::File,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
    programs::{CgroupAttachMode, CgroupSockAddr, CgroupSockopt, SockOps, cgroup_sock_addr::CgroupSockAddrLink},
};
use interceptor_common::{STEER_MARK, STEER_OWN, SocketAddress, SteerConfig, SteerOutcome, Steered, SteeredKey};

pub use self::inbound::{Inbound, InboundOptions};
use self::{heartbeat::Heartbeat, rules::Rules};
use super::{
    attach::{self, loaded, refused},
    cgroup,
    maps::take,
    object::{self, explain_program, program},
    owned::Owned,
};
use crate::model::{Cidr, Endpoint};

/// The programs.
pub(super) const STEERING: [&str; 7] =
    ["steer_conn4", "steer_conn6", "steer_peer4", "steer_peer6", "steer_sock", "steer_original", "steer_lookup"];

/// Which connections are steered. What is empty is about all; all that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SteerRule {
    /// What it is called, in counters and where connections are told of.
    pub name: Arc<str>,
    /// Ports that are connected to.
    pub ports: Vec<u16>,
    /// Networks of the addresses that are connected to. None: all but loopback addresses, which are a pod's own business.
    /// Link-local addresses of IPv6 are never steered.
    pub networks: Vec<Cidr>,
    /// Cgroups, by id, of the processes that connect, or above them.
    pub cgroups: Vec<u64>,
    /// While the inline path does not answer, these are refused instead of going straight.
    pub closed: bool,
}

/// What is steered, and where to.
#[derive(Clone, Debug, Default)]
pub struct SteerOptions {
    /// Processes in this cgroup and below are looked at.
    pub cgroup: PathBuf,
    /// Only in this network namespace, by its inode number; None: in any that has the inline path's listener.
    pub zone: Option<u32>,
    /// The first one that fits counts.
    pub rules: Vec<SteerRule>,
    /// Where IPv4 connections go; those that find nothing here are as those that nobody listens for.
    pub inline4: Option<SocketAddrV4>,
    /// Where IPv6 connections go.
    pub inline6: Option<SocketAddrV6>,
    /// The inline path is our own: only listeners count that were given to [`Steering::own`].
    pub own: bool,
    /// How long after a [`Steering::beat`] the inline path counts as gone. None: a listener is enough.
    pub timeout: Option<Duration>,
    /// Sockets with this mark (`SO_MARK`) are exempt.
    pub mark: Option<u32>,
    /// Cgroups in which nothing is steered.
    pub exempt: Vec<PathBuf>,
    /// Cgroups of other proxies: as those above, and their sockets are told where connections were going (SO_ORIGINAL_DST).
    pub proxies: Vec<PathBuf>,
}

/// Where a steered connection was going, and who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Original {
    /// Where to.
    pub destination: Endpoint,
    /// Cookie of the socket that asked.
    pub cookie: u64,
    /// Cgroup of its process.
    pub cgroup: u64,
    /// Its process.
    pub pid: u32,
    /// Name of that.
    pub command: String,
    /// Name of the rule; None if others have taken its place long since.
    pub rule: Option<Arc<str>>,
}

/// Connections are steered as long as it lives.
pub struct Steering {
    /// Detached first: what is steered finds its memory to the end.
    _connect: Vec<CgroupSockAddrLink>,
    heartbeat: Heartbeat,
    rules: Rules,
    own: Owned,
    originals: HashMap<MapData, SteeredKey, Steered>,
    /// All other programs, where they are attached, and the maps that only they use.
    _ebpf: Ebpf,
}

impl Steering {
    /// Loads and attaches. The listeners must be there, and known to be [`Steering::own`], for anything to be steered.
    pub fn start(options: &SteerOptions) -> anyhow::Result<Self> {
        let mut ebpf = object::load_steering()?;
        let rules = rules(&mut ebpf, options)?;
        rules.set(&options.rules)?;
        let directory = cgroup::open(&options.cgroup)?;
        let path = options.cgroup.as_path();
        sock_ops(&mut ebpf, &directory, path)?;
        // Only there: the kernel does more for each getsockopt(2) that a program looks at.
        options.proxies.iter().try_for_each(|path| original_dst(&mut ebpf, path))?;
        for name in ["steer_peer4", "steer_peer6"] {
            attach::sock_addr(&mut ebpf, name, &directory, path)?;
        }
        let connect = ["steer_conn4", "steer_conn6"].map(|name| connect(&mut ebpf, name, &directory, path));
        Ok(Self {
            _connect: connect.into_iter().collect::<anyhow::Result<_>>()?,
            heartbeat: Heartbeat::new(&mut ebpf)?,
            rules,
            own: Owned::new(&mut ebpf)?,
            originals: take(&mut ebpf, "ORIGINALS")?,
            _ebpf: ebpf,
        })
    }

    /// The inline path runs.
    pub fn beat(&self) -> anyhow::Result<()> {
        self.heartbeat.beat()
    }

    /// From now on nothing more is steered, nor refused. What was steered is known as before.
    pub fn release(&self) -> anyhow::Result<()> {
        self.rules.clear()
    }

    /// Puts other rules in force, all at once: no connection is looked at by some of these and some of those.
    pub fn set_rules(&self, rules: &[SteerRule]) -> anyhow::Result<()> {
        self.rules.set(rules)
    }

    /// The socket is the interceptor's own: if it listens, connections may go there; what it opens is not steered.
    pub fn own(&self, socket: &impl AsRawFd) -> anyhow::Result<()> {
        self.own.add(socket)
    }

    /// Where a connection was going that is accepted from `client`, in the network namespace `zone`. None if it was not steered, or
    /// is closed.
    pub fn original(&self, client: SocketAddr, zone: u32) -> anyhow::Result<Option<Original>> {
        // Without the kernel's type information the programs do not know it.
        for zone in [zone, 0] {
            match self.originals.get(&SteeredKey { client: to_kernel(client), zone }, 0) {
                Ok(steered) => return Ok(Some(original(&steered, self.rules.name(steered.rule)))),
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(error).context("cannot look up where a connection was going"),
            }
        }
        Ok(None)
    }

    /// Steered connections that are open.
    pub fn open(&self) -> usize {
        self.originals.keys().count()
    }

    /// What became of connections, by name of the rule.
    pub fn counts(&self) -> anyhow::Result<BTreeMap<(Arc<str>, SteerOutcome), u64>> {
        self.rules.counts()
    }
}

fn original(steered: &Steered, rule: Option<Arc<str>>) -> Original {
    let name: Vec<u8> = steered.command.iter().copied().take_while(|byte| *byte != 0).collect();
    Original {
        destination: Endpoint::from_mapped(steered.destination.address, steered.destination.port),
        cookie: steered.cookie,
        cgroup: steered.cgroup_id,
        pid: steered.pid,
        command: String::from_utf8_lossy(&name).into_owned(),
        rule,
    }
}

fn to_kernel(address: SocketAddr) -> SocketAddress {
    let endpoint = Endpoint::from(address);
    SocketAddress { address: endpoint.mapped(), port: endpoint.port(), pad: 0 }
}

/// Of no rules yet.
fn rules(ebpf: &mut Ebpf, options: &SteerOptions) -> anyhow::Result<Rules> {
    let SteerOptions { inline4, inline6, own, timeout, mark, exempt, proxies, zone, .. } = options;
    if inline4.is_none() && inline6.is_none() {
        bail!("nowhere to steer to");
    }
    let exempt: Vec<u64> = exempt.iter().chain(proxies).map(|path| id(path)).collect::<anyhow::Result<_>>()?;
    let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
    let config = SteerConfig {
        inline4: inline4.map(|to| to_kernel(to.into())).unwrap_or_default(),
        inline6: inline6.map(|to| to_kernel(to.into())).unwrap_or_default(),
        mark: mark.unwrap_or(0),
        zone: zone.unwrap_or(0),
        flags: flag(mark.is_some(), STEER_MARK) | flag(*own, STEER_OWN),
        ..SteerConfig::default()
    };
    Rules::new(ebpf, exempt, *timeout, config)
}

fn id(path: &Path) -> anyhow::Result<u64> {
    cgroup::id(path).with_context(|| format!("no cgroup at {}", path.display()))
}

fn connect(ebpf: &mut Ebpf, name: &str, directory: &File, path: &Path) -> anyhow::Result<CgroupSockAddrLink> {
    let link = attach::sock_addr(ebpf, name, directory, path)?;
    let program: &mut CgroupSockAddr = program(ebpf, name)?;
    program.take_link(link).map_err(|error| refused(name, path, &error))
}

fn sock_ops(ebpf: &mut Ebpf, directory: &File, path: &Path) -> anyhow::Result<()> {
    let name = "steer_sock";
    let program: &mut SockOps = program(ebpf, name)?;
    program.load().map_err(|error| explain_program(name, &error))?;
    program.attach(directory, CgroupAttachMode::Single).map_err(|error| refused(name, path, &error))?;
    Ok(())
}

fn original_dst(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let name = "steer_original";
    let directory = cgroup::open(path)?;
    let program: &mut CgroupSockopt = program(ebpf, name)?;
    loaded(name, program.load())?;
    program.attach(&directory, CgroupAttachMode::Single).map_err(|error| refused(name, path, &error))?;
    Ok(())
}
