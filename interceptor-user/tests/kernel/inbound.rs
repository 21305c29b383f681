//! What comes into a pod is given to its inline path, by sk_lookup and by TC.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use interceptor::kernel::{Inbound, InboundHook, InboundOptions, SteerRule};
use interceptor_common::SteerOutcome;

use crate::{
    Test,
    bed::{Pod, ip},
    steering::arrived,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("what_comes_in_goes_to_the_inline_path_with_the_address_that_was_asked_for", comes_in),
        ("what_comes_in_without_an_inline_path_goes_straight_or_is_refused", no_inline_path),
        ("what_comes_from_the_pod_itself_goes_to_the_application", from_itself),
        ("what_comes_in_is_chosen_by_who_asks", by_network),
        ("what_is_forwarded_is_not_taken_for_what_comes_in", forwarded),
        ("what_comes_in_by_an_interface_that_is_new_is_steered", new_interface),
        ("what_steers_by_tc_is_not_pinned", not_pinned),
    ]
}

/// How it is steered, and whether TC is under clsact.
const WAYS: [(InboundHook, bool); 3] =
    [(InboundHook::SkLookup, false), (InboundHook::Tc, false), (InboundHook::Tc, true)];

/// In each way.
fn each(test: fn(&mut Bed) -> anyhow::Result<()>) -> anyhow::Result<()> {
    WAYS.into_iter().try_for_each(|way| test(&mut Bed::by(way)?).with_context(|| format!("by {way:?}")))
}

/// Names of the rules: for IPv4, for IPv6.
const NAMES: [&str; 2] = ["v4", "v6"];

/// Applications in a pod, IPv4 and IPv6, and listeners of an inline path at other ports and addresses.
pub(crate) struct Bed {
    pub(crate) pod: Pod,
    application: [TcpListener; 2],
    pub(crate) inline: [TcpListener; 2],
    way: (InboundHook, bool),
}

impl Bed {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Self::by(WAYS[0])
    }

    pub(crate) fn by_tc() -> anyhow::Result<Self> {
        Self::by(WAYS[1])
    }

    fn by(way: (InboundHook, bool)) -> anyhow::Result<Self> {
        let pod = Pod::new()?;
        let [v4, v6] = pod.peer;
        let bind =
            |address: SocketAddr| TcpListener::bind(address).with_context(|| format!("cannot listen at {address}"));
        let (application, inline) = pod.run(|| {
            let application = [bind((v4, 0).into())?, bind((v6, 0).into())?];
            let inline = ["127.0.0.1:0", "[::1]:0"].map(|address| bind(address.parse().expect("an address")));
            let [inline4, inline6] = inline;
            Ok((application, [inline4?, inline6?]))
        })?;
        Ok(Self { pod, application, inline, way })
    }

    pub(crate) fn address(&self, family: usize) -> anyhow::Result<SocketAddr> {
        Ok(self.application[family].local_addr()?)
    }

    pub(crate) fn options(&self) -> anyhow::Result<InboundOptions> {
        let open = SteerRule { name: NAMES[0].into(), ports: vec![self.address(0)?.port()], ..SteerRule::default() };
        let closed = SteerRule {
            name: NAMES[1].into(),
            ports: vec![self.address(1)?.port()],
            closed: true,
            ..SteerRule::default()
        };
        let (hook, clsact) = self.way;
        let (netns, rules) = (Some(self.pod.netns()), vec![open, closed]);
        Ok(InboundOptions { netns, rules, hook, clsact, ..InboundOptions::default() })
    }

    pub(crate) fn listen(&self, inbound: &mut Inbound) -> anyhow::Result<()> {
        inbound.listen4(&self.inline[0])?;
        inbound.listen6(&self.inline[1])
    }

    /// The first application is reached, the second is not.
    fn fails(&self, inbound: &Inbound, why: SteerOutcome) -> anyhow::Result<()> {
        ensure!(arrived(self.address(0)?, &self.inline[0])?.is_none(), "it was steered");
        self.application[0].accept()?;
        // A packet that TC drops nobody answers; before a second is over it is not sent again.
        let refused = if self.way.0 == InboundHook::Tc { ErrorKind::TimedOut } else { ErrorKind::ConnectionRefused };
        match TcpStream::connect_timeout(&self.address(1)?, Duration::from_millis(600)) {
            Err(error) => ensure!(error.kind() == refused, "{error}"),
            Ok(_) => anyhow::bail!("it was not refused"),
        }
        for rule in NAMES {
            counted(inbound, rule, why)?;
        }
        Ok(())
    }
}

/// One connection became that.
fn counted(inbound: &Inbound, rule: &str, what: SteerOutcome) -> anyhow::Result<()> {
    let counts = inbound.counts()?;
    ensure!(counts.get(&(rule.into(), what)) == Some(&1), "{what:?} of rule {rule}: {counts:?}");
    Ok(())
}

fn comes_in() -> anyhow::Result<()> {
    each(comes_and_goes)
}

fn comes_and_goes(bed: &mut Bed) -> anyhow::Result<()> {
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    for family in [0, 1] {
        let to = bed.address(family)?;
        let (client, accepted) = arrived(to, &bed.inline[family])?.with_context(|| format!("{to} went straight"))?;
        ensure!(accepted.local_addr()? == to, "asked for {to}, got {}", accepted.local_addr()?);
        ensure!(client.peer_addr()? == to);
        counted(&inbound, NAMES[family], SteerOutcome::Steered)?;
    }
    drop(inbound);
    for family in [0, 1] {
        ensure!(arrived(bed.address(family)?, &bed.inline[family])?.is_none(), "it is still steered");
    }
    Ok(())
}

