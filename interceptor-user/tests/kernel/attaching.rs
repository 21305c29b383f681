//! Attaching: where, in which order, several at a time.

use std::{
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use interceptor::{
    kernel::{Attachment, Capture, CaptureOptions},
    model::SocketChange,
};
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use crate::{
    Test,
    bed::{Group, Pod, add_filter, binary, exchange, has_tcx, listen, options, tc},
    collect::Collected,
    leaving::own_programs,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("two_captures_at_once_see_the_same", two_at_once),
        ("programs_are_attached_before_those_of_others", first_in_order),
        ("a_start_that_fails_ends_the_captures_that_run", failed_start),
        ("the_end_of_the_terminal_is_an_end_in_order", hangup),
        ("sockets_are_not_reported_while_programs_are_still_being_attached", held),
        ("a_cgroup_is_found_on_any_mount", other_mount),
        ("errors_say_what_to_do", errors),
    ]
}

fn two_at_once() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    for clsact in [false, true] {
        let options = CaptureOptions { clsact, ..options("lo", address.port()) };
        let mut first = Capture::start(&options)?;
        let mut second = Capture::start(&options)?;
        let mut sources = [first.source()?, second.source()?];
        let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
        for source in &mut sources {
            let mut collected = Collected::default();
            collected.until(source, |seen| {
                seen.over(ends.client, ends.server) && seen.closed(ends.client, ends.server).is_some()
            })?;
            ensure!(collected.stream(ends.client, ends.server)? == b"ping");
            ensure!(collected.stream(ends.server, ends.client)? == b"pong");
        }
        // One leaves, the other goes on.
        drop(first);
        let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
        let mut collected = Collected::default();
        collected.until(&mut sources[1], |seen| seen.over(ends.client, ends.server))?;
        ensure!(collected.stream(ends.client, ends.server)? == b"ping");
    }
    Ok(())
}

fn first_in_order() -> anyhow::Result<()> {
    if has_tcx() {
        first_of_tcx()?;
    }
    first_of_clsact()
}

fn first_of_tcx() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let held_by = |work: &dyn Fn() -> anyhow::Result<Capture>| {
        let before = own_programs()?;
        let capture = work()?;
        Ok::<_, anyhow::Error>((capture, &own_programs()? - &before))
    };
    let start = || Capture::start(&options(interface, 9));
    let (_first, others) = held_by(&start)?;
    let (_second, ours) = held_by(&start)?;
    for side in [TcAttachType::Ingress, TcAttachType::Egress] {
        let (_, programs) = SchedClassifier::query_tcx(interface, side)?;
        let ids: Vec<u32> = programs.iter().map(aya::programs::ProgramInfo::id).collect();
        ensure!(ids.len() == 2 && ours.contains(&ids[0]) && others.contains(&ids[1]), "{ids:?}, ours are {ours:?}");
    }
    Ok(())
}

/// A filter with a low number that is there already comes after.
fn first_of_clsact() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    tc(&format!("qdisc add dev {interface} clsact"))?;
    add_filter(interface)?;
    let _capture = Capture::start(&CaptureOptions { clsact: true, ..options(interface, 9) })?;
    let shown = tc(&format!("filter show dev {interface} egress"))?;
    let ours = shown.lines().position(|line| line.contains(" intercept_out")).context("not attached")?;
    let theirs = shown.lines().position(|line| line.contains("pref 2 ")).context("theirs is gone")?;
    ensure!(ours < theirs, "theirs is first: {shown}");
    ensure!(shown.lines().any(|line| line.contains("pref 1 ") && line.contains("handle 0x1e7c")), "{shown}");
    Ok(())
}

fn failed_start() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let output = Command::new(binary())
        .args(["run", "--metrics-address", "127.0.0.1:0", "--capture-interfaces", "lo"])
        .args(["--capture-netns", &pod.netns().display().to_string(), "--capture-cgroups", "nosuch"])
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{:?}: {stderr}", output.status);
    // The first one's worker was joined, which is after it has detached.
    for part in ["attached", "ended", "interceptor: no cgroup at"] {
        ensure!(stderr.contains(part), "no {part:?} in {stderr}");
    }
    Ok(())
}

