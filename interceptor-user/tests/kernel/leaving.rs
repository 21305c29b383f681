//! Leaving nothing behind, when it ends in order.

use std::{
    collections::HashSet,
    fs,
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use aya::programs::{SchedClassifier, TcAttachType, loaded_programs};
use interceptor::kernel::{Capture, CaptureOptions, Hook};

use crate::{
    Test,
    bed::{Pod, exchange, has_tcx, options, tc},
    collect::Collected,
    killed::filters_of,
};

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("nothing_is_left_after_drop", nothing_left),
        ("nothing_is_left_after_a_panic", nothing_left_after_panic),
        ("clsact_captures_and_takes_its_qdisc_away", clsact),
    ]
}

/// Ids of the BPF programs that this process holds.
pub(crate) fn own_programs() -> anyhow::Result<HashSet<u32>> {
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

/// Programs on the egress of `lo`, under clsact as many as there are filters of ours.
fn on_lo() -> anyhow::Result<usize> {
    if !has_tcx() {
        return filters_of("lo");
    }
    Ok(SchedClassifier::query_tcx("lo", TcAttachType::Egress)?.1.len())
}

fn nothing_left() -> anyhow::Result<()> {
    let before = on_lo()?;
    let capture = Capture::start(&CaptureOptions::default())?;
    let tc = if has_tcx() { Hook::Tcx } else { Hook::Clsact };
    ensure!(capture.attached().iter().any(|attachment| attachment.hook == tc && attachment.place == "lo"));
    for hook in [Hook::SockOps, Hook::Connect] {
        ensure!(capture.attached().iter().any(|attachment| attachment.hook == hook), "no {}", hook.name());
    }
    let ours = own_programs()?;
    ensure!(ours.len() >= 4, "programs {ours:?}");
    let during = on_lo()?;
    ensure!(during > 0, "not among the programs of `lo`");
    drop(capture);
    ensure!(own_programs()?.is_disjoint(&ours));
    gone(&ours)?;
    let after = on_lo()?;
    ensure!(after <= before.max(during - 1), "{after} programs on `lo`");
    Ok(())
}

fn nothing_left_after_panic() -> anyhow::Result<()> {
    let holder = thread::spawn(|| {
        let _capture = Capture::start(&options("lo", 9)).expect("attaches");
        let ours = own_programs().expect("are listed");
        std::panic::panic_any(ours);
    });
    let ours = holder.join().err().and_then(|ours| ours.downcast::<HashSet<u32>>().ok()).context("it did not panic")?;
    ensure!(!ours.is_empty());
    gone(&ours)
}

fn clsact() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let interface = pod.outside.as_str();
    let address = std::net::SocketAddr::new(pod.peer[0], 0);
    let listener = pod.run(|| Ok(std::net::TcpListener::bind(address)?))?;
    let address = listener.local_addr()?;
    let mut capture = Capture::start(&CaptureOptions { clsact: true, ..options(interface, address.port()) })?;
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
    let inside = CaptureOptions { clsact: true, netns: vec![pod.netns()], ..options(&pod.inside, address.port()) };
    let capture = Capture::start(&inside)?;
    let show = || pod.run(|| tc(&format!("qdisc show dev {}", pod.inside)));
    ensure!(show()?.contains("clsact"));
    drop(capture);
    ensure!(!show()?.contains("clsact"), "left inside");
    Ok(())
}
