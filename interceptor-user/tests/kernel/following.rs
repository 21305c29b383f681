//! What comes and goes while we capture: interfaces, namespaces, cgroups.

use std::{
    fs,
    net::TcpStream,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use interceptor::{
    demo::namespace::Namespace,
    kernel::{Capture, CaptureOptions, Filters, Hook, cgroup},
    model::{Endpoint, TcpFlags},
};
use nix::fcntl::{Flock, FlockArg};

use crate::{
    Test,
    bed::{Ends, Group, Pod, exchange, ip, listen, options, unique, zone, zone_at},
    collect::Collected,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("interfaces_are_taken_up_as_they_appear", interfaces),
        ("an_interface_that_was_named_is_taken_up_again", named_again),
        ("pods_are_attached_to_within_200_milliseconds", pods_in_time),
        ("pods_with_equal_addresses_are_told_apart", equal_addresses),
        ("what_the_host_sees_of_a_pod_is_captured_once", once),
        ("namespaces_that_fit_a_pattern_are_followed", pattern),
        ("cgroups_that_fit_a_pattern_are_followed", cgroups),
        ("a_namespace_that_is_made_anew_is_captured_anew", made_anew),
        ("a_lock_that_somebody_holds_on_a_namespace_stops_nothing", locked),
        ("two_hundred_pods_leave_nothing_behind", churn),
    ]
}

/// How soon programs are attached to what is new. An emulated processor is more than ten times slower.
fn soon() -> Duration {
    if std::env::var_os("INTERCEPTOR_EMULATED").is_some() { Duration::from_secs(5) } else { Duration::from_millis(200) }
}

/// Where a capture is attached, as text.
fn attached(capture: &Capture) -> Vec<String> {
    capture.attached().iter().map(ToString::to_string).collect()
}

/// Waits until `place` is among them, and says how long that took.
fn wait_for(capture: &Capture, place: &str) -> anyhow::Result<Duration> {
    wait(capture, &format!("no {place}"), |places| places.iter().any(|found| found.ends_with(place)))
}

