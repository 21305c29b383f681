//! `interceptor run`: readiness, the end in order, and the end without.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use interceptor_tests::{Case, Daemon, Need, Nginx, until};
use nix::sys::signal::Signal;

use super::{Bed, NEEDS, lifecycle::attached};

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn cases() -> Vec<Case> {
    let tools = [NEEDS, &[Need::Program("bpftool", "bpftool")]].concat();
    vec![
        Case::new("daemon::is_ready_counts_and_drains", &tools, is_ready_counts_and_drains),
        Case::new("daemon::sigkill_under_load_fails_no_request", NEEDS, sigkill_under_load_fails_no_request),
    ]
}

fn start(bed: &Bed) -> Result<Daemon> {
    Daemon::start(["--capture-netns", bed.pods.server.name(), "--capture-interfaces", super::INTERFACE])
}

fn is_ready_counts_and_drains() -> Result<()> {
    let bed = Bed::new()?;
    let before = attached(&bed.pods)?;
    let daemon = start(&bed)?;
    ensure!(attached(&bed.pods)? != before, "ready before anything was attached");
    ensure!(daemon.get("/healthz")?.status == 200);
    ensure!(daemon.metrics()?.get("interceptor_polls_total")? > 0, "ready before the first look into the ring");
    let mut connection = bed.connect()?;
    for _ in 0..10 {
        ensure!(connection.get("/index.html")?.status == 200);
    }
    until(SOON, "ten exchanges", || Ok((daemon.metrics()?.sum("interceptor_exchanges_total") == 10).then_some(())))?;
    // The connection is still open: its ledger is closed by the drain.
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?;
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(!ended.stderr.iter().any(|line| line.contains("does not balance")), "{ended:?}");
    ensure!(attached(&bed.pods)? == before, "left something attached");
    // And what it watched goes on.
    ensure!(connection.get("/index.html")?.status == 200);
    Ok(())
}

fn sigkill_under_load_fails_no_request() -> Result<()> {
    let bed = Bed::new()?;
    let daemon = start(&bed)?;
    let (stop, answered, failed) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let after = |count: u64| {
        let goal = answered.load(Relaxed) + count;
        until(SOON, "requests to be answered", || Ok((answered.load(Relaxed) >= goal).then_some(())))
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    // A new connection every fifty requests.
                    let Ok(mut connection) = bed.connect() else {
                        failed.fetch_add(1, Relaxed);
                        continue;
                    };
                    for _ in 0..50 {
                        let answer = connection.get("/index.html");
                        let fine =
                            answer.is_ok_and(|answer| answer.status == 200 && answer.body == Nginx::INDEX.as_bytes());
                        if fine { &answered } else { &failed }.fetch_add(1, Relaxed);
                    }
                }
            });
        }
        let killed = (|| {
            after(1000)?;
            daemon.into_process().stop(Signal::SIGKILL, SOON)?;
            after(1000)?;
            // A new one finds its place.
            let next = start(&bed)?;
            after(1000)?;
            ensure!(next.metrics()?.sum("interceptor_exchanges_total") > 0);
            Ok(())
        })();
        stop.store(true, Relaxed);
        killed
    })?;
    ensure!(failed.load(Relaxed) == 0, "{failed:?} of {answered:?} requests failed");
    Ok(())
}
