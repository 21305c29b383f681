//! The inline path: its listeners, what is steered to them, and the thread that carries it.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6, TcpListener},
    path::{Path, PathBuf},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context as _, anyhow};

use super::worker::{self, Shared};
use crate::{
    config::{self, Config, SockOps},
    kernel::{Capture, Inbound, InboundHook, InboundOptions, SteerOptions, SteerRule, Steering, cgroup, own_number},
    policy::{Steer, document::Direction},
    privilege,
    proxy::{self, Counts, Kernel, Limits, UpstreamCounts},
    sink::prometheus::{self, Worker},
};

/// How often the kernel is told that the inline path runs, in parts of the time after which it counts as gone.
const BEATS: u32 = 5;

/// How long a connection's first bytes may leave open what it speaks.
const DETECT: Duration = Duration::from_secs(1);

/// Where connections are steered to: loopback addresses, at ports that were free.
pub(super) struct Listeners {
    v4: TcpListener,
    /// None on a host without IPv6.
    v6: Option<TcpListener>,
}

impl Listeners {
    /// Before anything is captured: what comes here is left out of it. None if there is no inline path.
    pub(super) fn open(config: &config::Inline) -> anyhow::Result<Option<Self>> {
        if !config.enabled.0 {
            return Ok(None);
        }
        let v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("the inline path cannot listen on 127.0.0.1")?;
        let v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
        if let Err(error) = &v6 {
            tracing::warn!(%error, "the inline path cannot listen on ::1: no IPv6 connection is steered");
        }
        Ok(Some(Self { v4, v6: v6.ok() }))
    }

    /// At the ports of loopback addresses (IPv4, IPv6; 0: none).
    pub(super) fn ports(&self) -> anyhow::Result<[u16; 2]> {
        let v6 = self.v6.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok([self.v4.local_addr()?.port(), v6.map_or(0, |address| address.port())])
    }

    fn all(self) -> Vec<TcpListener> {
        [Some(self.v4), self.v6].into_iter().flatten().collect()
    }
}

/// It runs.
pub(super) struct Running {
    kernel: Arc<Kernel>,
    thread: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    /// It ended, though nobody may have asked it to.
    pub(super) fn is_over(&self) -> bool {
        self.thread.is_finished()
    }

    /// Steers by these from now on.
    pub(super) fn steer(&self, all: &[Steer]) -> anyhow::Result<()> {
        if let Some(outbound) = &self.kernel.outbound {
            outbound.set_rules(&rules(all, Direction::Outbound)?)?;
        }
        if let Some(inbound) = &self.kernel.inbound {
            inbound.set_rules(&rules(all, Direction::Inbound)?)?;
        }
        Ok(())
    }

    /// Waits for its end.
    pub(super) fn join(self) -> anyhow::Result<()> {
        match self.thread.join() {
            Ok(result) => result.context("the inline path failed"),
            Err(_) => Err(anyhow!("the thread of the inline path panicked: a defect, please report it")),
        }
    }
}

/// Steers by `all`, and starts to carry on a new thread.
pub(super) fn start(
    listeners: Listeners,
    all: &[Steer],
    captures: Vec<Weak<Capture>>,
    config: &Config,
    shared: Shared<'_>,
    stop: &Arc<AtomicBool>,
) -> anyhow::Result<Running> {
    let [v4, v6] = listeners.ports()?;
    let zone = own_number()?;
    let outbound = outbound(all, [v4, v6], zone, &config.inline).context("cannot steer what is connected to")?;
    let inbound = inbound(all, &listeners, zone, &config.inline).context("cannot steer what comes in")?;
    let kernel = Arc::new(Kernel { outbound: Some(outbound), inbound: Some(inbound), captures, zone });
    let listeners = listeners.all();
    listeners.iter().try_for_each(|listener| kernel.own(listener))?;
    let counts = Arc::new(Counts::default());
    let pipeline = worker::pipeline(config, shared);
    let published = Arc::clone(pipeline.counts());
    let totals = Box::new(move || worker::published(&published));
    let at = format!("steering to 127.0.0.1:{v4} and [::1]:{v6}");
    let attachments = Box::new(move || vec![at.clone()]);
    shared.state.watch(Worker { name: "inline".to_owned(), attachments, totals });
    shared.metrics.show_inline(figures(Arc::clone(&kernel), Arc::clone(&counts)))?;
    let limits = Limits {
        connections: config.inline.connections.0 as usize,
        connect: config.inline.connect_timeout.0,
        detect: DETECT,
        beat: config.inline.timeout.0 / BEATS,
        grace: config.inline.grace.0,
        idle: config.inline.idle_timeout.0,
        held: config.inline.held_memory.to_usize(),
        upstream: config.inline.upstream.clone(),
    };
    let (told, stop) = (Arc::clone(&kernel), Arc::clone(stop));
    let work = move || {
        privilege::settle();
        let ran = proxy::run(listeners, told, pipeline, counts, limits, &stop);
        // Whoever waits for us is to end, too.
        stop.store(true, Relaxed);
        ran?.finish()
    };
    let thread = thread::Builder::new().name("inline".to_owned()).spawn(work).context("cannot start a thread")?;
    tracing::info!(rules = all.len(), "the inline path runs, at 127.0.0.1:{v4} and [::1]:{v6}");
    // Last: from here on connections come, also those that came to another interceptor till now.
    kernel.beat()?;
    let running = Running { kernel, thread };
    running.steer(all)?;
    Ok(running)
}

