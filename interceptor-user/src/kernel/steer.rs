//! Sends connections to an inline path, and knows where they were going.
//!
//! ```text
//! connect(10.1.2.3:8000) ─ connect4/6 ─► 127.0.0.1:15001 ─ sock_ops ─► who the inline path will see ─► 10.1.2.3:8000
//!                             │ nobody listens, or the heartbeat is old
//!                             └► 10.1.2.3:8000, or refused: as the rule says
//! ```
//!
//! No route, no packet filter and no address is changed: what is rewritten is what the application gave to connect(2).

mod assign;
mod counts;
mod heartbeat;
mod inbound;
mod links;
mod rules;
mod words;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, SocketAddrV4, SocketAddrV6},
    os::fd::{AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf,
    maps::{HashMap, MapData, MapError},
};
use interceptor_common::{STEER_MARK, STEER_OWN, SocketAddress, SteerConfig, SteerOutcome, Steered, SteeredKey};

pub use self::inbound::{Inbound, InboundHook, InboundOptions};
pub(super) use self::links::STEERING;
use self::{
    heartbeat::Heartbeat,
    links::{Links, Place},
    rules::Rules,
};
use super::{cgroup, maps::take, object, owned::Owned, pins::Pins};
use crate::model::{Cidr, Endpoint};

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
    /// A directory of a BPF file system. What is there from another process is taken over, and what is steered stays so beyond the
    /// end of this one.
    pub pins: Option<PathBuf>,
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
    /// The rule refuses while the inline path does not answer.
    pub closed: bool,
}

/// Connections are steered as long as it lives, or as its links are pinned.
pub struct Steering {
    /// Detached one after the other: what is steered finds its memory to the end. None of them is here if they are pinned.
    _links: Vec<OwnedFd>,
    pinned: bool,
    heartbeat: Heartbeat,
    rules: Rules,
    own: Owned,
    originals: HashMap<MapData, SteeredKey, Steered>,
    /// The programs, and the maps that only they use.
    _ebpf: Ebpf,
}

/// The maps that who comes next goes on with.
const PINNED: [&str; 9] = [
    "STEERING",
    "STEER_PORTS",
    "STEER_NETWORKS",
    "STEER_CGROUPS",
    "STEER_COUNTS",
    "HEARTBEAT",
    "OWN",
    "STEERED",
    "ORIGINALS",
];

impl Steering {
    /// Loads and attaches. The listeners must be there, and known to be [`Steering::own`], for anything to be steered.
    ///
    /// If what is taken over has rules in force, these stay so until [`Steering::set_rules`]: the listeners come first.
    pub fn start(options: &SteerOptions) -> anyhow::Result<Self> {
        let pins = options.pins.as_deref().map(|directory| Pins::open(&directory.join("outbound"))).transpose()?;
        let mut ebpf = object::load_steering(pins.as_ref(), &PINNED)?;
        let rules = rules(&mut ebpf, options)?;
        if !rules.are_there() {
            rules.set(&options.rules)?;
        }
        let mut links = Links::new(&mut ebpf, pins);
        // These first, so that nothing is steered that finds no memory.
        let cgroup = place(&options.cgroup)?;
        links.attach("steer_sock", &cgroup)?;
        // Only there: the kernel does more for each getsockopt(2) that a program looks at.
        options.proxies.iter().try_for_each(|path| links.attach("steer_original", &place(path)?))?;
        for name in ["steer_peer4", "steer_peer6", "steer_conn4", "steer_conn6"] {
            links.attach(name, &cgroup)?;
        }
        let pinned = options.pins.is_some();
        Ok(Self {
            _links: links.end()?,
            pinned,
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

    /// From now on nothing more is steered, nor refused; or, if it is pinned, all is as while the inline path does not answer, until
    /// another process steers. What was steered is known as before.
    pub fn release(&self) -> anyhow::Result<()> {
        release(&self.rules, &self.heartbeat, self.pinned)
    }

    /// Another process has put its rules in the place of ours, and carries what is steered from now on.
    pub fn is_replaced(&self) -> anyhow::Result<bool> {
        self.rules.are_replaced()
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
                Ok(steered) => return Ok(Some(original(&steered, &self.rules))),
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

fn original(steered: &Steered, rules: &Rules) -> Original {
    let name: Vec<u8> = steered.command.iter().copied().take_while(|byte| *byte != 0).collect();
    Original {
        destination: Endpoint::from_mapped(steered.destination.address, steered.destination.port),
        cookie: steered.cookie,
        cgroup: steered.cgroup_id,
        pid: steered.pid,
        command: String::from_utf8_lossy(&name).into_owned(),
        rule: rules.name(steered.rule),
        closed: rules.is_closed(steered.rule),
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

fn place(path: &Path) -> anyhow::Result<Place> {
    Ok(Place { file: cgroup::open(path)?, number: id(path)?, name: format!("cgroup {}", path.display()) })
}

fn id(path: &Path) -> anyhow::Result<u64> {
    cgroup::id(path).with_context(|| format!("no cgroup at {}", path.display()))
}

fn release(rules: &Rules, heartbeat: &Heartbeat, pinned: bool) -> anyhow::Result<()> {
    match (pinned, rules.are_replaced()?) {
        (_, true) => Ok(()),
        (true, false) => heartbeat.end(),
        (false, false) => rules.clear(),
    }
}
