//! Attaching, several at a time, and leaving nothing behind.

use std::{
    collections::HashSet,
    fs,
    io::{BufRead as _, BufReader},
    net::TcpStream,
    process::{Child, Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use aya::programs::{SchedClassifier, TcAttachType, loaded_programs};
use interceptor::{
    kernel::{Capture, CaptureOptions, Hook},
    model::SocketChange,
};

use crate::{
    Test,
    bed::{Pod, exchange, listen, options},
    collect::Collected,
};

/// Names the interface that a child attaches to by clsact, until it is killed.
pub(crate) const CHILD: &str = "INTERCEPTOR_TEST_CHILD";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("two_captures_at_once_see_the_same", two_at_once),
        ("nothing_is_left_after_drop", nothing_left),
        ("nothing_is_left_after_a_panic", nothing_left_after_panic),
        ("clsact_captures_and_takes_its_qdisc_away", clsact),
        ("filters_of_a_killed_run_are_removed_and_those_of_a_living_one_stay", leftovers),
        ("the_qdisc_of_a_killed_run_goes_with_its_filters", leftover_qdisc),
        ("programs_are_attached_before_those_of_others", first_in_order),
        ("a_start_that_fails_ends_the_captures_that_run", failed_start),
        ("the_end_of_the_terminal_is_an_end_in_order", hangup),
        ("sockets_are_not_reported_while_programs_are_still_being_attached", held),
        ("errors_say_what_to_do", errors),
    ]
}

/// Ids of the BPF programs that this process holds.
fn own_programs() -> anyhow::Result<HashSet<u32>> {
    let mut ids = HashSet::new();
    for entry in fs::read_dir("/proc/self/fdinfo")?.flatten() {
        let Ok(info) = fs::read_to_string(entry.path()) else { continue };
        ids.extend(info.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()));
    }
    Ok(ids)
}

fn gone(programs: &HashSet<u32>) -> anyhow::Result<()> {
    // The kernel frees programs a little later (RCU).
    let end = Instant::now() + Duration::from_secs(5);
    loop {
        let left: Vec<_> = loaded_programs()
            .filter_map(Result::ok)
            .map(|program| program.id())
            .filter(|id| programs.contains(id))
            .collect();
        if left.is_empty() {
            return Ok(());
        }
        ensure!(Instant::now() < end, "programs {left:?} are still loaded");
        thread::sleep(Duration::from_millis(20));
    }
}