/// For metrics.
fn figures(kernel: Arc<Kernel>, counts: Arc<Counts>) -> prometheus::Ask {
    let steered = move || -> anyhow::Result<Vec<_>> {
        let outbound = kernel.outbound.as_ref().map(Steering::counts).transpose()?.unwrap_or_default();
        let inbound = kernel.inbound.as_ref().map(Inbound::counts).transpose()?.unwrap_or_default();
        let both = [("outbound", outbound), ("inbound", inbound)].into_iter();
        let all = both.flat_map(|(direction, of)| of.into_iter().map(move |(what, count)| (direction, what, count)));
        Ok(all.map(|(direction, (rule, outcome), count)| (rule, direction, outcome.name(), count)).collect())
    };
    Box::new(move || prometheus::Inline {
        open: counts.open.load(Relaxed),
        accepted: counts.accepted.load(Relaxed),
        failed: [
            ("stray", counts.strays.load(Relaxed)),
            ("unreachable", counts.unreachable.load(Relaxed)),
            ("unanswered", counts.unanswered.load(Relaxed)),
            ("unresolved", counts.unresolved.load(Relaxed)),
        ],
        idle: counts.client_idle.load(Relaxed),
        unread: [
            ("forwarded", counts.unread_forwarded.load(Relaxed)),
            ("refused", counts.unread_refused.load(Relaxed)),
        ],
        held_bytes: counts.held_bytes.load(Relaxed),
        held: [
            ("whole", counts.held.load(Relaxed)),
            ("too_large", counts.held_too_large.load(Relaxed)),
            ("no_room", counts.held_no_room.load(Relaxed)),
        ],
        upstream: upstream(&counts.upstream),
        steered: steered().unwrap_or_else(|error| {
            tracing::warn!(error = format!("{error:#}"), "cannot read the kernel's counters");
            Vec::new()
        }),
    })
}

fn upstream(counts: &UpstreamCounts) -> prometheus::InlineUpstream {
    let read = |count: &AtomicU64| count.load(Relaxed);
    let idle = read(&counts.idle);
    prometheus::InlineUpstream {
        connections: [("active", read(&counts.connections).saturating_sub(idle)), ("idle", idle)],
        opened: read(&counts.opened),
        reused: read(&counts.reused),
        retries: [
            ("connect", read(&counts.retry_connect)),
            ("closed", read(&counts.retry_closed)),
            ("refused", read(&counts.retry_refused)),
            ("status", read(&counts.retry_status)),
            ("reset", read(&counts.retry_reset)),
        ],
        over_budget: read(&counts.over_budget),
        timeouts: [
            ("connect", read(&counts.late_connect)),
            ("response", read(&counts.late_response)),
            ("idle", read(&counts.late_idle)),
        ],
        ejections: read(&counts.ejections),
        out: [("ejected", read(&counts.ejected)), ("unhealthy", read(&counts.unhealthy))],
        limited: [("all", read(&counts.limited_all)), ("upstream", read(&counts.limited_upstream))],
    }
}

fn outbound(all: &[Steer], [v4, v6]: [u16; 2], zone: u32, config: &config::Inline) -> anyhow::Result<Steering> {
    let cgroup = match &config.cgroup {
        SockOps::Root => cgroup::mount().context("no cgroup v2 mount")?,
        SockOps::Cgroup(cgroup) => cgroup::resolve(&cgroup.0),
    };
    Steering::start(&SteerOptions {
        cgroup,
        zone: Some(zone),
        rules: rules(all, Direction::Outbound)?,
        inline4: Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, v4)),
        inline6: (v6 != 0).then(|| SocketAddrV6::new(Ipv6Addr::LOCALHOST, v6, 0, 0)),
        own: true,
        timeout: Some(config.timeout.0),
        exempt: config.exempt.iter().map(|cgroup| cgroup::resolve(&cgroup.0)).collect(),
        pins: pins(zone, config),
        ..SteerOptions::default()
    })
}

fn inbound(all: &[Steer], listeners: &Listeners, zone: u32, config: &config::Inline) -> anyhow::Result<Inbound> {
    let rules = rules(all, Direction::Inbound)?;
    let (timeout, pins) = (Some(config.timeout.0), pins(zone, config));
    let hook = match config.inbound {
        config::InboundHook::Auto => InboundHook::Auto,
        config::InboundHook::SkLookup => InboundHook::SkLookup,
        config::InboundHook::Tc => InboundHook::Tc,
    };
    let options = InboundOptions { rules, timeout, pins, hook, ..InboundOptions::default() };
    let mut inbound = Inbound::start(&options)?;
    inbound.listen4(&listeners.v4)?;
    listeners.v6.as_ref().map_or(Ok(()), |listener| inbound.listen6(listener))?;
    Ok(inbound)
}

/// Each network namespace has its own: of pods on one node none is to take over what is another one's.
fn pins(zone: u32, config: &config::Inline) -> Option<PathBuf> {
    config.pins.0.as_ref().map(|directory| directory.join(zone.to_string()))
}

/// As the kernel takes them.
fn rules(all: &[Steer], direction: Direction) -> anyhow::Result<Vec<SteerRule>> {
    all.iter().filter(|steer| steer.direction == direction).map(rule).collect()
}

fn rule(steer: &Steer) -> anyhow::Result<SteerRule> {
    let id = |path: &String| {
        let directory = cgroup::resolve(Path::new(path));
        cgroup::id(&directory).with_context(|| format!("`{}`: no cgroup at {}", steer.name, directory.display()))
    };
    Ok(SteerRule {
        name: Arc::clone(&steer.name),
        ports: steer.ports.clone(),
        networks: steer.networks.clone(),
        cgroups: steer.cgroups.iter().map(id).collect::<anyhow::Result<_>>()?,
        closed: steer.closed,
    })
}
