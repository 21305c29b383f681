//! `interceptor run`: readiness, the end in order, and the end without.

use std::{
    io::Write as _,
    net::TcpListener,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor_tests::{Case, Connection, Daemon, Need, Nginx, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Bed, NEEDS, lifecycle::attached};

const SOON: Duration = Duration::from_secs(20);

pub(crate) fn cases() -> Vec<Case> {
    let tools = [NEEDS, &[Need::Program("bpftool", "bpftool")]].concat();
    vec![
        Case::new("daemon::is_ready_counts_and_drains", &tools, is_ready_counts_and_drains),
        Case::new("daemon::shows_a_request_that_waits_as_active", NEEDS, shows_a_request_that_waits_as_active),
        Case::new("daemon::logs_an_object_a_line", NEEDS, logs_an_object_a_line),
        Case::new("daemon::sigkill_under_load_fails_no_request", NEEDS, sigkill_under_load_fails_no_request),
    ]
}

fn start(bed: &Bed) -> Result<Daemon> {
    start_with(bed, &[])
}

fn start_with(bed: &Bed, more: &[&str]) -> Result<Daemon> {
    let place = ["--capture-netns", bed.pods.server.name(), "--capture-interfaces", super::INTERFACE];
    Daemon::start(place.iter().chain(more))
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

fn shows_a_request_that_waits_as_active() -> Result<()> {
    let bed = Bed::new()?;
    let daemon = start(&bed)?;
    // Answers when it is told to.
    let (address, slow) = bed.pods.server.namespace().enter(|| {
        let slow = TcpListener::bind((bed.pods.server.ipv4, 0))?;
        Ok((slow.local_addr()?, slow))
    })?;
    let mut connection = bed.pods.client.namespace().enter(|| Ok(Connection::open(address)))??;
    connection.ask("/slow/42")?;
    let (mut answers, _) = slow.accept()?;
    let labels = format!(
        "http_request_method=\"GET\",http_route=\"/slow/{{id}}\",network_protocol_version=\"1.1\",\
         server_address=\"{}\",server_port=\"{}\",url_scheme=\"http\"",
        address.ip(),
        address.port()
    );
    let gauge = format!("http_server_active_requests{{{labels}}}");
    let active = |count| {
        until(SOON, "the gauge", || Ok((daemon.metrics()?.get(&gauge).ok() == Some(count)).then_some(()))).with_context(
            || format!("{count} active requests are wanted of {:?}", daemon.metrics().and_then(|all| all.get(&gauge))),
        )
    };
    active(1)?;
    answers.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsl")?;
    until(SOON, "half an answer", || Ok((daemon.metrics()?.get("interceptor_open_exchanges")? == 1).then_some(())))?;
    active(1)?;
    answers.write_all(b"ow")?;
    ensure!(connection.answer()?.body == b"slow");
    active(0)?;
    ensure!(daemon.metrics()?.sum("http_client_active_requests") == 0);
    Ok(())
}

fn logs_an_object_a_line() -> Result<()> {
    let bed = Bed::new()?;
    let daemon = start_with(&bed, &["--log-format", "json"])?;
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?.success()?;
    let lines: Vec<Value> = ended.stderr.iter().map(|line| Ok(serde_json::from_str(line)?)).collect::<Result<_>>()?;
    for key in ["timestamp", "level", "message"] {
        ensure!(lines.iter().all(|line| line[key].is_string()), "no {key}: {lines:?}");
    }
    for message in ["attached ", "capturing", "draining", "ended"] {
        let says = |line: &Value| line["message"].as_str().is_some_and(|text| text.starts_with(message));
        ensure!(lines.iter().any(says), "no {message:?}: {lines:?}");
    }
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
            until(SOON, "exchanges", || Ok((next.metrics()?.sum("interceptor_exchanges_total") > 0).then_some(())))
        })();
        stop.store(true, Relaxed);
        killed
    })?;
    ensure!(failed.load(Relaxed) == 0, "{failed:?} of {answered:?} requests failed");
    Ok(())
}