fn two_at_once() -> anyhow::Result<()> {
    let (listener, address) = listen("127.0.0.1:0")?;
    for clsact in [false, true] {
        let options = CaptureOptions { clsact, ..options("lo", address.port()) };
        let mut first = Capture::start(&options, 1)?;
        let mut second = Capture::start(&options, 2)?;
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

fn nothing_left() -> anyhow::Result<()> {
    let (_, before) = SchedClassifier::query_tcx("lo", TcAttachType::Egress)?;
    let capture = Capture::start(&CaptureOptions::default(), 0)?;
    ensure!(capture.attached().iter().any(|attachment| attachment.hook == Hook::Tcx && attachment.place == "lo"));
    for hook in [Hook::SockOps, Hook::Connect] {
        ensure!(capture.attached().iter().any(|attachment| attachment.hook == hook), "no {}", hook.name());
    }
    let ours = own_programs()?;
    ensure!(ours.len() >= 5, "programs {ours:?}");
    let (_, during) = SchedClassifier::query_tcx("lo", TcAttachType::Egress)?;
    ensure!(during.iter().any(|program| ours.contains(&program.id())), "not among the programs of `lo`");
    drop(capture);
    ensure!(own_programs()?.is_disjoint(&ours));
    gone(&ours)?;
    let (_, after) = SchedClassifier::query_tcx("lo", TcAttachType::Egress)?;
    ensure!(after.len() <= before.len().max(during.len() - 1), "programs on `lo`: {after:?}");
    Ok(())
}

fn nothing_left_after_panic() -> anyhow::Result<()> {
    let holder = thread::spawn(|| {
        let _capture = Capture::start(&options("lo", 9), 0).expect("attaches");
        let ours = own_programs().expect("are listed");
        std::panic::panic_any(ours);
    });
    let ours = holder.join().err().and_then(|ours| ours.downcast::<HashSet<u32>>().ok()).context("it did not panic")?;
    ensure!(!ours.is_empty());
    gone(&ours)
}

/// What `tc` says of an interface.
fn tc(arguments: &str) -> anyhow::Result<String> {
    let output = Command::new("tc").args(arguments.split_whitespace()).output().context("cannot run tc (iproute2)")?;
    Ok(String::from_utf8(output.stdout)?)
}

fn filters_of(interface: &str) -> anyhow::Result<usize> {
    let mut count = 0;
    for side in ["ingress", "egress"] {
        let filters = tc(&format!("filter show dev {interface} {side}"))?;
        count += filters.lines().filter(|line| line.contains(" intercept_")).count();
    }
    Ok(count)
}

fn clsact() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let address = std::net::SocketAddr::new(pod.peer[0], 0);
    let listener = pod.run(|| Ok(std::net::TcpListener::bind(address)?))?;
    let address = listener.local_addr()?;
    let mut capture = Capture::start(&CaptureOptions { clsact: true, ..options(interface, address.port()) }, 0)?;
    ensure!(capture.attached()[0].hook == Hook::Clsact, "{:?}", capture.attached());
    let mut source = capture.source()?;
    let ends = exchange(&listener, || Ok(TcpStream::connect(address)?), b"ping", b"pong")?;
    let mut collected = Collected::default();
    collected.until(&mut source, |seen| seen.over(ends.client, ends.server))?;
    ensure!(collected.stream(ends.client, ends.server)? == b"ping");
    ensure!(collected.stream(ends.server, ends.client)? == b"pong");
    ensure!(filters_of(interface)? == 2 && tc(&format!("qdisc show dev {interface}"))?.contains("clsact"));
    drop(capture);
    let qdiscs = tc(&format!("qdisc show dev {interface}"))?;
    ensure!(!qdiscs.contains("clsact"), "left: {qdiscs}");
    // In another namespace too.
    let inside = CaptureOptions { clsact: true, netns: Some(pod.netns()), ..options(&pod.inside, address.port()) };
    let capture = Capture::start(&inside, 0)?;
    let show = || pod.run(|| tc(&format!("qdisc show dev {}", pod.inside)));
    ensure!(show()?.contains("clsact"));
    drop(capture);
    ensure!(!show()?.contains("clsact"), "left inside");
    Ok(())
}

/// Attaches, says so, and waits to be killed.
pub(crate) fn child(interface: &str) -> ExitCode {
    match Capture::start(&CaptureOptions { clsact: true, ..options(interface, 9) }, 0) {
        Ok(_capture) => {
            println!("attached");
            thread::sleep(Duration::from_mins(1));
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_child(interface: &str) -> anyhow::Result<Child> {
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, interface)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
    if line != "attached\n" {
        child.kill()?;
        child.wait()?;
        bail!("the child says {line:?}");
    }
    Ok(child)
}

fn leftovers() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let mut living = start_child(interface)?;
    let mut killed = start_child(interface)?;
    let result = (|| {
        ensure!(filters_of(interface)? == 4, "{} filters of two", filters_of(interface)?);
        killed.kill()?;
        killed.wait()?;
        ensure!(filters_of(interface)? == 4, "clsact filters went with their process; this test tests nothing");
        let capture = Capture::start(&CaptureOptions { clsact: true, ..options(interface, 9) }, 0)?;
        ensure!(filters_of(interface)? == 4, "{} filters of one that lives and one new", filters_of(interface)?);
        drop(capture);
        ensure!(filters_of(interface)? == 2, "{} filters of one that lives", filters_of(interface)?);
        ensure!(tc(&format!("qdisc show dev {interface}"))?.contains("clsact"), "the living one lost its qdisc");
        Ok(())
    })();
    living.kill()?;
    living.wait()?;
    result
}

fn leftover_qdisc() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let mut killed = start_child(interface)?;
    killed.kill()?;
    killed.wait()?;
    let qdisc = || tc(&format!("qdisc show dev {interface}"));
    ensure!(filters_of(interface)? == 2 && qdisc()?.contains("clsact"), "nothing is left; this test tests nothing");
    drop(Capture::start(&options(interface, 9), 0)?);
    ensure!(filters_of(interface)? == 0 && !qdisc()?.contains("clsact"), "left: {}", qdisc()?);
    // One that was there before, without anything of ours, is not ours to remove.
    tc(&format!("qdisc add dev {interface} clsact"))?;
    drop(Capture::start(&CaptureOptions { clsact: true, ..options(interface, 9) }, 0)?);
    ensure!(qdisc()?.contains("clsact"), "removed somebody's qdisc");
    Ok(())
}

fn first_in_order() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let held_by = |work: &dyn Fn() -> anyhow::Result<Capture>| {
        let before = own_programs()?;
        let capture = work()?;
        Ok::<_, anyhow::Error>((capture, &own_programs()? - &before))
    };
    let start = || Capture::start(&options(interface, 9), 0);
    let (_first, others) = held_by(&start)?;
    let (_second, ours) = held_by(&start)?;
    for side in [TcAttachType::Ingress, TcAttachType::Egress] {
        let (_, programs) = SchedClassifier::query_tcx(interface, side)?;
        let ids: Vec<u32> = programs.iter().map(aya::programs::ProgramInfo::id).collect();
        ensure!(ids.len() == 2 && ours.contains(&ids[0]) && others.contains(&ids[1]), "{ids:?}, ours are {ours:?}");
    }
    // By clsact too, on another interface: a filter with a low number that is there already comes after.
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    tc(&format!("qdisc add dev {interface} clsact"))?;
    tc(&format!("filter add dev {interface} egress pref 2 protocol all matchall action pass"))?;
    let _capture = Capture::start(&CaptureOptions { clsact: true, ..options(interface, 9) }, 0)?;
    let shown = tc(&format!("filter show dev {interface} egress"))?;
    let ours = shown.lines().position(|line| line.contains(" intercept_out")).context("not attached")?;
    let theirs = shown.lines().position(|line| line.contains("matchall"));
    ensure!(theirs.is_none_or(|theirs| ours < theirs), "theirs is first: {shown}");
    ensure!(shown.lines().any(|line| line.contains("pref 1 ") && line.contains("handle 0x1e7c")), "{shown}");
    Ok(())
}