fn wait(capture: &Capture, what: &str, done: impl Fn(&[String]) -> bool) -> anyhow::Result<Duration> {
    let start = Instant::now();
    loop {
        let places = attached(capture);
        if done(&places) {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "{what} in {places:?}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// All interfaces, and only the connections of one port.
fn everything(port: u16) -> CaptureOptions {
    CaptureOptions { interfaces: Vec::new(), ..options("", port) }
}

/// All pods, and nothing of ours but what their interfaces show.
fn node(port: u16) -> CaptureOptions {
    CaptureOptions { pods: true, ..everything(port) }
}

fn interfaces() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let inside = CaptureOptions { netns: vec![pod.netns()], ..everything(9) };
    for options in [everything(9), inside] {
        let is_own = options.netns.is_empty();
        for clsact in [false, true] {
            let mut capture = Capture::start(&CaptureOptions { clsact, ..options.clone() })?;
            capture.follow(|| {})?;
            let (name, run) =
                (format!("ikd{}", unique()), |arguments: &str| if is_own { ip(arguments) } else { pod.ip(arguments) });
            run(&format!("link add {name} type veth peer name {name}p"))?;
            ensure!(!attached(&capture).iter().any(|place| place.ends_with(&name)), "it is down");
            run(&format!("link set {name} up"))?;
            let took = wait_for(&capture, &name)?;
            ensure!(took < soon(), "it took {took:?}");
            run(&format!("link del {name}"))?;
            wait(&capture, "still there", |places| !places.iter().any(|place| place.ends_with(&name)))?;
        }
    }
    Ok(())
}

fn named_again() -> anyhow::Result<()> {
    let name = format!("ikd{}", unique());
    ip(&format!("link add {name} type veth peer name {name}p"))?;
    let mut capture = Capture::start(&options(&name, 9))?;
    capture.follow(|| {})?;
    ip(&format!("link del {name}"))?;
    wait(&capture, "still there", |places| !places.iter().any(|place| place.ends_with(&name)))?;
    ip(&format!("link add {name} type veth peer name {name}p"))?;
    let took = wait_for(&capture, &name);
    ip(&format!("link del {name}"))?;
    ensure!(took? < soon());
    Ok(())
}

/// One connection to an address of the pod's own, from inside.
fn talk_inside(pod: &Pod, address: &str) -> anyhow::Result<Ends> {
    pod.run(|| {
        let (listener, address) = listen(address)?;
        exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")
    })
}

fn pods_in_time() -> anyhow::Result<()> {
    let mut capture = Capture::start(&node(7001))?;
    let mut source = capture.source()?;
    capture.follow(|| {})?;
    for _ in 0..5 {
        let pod = Pod::new()?;
        let path = pod.netns();
        let took = wait_for(&capture, &format!("lo in {}", path.display()))?;
        ensure!(took < soon(), "it took {took:?}");
        let ends = talk_inside(&pod, "127.0.0.1:7001")?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| {
            seen.over(ends.client, ends.server) && seen.closed(ends.client, ends.server).is_some()
        })?;
        ensure!(collected.stream(ends.client, ends.server)? == b"ping");
        ensure!(collected.stream(ends.server, ends.client)? == b"pong");
        let inode = zone_at(&path)?;
        ensure!(collected.segments.values().flatten().all(|kept| kept.zone == inode), "of another namespace");
        ensure!(collected.sockets.iter().all(|report| report.zone == inode), "of another namespace");
        drop(pod);
        let place = path.display().to_string();
        wait(&capture, "still there", |places| !places.iter().any(|found| found.ends_with(&place)))?;
    }
    Ok(())
}

/// Zones of what was captured between two addresses.
fn zones(collected: &Collected, ends: Ends) -> Vec<u32> {
    let mut zones: Vec<u32> =
        collected.segments.get(&(ends.client, ends.server)).into_iter().flatten().map(|kept| kept.zone).collect();
    zones.dedup();
    zones
}

fn equal_addresses() -> anyhow::Result<()> {
    let pods = [Pod::new()?, Pod::new()?];
    let mut capture = Capture::start(&node(7002))?;
    let mut source = capture.source()?;
    for pod in &pods {
        let ends = talk_inside(pod, "127.0.0.1:7002")?;
        // An address of its own that others could see goes over `lo` too.
        let own = talk_inside(pod, &format!("{}:7002", pod.peer[0]))?;
        let mut collected = Collected::default();
        collected.until(&mut source, |seen| {
            [ends, own].iter().all(|ends| seen.over(ends.client, ends.server))
                && seen.closed(own.client, own.server).is_some()
        })?;
        let expected = zone_at(&pod.netns())?;
        ensure!(zones(&collected, ends) == [expected] && zones(&collected, own) == [expected]);
        ensure!(!collected.sockets.is_empty() && collected.sockets.iter().all(|report| report.zone == expected));
    }
    Ok(())
}

fn once() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let mut capture = Capture::start(&node(7003))?;
    let places = attached(&capture);
    let inside = format!("in {}", pod.netns().display());
    let of_pod: Vec<_> = places.iter().filter(|place| place.ends_with(&inside)).collect();
    ensure!(of_pod.len() == 1 && of_pod[0].contains(" lo "), "{places:?}");
    let mut source = capture.source()?;
    let listener = pod.run(|| Ok(listen(&format!("{}:7003", pod.peer[0]))?.0))?;
    let address = listener.local_addr()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| {
        let closed = |local, remote| seen.closed(local, remote).is_some();
        seen.over(ends.client, ends.server) && closed(ends.client, ends.server) && closed(ends.server, ends.client)
    })?;
    let own = zone()?;
    ensure!(zones(&collected, ends) == [own]);
    // Both ends' sockets are told for the place where the packets are seen.
    ensure!(collected.sockets.iter().all(|report| report.zone == own), "{:?}", collected.sockets);
    let syns = |from: Endpoint, to: Endpoint| {
        collected.segments[&(from, to)].iter().filter(|kept| kept.flags.has(TcpFlags::SYN)).count()
    };
    ensure!(syns(ends.client, ends.server) == 1 && syns(ends.server, ends.client) == 1, "seen twice");
    Ok(())
}

fn pattern() -> anyhow::Result<()> {
    let prefix = format!("ikp{}", unique());
    let options = CaptureOptions { netns: vec![format!("/run/netns/{prefix}*").into()], ..everything(9) };
    let mut capture = Capture::start(&options)?;
    capture.follow(|| {})?;
    let other = Namespace::create(&format!("iko{prefix}"))?;
    let wanted = Namespace::create(&format!("{prefix}a"))?;
    let _more = Namespace::create(&format!("{prefix}b"))?;
    for name in ["iko", "", ""].iter().zip(["", "a", "b"]).map(|(before, after)| format!("{before}{prefix}{after}")) {
        ip(&format!("-n {name} link set lo up"))?;
    }
    for namespace in ["a", "b"] {
        ensure!(wait_for(&capture, &format!("lo in /run/netns/{prefix}{namespace}"))? < soon());
    }
    let other = other.path().display().to_string();
    ensure!(!attached(&capture).iter().any(|place| place.ends_with(&other)));
    let gone = wanted.path().display().to_string();
    drop(wanted);
    wait(&capture, "still there", |places| !places.iter().any(|place| place.ends_with(&gone)))?;
    Ok(())
}

