//! `interceptor run` on a node whose pods come and go.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use interceptor::demo::pod::{Pair, Pod};
use interceptor_tests::{Case, Daemon, Nginx, PODS, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{INTERFACE, NEEDS, curl};

const SOON: Duration = Duration::from_secs(20);
/// Pods of other tests are pods of this node, too: theirs are at another port.
const PORT: u16 = 8089;

pub(crate) fn cases() -> Vec<Case> {
    vec![Case::new("node::pods_are_captured_as_they_come_and_go", NEEDS, pods_come_and_go)]
}

/// Where programs are attached, by the daemon's own account.
fn attachments(daemon: &Daemon) -> Result<Vec<String>> {
    let status: Value = serde_json::from_slice(&daemon.get("/status")?.body)?;
    let places = status["workers"][0]["attachments"].as_array().context("no attachments")?;
    Ok(places.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// What of the pods is not captured.
fn missing(daemon: &Daemon, pods: &Pair) -> Result<Vec<String>> {
    let attached = attachments(daemon)?;
    let place = |pod: &Pod, interface| format!("{interface} in {}", pod.namespace().path().display());
    let places = [&pods.server, &pods.client].into_iter().flat_map(|pod| ["lo", INTERFACE].map(|at| place(pod, at)));
    Ok(places.filter(|place| !attached.iter().any(|found| found.ends_with(place))).collect())
}

fn pods_come_and_go() -> Result<()> {
    let daemon = Daemon::start(["--capture-pods", "all", "--capture-ports", &PORT.to_string()])?;
    let exchanges = || -> Result<u64> { Ok(daemon.metrics()?.sum("interceptor_exchanges_total")) };
    let mut expected = 0;
    for _ in 0..3 {
        let pods = Pair::create(PODS)?;
        let nginx = Nginx::start_at(&pods.server, PORT)?;
        until(SOON, "the pods' interfaces", || Ok(missing(&daemon, &pods)?.is_empty().then_some(())))?;
        let at = format!("http://{}:{PORT}/index.html", pods.server.ipv4);
        curl(&pods.server, &[&at])?.success()?;
        // Its own address, seen from inside, is on `lo`; so is this.
        curl(&pods.server, &[&format!("http://127.0.0.1:{PORT}/index.html")])?.success()?;
        // Neither end of this pair is in the node's own namespace: it is seen by each.
        curl(&pods.client, &[&at])?.success()?;
        expected += 4;
        until(SOON, "the exchanges", || Ok((exchanges()? == expected).then_some(())))?;
        let names = [&pods.server, &pods.client].map(|pod| pod.name().to_owned());
        drop(nginx);
        drop(pods);
        until(SOON, "the pods to be forgotten", || {
            let places = attachments(&daemon)?;
            Ok((!places.iter().any(|place| names.iter().any(|name| place.ends_with(name)))).then_some(()))
        })?;
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