fn no_inline_path() -> anyhow::Result<()> {
    each(without_listener)?;
    each(with_an_old_heartbeat)
}

fn without_listener(bed: &mut Bed) -> anyhow::Result<()> {
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.fails(&inbound, SteerOutcome::NoListener).context("before there are listeners")?;
    bed.listen(&mut inbound)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it was not steered");
    drop(inbound);
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    // As the kernel does when the process is killed.
    bed.inline = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("[::1]:0")?];
    bed.fails(&inbound, SteerOutcome::NoListener).context("without listeners")
}

fn with_an_old_heartbeat(bed: &mut Bed) -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_millis(300);
    let mut inbound = Inbound::start(&InboundOptions { timeout: Some(TIMEOUT), ..bed.options()? })?;
    bed.listen(&mut inbound)?;
    inbound.beat()?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it was not steered");
    thread::sleep(TIMEOUT + Duration::from_millis(20));
    bed.fails(&inbound, SteerOutcome::Stale).context("with an old heartbeat")?;
    inbound.beat()?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it does not come back");
    Ok(())
}

fn from_itself() -> anyhow::Result<()> {
    each(not_from_itself)
}

/// It would end with its process, and what is pinned is not to.
fn not_pinned() -> anyhow::Result<()> {
    let options = Bed::by_tc()?.options()?;
    let refused = Inbound::start(&InboundOptions { pins: Some("/sys/fs/bpf/interceptor".into()), ..options });
    let why = refused.err().context("it is pinned")?.to_string();
    ensure!(why.contains("cannot be pinned"), "{why}");
    Ok(())
}

fn not_from_itself(bed: &mut Bed) -> anyhow::Result<()> {
    let mut inbound = Inbound::start(&bed.options()?)?;
    bed.listen(&mut inbound)?;
    for family in [0, 1] {
        let to = bed.address(family)?;
        let came = bed.pod.run(|| arrived(to, &bed.inline[family]))?;
        ensure!(came.is_none(), "the inline path would speak to itself");
        // By TC it is not even looked at: it comes in by loopback.
        if bed.way.0 == InboundHook::SkLookup {
            counted(&inbound, NAMES[family], SteerOutcome::Exempt)?;
        }
    }
    Ok(())
}

fn by_network() -> anyhow::Result<()> {
    each(only_by_network)
}

fn only_by_network(bed: &mut Bed) -> anyhow::Result<()> {
    let network = |text: &str| vec![text.parse().expect("a network")];
    let other = SteerRule { networks: network("192.0.2.0/24"), ..SteerRule::default() };
    let tests = SteerRule { name: "tests".into(), networks: network("198.18.0.0/15"), ..SteerRule::default() };
    let options = InboundOptions { rules: vec![other, tests], ..bed.options()? };
    let mut inbound = Inbound::start(&options)?;
    bed.listen(&mut inbound)?;
    ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it went straight");
    ensure!(arrived(bed.address(1)?, &bed.inline[1])?.is_none(), "no rule is about IPv6");
    counted(&inbound, "tests", SteerOutcome::Steered)?;
    Ok(())
}

/// A pod may be a router: what goes through it has nothing to do with it, whatever rules say.
fn forwarded() -> anyhow::Result<()> {
    // TEST-NET-1 (RFC 5737).
    const BEYOND: &str = "192.0.2.7";
    each(|bed| {
        let mut inbound = Inbound::start(&bed.options()?)?;
        bed.listen(&mut inbound)?;
        bed.pod.run(|| Ok(fs::write("/proc/sys/net/ipv4/ip_forward", "1")?))?;
        let (gateway, inside) = (bed.pod.peer[0], &bed.pod.inside);
        bed.pod.ip(&format!("route add {BEYOND} dev {inside}"))?;
        let route = format!("route add {BEYOND} via {gateway}");
        ip(&route)?;
        let to = SocketAddr::new(BEYOND.parse()?, bed.address(0)?.port());
        let connected = TcpStream::connect_timeout(&to, Duration::from_millis(600));
        ip(&route.replace("add", "del"))?;
        ensure!(connected.is_err(), "somebody answers for {BEYOND}");
        let counts = inbound.counts()?;
        ensure!(counts.values().all(|count| *count == 0), "{counts:?}");
        // What is for the pod still comes in.
        ensure!(arrived(bed.address(0)?, &bed.inline[0])?.is_some(), "it went straight");
        Ok(())
    })
}

fn new_interface() -> anyhow::Result<()> {
    each(|bed| {
        let mut inbound = Inbound::start(&bed.options()?)?;
        bed.listen(&mut inbound)?;
        let (ours, theirs) = ("198.51.100.1/30", "198.51.100.2/30");
        let other = format!("{}n", bed.pod.outside);
        bed.pod.ip(&format!("link add late type veth peer name {other} netns {}", std::process::id()))?;
        bed.pod.ip(&format!("addr add {theirs} dev late"))?;
        bed.pod.ip("link set late up")?;
        ip(&format!("addr add {ours} dev {other}"))?;
        ip(&format!("link set {other} up"))?;
        let listener = bed.pod.run(|| Ok(TcpListener::bind(("198.51.100.2", bed.address(0)?.port()))?))?;
        let to = listener.local_addr()?;
        let end = Instant::now() + Duration::from_secs(5);
        while arrived(to, &bed.inline[0])?.is_none() {
            ensure!(Instant::now() < end, "what comes in by a new interface is not steered");
            thread::sleep(Duration::from_millis(100));
            inbound.beat()?;
        }
        Ok(())
    })
}
