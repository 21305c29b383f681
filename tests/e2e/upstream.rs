//! Servers of the inline path: real ones, which clients share.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use interceptor_tests::{Case, Nginx, until};
use nix::sys::signal::Signal;

use super::{NEEDS, curl, inline::Sidecar};

const SOON: Duration = Duration::from_secs(20);
const CLIENTS: u64 = 4;
const RULES: &str = "  - {name: secret, match: 'request.path.startsWith(\"/secret\")', action: {deny: {}}}";

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("upstream::clients_share_connections_and_none_fails_when_it_ends", NEEDS, shared)]
}

fn shared() -> Result<()> {
    let steer = format!("[{{name: web, ports: [{}]}}]", Nginx::PORT);
    let sidecar = Sidecar::with_rules(&steer, RULES)?;
    let daemon = sidecar.start()?;
    let bed = &sidecar.bed;
    for _ in 0..20 {
        let answer = curl(&bed.pods.client, &[&bed.url("/index.html")])?;
        ensure!(answer.stdout.concat() == Nginx::INDEX.trim_end(), "{answer:?}");
    }
    let metrics = daemon.metrics()?;
    let opened = metrics.get("interceptor_inline_upstream_opened_total")?;
    let reused = metrics.get("interceptor_inline_upstream_reused_total")?;
    ensure!((opened, reused) == (1, 19), "{opened} opened, {reused} reused");
    // Requests one after the other on connections that are kept, while it ends.
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let client = || -> Result<()> {
        let mut client = bed.connect()?;
        while !stop.load(Relaxed) {
            let answer = client.get("/index.html")?;
            ensure!(answer.status == 200 && answer.body == Nginx::INDEX.as_bytes(), "{answer:?}");
            answered.fetch_add(1, Relaxed);
            if answer.last {
                client = bed.connect()?;
            }
        }
        Ok(())
    };
    let more = |count: u64| {
        let goal = answered.load(Relaxed) + count;
        until(SOON, "answers", || Ok((answered.load(Relaxed) >= goal).then_some(())))
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let ended = more(200).and_then(|()| daemon.into_process().stop(Signal::SIGTERM, SOON)).and_then(|ended| {
            ensure!(ended.status.success(), "{ended:?}");
            more(200)
        });
        stop.store(true, Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow!("a client panicked"))??;
        }
        ended
    })
}