fn hangup() -> anyhow::Result<()> {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    for signal in [Signal::SIGHUP, Signal::SIGQUIT] {
        // Whoever runs the tests may ignore these signals (`nohup`, a script's background job), and that is inherited.
        let mut child = Command::new("env")
            .arg("--default-signal=HUP,QUIT")
            .arg(binary())
            .args(["tail", "--iface", "lo", "--port", "9"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stderr.take().context("no output")?).read_line(&mut line)?;
        kill(Pid::from_raw(child.id().cast_signed()), signal)?;
        let deadline = Instant::now() + Duration::from_secs(20);
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                bail!("still there after {signal}");
            }
            thread::sleep(Duration::from_millis(20));
        };
        ensure!(line.contains("watching") && status.code() == Some(0), "{line}, then {status} at {signal}");
    }
    Ok(())
}

/// Connections come and go while captures start: of each one that is reported, packets were captured too.
fn held() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                if let Ok(_client) = TcpStream::connect(address) {
                    drop(listener.accept());
                }
            }
        });
        let starts = (0..8).try_for_each(|_| {
            let mut capture = Capture::start(&options("lo", address.port()))?;
            let mut source = capture.source()?;
            let mut collected = Collected::default();
            collected.until(&mut source, |seen| !seen.sockets.is_empty())?;
            collected.for_a_while(&mut source, Duration::from_millis(50))?;
            let reported = collected.sockets.iter().filter(|report| report.change == SocketChange::OpenedActive);
            for report in reported.take(20) {
                let segments = [(report.local, report.remote), (report.remote, report.local)];
                ensure!(
                    segments.iter().any(|key| collected.segments.contains_key(key)),
                    "{} was opened before the capture began",
                    report.local
                );
            }
            Ok(())
        });
        stop.store(true, Relaxed);
        starts
    })
}

/// As in a container that is given the node's cgroups beside its own.
fn other_mount() -> anyhow::Result<()> {
    let group = Group::new()?;
    let directory = tempfile::tempdir()?;
    let place = directory.path().join(group.0.file_name().context("a name")?);
    let attached = thread::scope(|scope| {
        let apart = scope.spawn(|| {
            // The mount is this thread's, and goes with it.
            unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_FS)?;
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(none, directory.path(), Some("cgroup2"), MsFlags::empty(), none)?;
            let options = CaptureOptions {
                cgroups: vec![place.clone()],
                sock_ops_cgroup: Some(place.clone()),
                ..CaptureOptions::default()
            };
            Ok(Capture::start(&options)?.attached())
        });
        apart.join().map_err(|_| anyhow::anyhow!("the thread panicked"))?
    });
    let attached: anyhow::Result<Vec<Attachment>> = attached;
    let place = place.display().to_string();
    ensure!(attached?.iter().filter(|attachment| attachment.place == place).count() == 3);
    Ok(())
}

fn errors() -> anyhow::Result<()> {
    let error = |options: CaptureOptions| match Capture::start(&options) {
        Ok(_) => "none".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let cases = [
        (options("nosuch0", 9), vec!["\"nosuch0\"", "there are: ", "lo"]),
        (
            CaptureOptions { netns: vec!["/run/netns/nosuch".into()], ..CaptureOptions::default() },
            vec!["/run/netns/nosuch", "ip netns list"],
        ),
        (
            CaptureOptions { cgroups: vec!["nosuch".into()], ..CaptureOptions::default() },
            vec!["nosuch", "no cgroup at"],
        ),
        (CaptureOptions { sock_ops_cgroup: Some("nosuch".into()), ..options("lo", 9) }, vec!["nosuch", "no cgroup at"]),
        (CaptureOptions { sample: 2.0, ..CaptureOptions::default() }, vec!["sample 2"]),
        (CaptureOptions { netns: vec!["/etc/hostname".into()], ..options("lo", 9) }, vec!["/etc/hostname"]),
    ];
    for (options, expected) in cases {
        let error = error(options);
        for part in expected {
            ensure!(error.contains(part), "{error:?} does not say {part:?}");
        }
        ensure!(!error.contains('\n'), "more than one line: {error:?}");
    }
    Ok(())
}