fn cgroups() -> anyhow::Result<()> {
    let parent = Group::new()?;
    let pattern = parent.0.join("pod*");
    let mut capture = Capture::start(&CaptureOptions {
        cgroups: vec![pattern],
        filters: Filters { ports: vec![7004], ..Filters::default() },
        ..CaptureOptions::default()
    })?;
    let mut source = capture.source()?;
    capture.follow(|| {})?;
    ensure!(!capture.attached().iter().any(|attachment| attachment.hook == Hook::CgroupSkb));
    for name in ["pod1", "other", "pod2"] {
        fs::create_dir(parent.0.join(name))?;
    }
    let [first, _other, pod] = ["pod1", "other", "pod2"].map(|name| Group(parent.0.join(name)));
    let took = wait_for(&capture, &pod.0.display().to_string())?;
    ensure!(took < soon(), "it took {took:?}");
    let (listener, address) = listen("127.0.0.1:7004")?;
    let ends = pod.run(|| exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong"))?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
    ensure!(collected.stream(ends.client, ends.server)? == b"ping");
    ensure!(zones(&collected, ends) == [zone()?]);
    let places = attached(&capture);
    ensure!(places.iter().filter(|place| place.starts_with("cgroup_skb")).count() == 2, "{places:?}");
    // Another one at the same path is another one.
    let path = pod.0.clone();
    drop(pod);
    fs::create_dir(&path)?;
    let pod = Group(path);
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let ends = pod.run(|| exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong"))?;
        collected.for_a_while(&mut source, soon())?;
        if collected.over(ends.client, ends.server) {
            break;
        }
        ensure!(Instant::now() < end, "the new one is not captured");
    }
    drop((first, pod));
    wait(&capture, "still there", |places| !places.iter().any(|place| place.starts_with("cgroup_skb")))?;
    Ok(())
}

/// Its number may be the old one's, as its interfaces' are.
fn made_anew() -> anyhow::Result<()> {
    let name = format!("ikr{}", unique());
    let mut capture = Capture::start(&node(7005))?;
    let mut source = capture.source()?;
    capture.follow(|| {})?;
    for round in 0..5 {
        let namespace = Namespace::create(&name)?;
        ip(&format!("-n {name} link set lo up"))?;
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let talk = || {
                let (listener, address) = listen("127.0.0.1:7005").map_err(std::io::Error::other)?;
                exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")
                    .map_err(std::io::Error::other)
            };
            let ends = namespace.enter(talk)?;
            let mut collected = Collected::default();
            collected.for_a_while(&mut source, soon())?;
            if collected.over(ends.client, ends.server) {
                break;
            }
            ensure!(Instant::now() < end, "not captured in round {round}: {:?}", attached(&capture));
        }
    }
    Ok(())
}

fn locked() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let lock = Flock::lock(fs::File::open(pod.netns())?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let start = Instant::now();
    for clsact in [false, true] {
        let capture = Capture::start(&CaptureOptions { clsact, ..node(9) })?;
        wait_for(&capture, &format!("lo in {}", pod.netns().display()))?;
    }
    ensure!(start.elapsed() < Duration::from_secs(30), "it took {:?}", start.elapsed());
    drop(lock);
    Ok(())
}

/// A pod as a container runtime makes it: namespace, veth pair, cgroup; in few steps, because there are many.
struct Small {
    namespace: Namespace,
    veth: String,
    _cgroup: Group,
}

impl Small {
    fn new(number: usize) -> anyhow::Result<Self> {
        let name = format!("ikc{}n{number}", std::process::id());
        let namespace = Namespace::create(&name)?;
        let veth = format!("ikc{}v{number}", std::process::id());
        ip(&format!("link add {veth} up type veth peer name eth0 netns {name}"))?;
        ip(&format!("-n {name} link set lo up"))?;
        let path = cgroup::mount().context("no cgroup v2 mount")?.join(&name);
        fs::create_dir(&path)?;
        Ok(Self { namespace, veth, _cgroup: Group(path) })
    }
}

#[derive(Debug)]
struct Usage {
    descriptors: usize,
    resident: u64,
}

impl Usage {
    fn now() -> anyhow::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            resident: line.trim().trim_end_matches(" kB").parse()?,
        })
    }
}

fn churn() -> anyhow::Result<()> {
    const ALIVE: usize = 10;
    for clsact in [false, true] {
        let mut capture = Capture::start(&CaptureOptions { clsact, ..node(9) })?;
        capture.follow(|| {})?;
        let mut first = None;
        let mut names = Vec::new();
        for round in 0..100 / ALIVE {
            let pods = (0..ALIVE).map(|at| Small::new(round * ALIVE + at)).collect::<anyhow::Result<Vec<_>>>()?;
            for pod in &pods {
                wait_for(&capture, &format!("lo in {}", pod.namespace.path().display()))?;
                wait_for(&capture, &pod.veth)?;
            }
            names.extend(pods.iter().map(|pod| pod.veth.clone()));
            drop(pods);
            let prefix = format!("ikc{}", std::process::id());
            wait(&capture, "pods that are gone", |places| !places.iter().any(|place| place.contains(&prefix)))?;
            // The follower may have something open for a moment.
            thread::sleep(soon());
            let usage = Usage::now()?;
            let first = first.get_or_insert(Usage::now()?);
            ensure!(usage.descriptors <= first.descriptors, "descriptors grow: {first:?}, then {usage:?}");
            ensure!(usage.resident <= first.resident + 4096, "memory grows: {first:?}, then {usage:?}");
        }
        // A namespace that anybody held would keep its interface, and so the other end.
        let end = Instant::now() + Duration::from_secs(20);
        while let Some(left) = names.iter().find(|name| Path::new("/sys/class/net").join(name).exists()) {
            if Instant::now() > end {
                bail!("{left} is still there");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}
