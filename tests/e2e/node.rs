//! `interceptor run` on a node whose pods come and go.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use interceptor_tests::{Case, Daemon, Nginx, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Bed, NEEDS, curl};

const SOON: Duration = Duration::from_secs(20);
/// How long programs may take to be attached to a pod that is new.
const ATTACHED: Duration = Duration::from_millis(200);

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("node::pods_are_captured_as_they_come_and_go", NEEDS, pods_come_and_go)]
}

/// Where programs are attached, by the daemon's own account.
fn attachments(daemon: &Daemon) -> Result<usize> {
    let status: Value = serde_json::from_slice(&daemon.get("/status")?.body)?;
    Ok(status["workers"][0]["attachments"].as_array().map_or(0, Vec::len))
}

fn pods_come_and_go() -> Result<()> {
    let daemon = Daemon::start(["--capture-pods", "all", "--capture-ports", &Nginx::PORT.to_string()])?;
    let before = attachments(&daemon)?;
    let exchanges = || -> Result<u64> { Ok(daemon.metrics()?.sum("interceptor_exchanges_total")) };
    let mut expected = 0;
    for _ in 0..3 {
        let bed = Bed::new()?;
        thread::sleep(ATTACHED);
        let at = bed.url("/index.html");
        curl(&bed.pods.server, &[&at])?.success()?;
        // Its own address, seen from inside, is on `lo`; so is this.
        curl(&bed.pods.server, &[&format!("http://127.0.0.1:{}/index.html", Nginx::PORT)])?.success()?;
        // Neither end of this pair is in the node's own namespace: it is seen by each.
        curl(&bed.pods.client, &[&at])?.success()?;
        expected += 4;
        until(SOON, "the exchanges", || Ok((exchanges()? == expected).then_some(())))?;
        drop(bed);
        until(SOON, "the pods to be forgotten", || Ok((attachments(&daemon)? == before).then_some(())))?;
    }
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?;
    ensure!(ended.status.success(), "{ended:?}");
    ensure!(!ended.stderr.iter().any(|line| line.contains("does not balance")), "{ended:?}");
    ensure!(
        ended.stderr.iter().any(|line| line.contains("CAP_SYS_ADMIN") && line.contains("seccomp in force")),
        "{ended:?}"
    );
    Ok(())
}