fn failed_start() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let output = Command::new(env!("CARGO_BIN_EXE_interceptor"))
        .args(["run", "--metrics-address", "127.0.0.1:0", "--capture-interfaces", "lo"])
        .args(["--capture-netns", &pod.netns().display().to_string(), "--capture-netns", "/run/netns/nosuch"])
        .output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "{:?}: {stderr}", output.status);
    // The first one's worker was joined, which is after it has detached.
    for part in ["attached", "ended", "interceptor: no network namespace at /run/netns/nosuch"] {
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
            .args([
                "--default-signal=HUP,QUIT",
                env!("CARGO_BIN_EXE_interceptor"),
                "tail",
                "--iface",
                "lo",
                "--port",
                "9",
            ])
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
            let mut capture = Capture::start(&options("lo", address.port()), 0)?;
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

fn errors() -> anyhow::Result<()> {
    let error = |options: CaptureOptions| match Capture::start(&options, 0) {
        Ok(_) => "none".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let cases = [
        (options("nosuch0", 9), vec!["\"nosuch0\"", "there are: ", "lo"]),
        (
            CaptureOptions { netns: Some("/run/netns/nosuch".into()), ..CaptureOptions::default() },
            vec!["/run/netns/nosuch", "ip netns list"],
        ),
        (
            CaptureOptions { cgroups: vec!["nosuch".into()], ..CaptureOptions::default() },
            vec!["nosuch", "no cgroup at"],
        ),
        (CaptureOptions { sock_ops_cgroup: Some("nosuch".into()), ..options("lo", 9) }, vec!["nosuch", "no cgroup at"]),
        (CaptureOptions { sample: 2.0, ..CaptureOptions::default() }, vec!["sample 2"]),
        (CaptureOptions { netns: Some("/etc/hostname".into()), ..options("lo", 9) }, vec!["/etc/hostname"]),
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
