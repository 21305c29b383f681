//! The inline path as a pod's sidecar: connections are steered by policy, carried, told of once, and never stand still.

use std::{
    fs, io,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use interceptor::demo::pod::Pod;
use interceptor_tests::{Case, Connection, Daemon, Nginx, until};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

use super::{Bed, NEEDS, curl};

pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Of the load.
const CLIENTS: usize = 2;
/// After which it counts as gone.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(500);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("inline::what_a_policy_steers_is_carried_and_told_once", NEEDS, carried),
        Case::new("inline::what_comes_in_is_carried_and_told_once", NEEDS, || comes_in("auto")),
        Case::new("inline::what_comes_in_by_tc_is_carried_and_told_once", NEEDS, || comes_in("tc")),
        Case::new("inline::nothing_fails_while_policies_change_and_it_stops_and_comes_back", NEEDS, changes),
        Case::new("inline::what_fails_closed_is_refused_while_it_is_stopped", NEEDS, closed),
        Case::new("inline::without_it_nothing_is_steered_which_is_said", NEEDS, disabled),
    ]
}

/// nginx in one pod; in the other one a sidecar, with a policy.
pub(crate) struct Sidecar {
    pub(crate) bed: Bed,
    files: TempDir,
}

impl Sidecar {
    pub(crate) fn new(steer: &str) -> Result<Self> {
        Self::with_rules(steer, "")
    }

    /// `rules`: a policy's, each a list's entry in two columns.
    pub(crate) fn with_rules(steer: &str, rules: &str) -> Result<Self> {
        let sidecar = Self { bed: Bed::new()?, files: TempDir::new()? };
        let rules = if rules.is_empty() { String::new() } else { format!("\n  rules:\n{rules}") };
        sidecar.policy(&format!("{steer}{rules}"))?;
        Ok(sidecar)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    fn policy(&self, steer: &str) -> Result<()> {
        let head = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: p}";
        fs::write(self.path("new"), format!("{head}\nspec:\n  steer: {steer}\n"))?;
        Ok(fs::rename(self.path("new"), self.path("policy.yaml"))?)
    }

    pub(crate) fn start(&self) -> Result<Daemon> {
        self.start_with(&["--inline-enabled", "true"])
    }

    pub(crate) fn start_with(&self, more: &[&str]) -> Result<Daemon> {
        self.start_in(&self.bed.pods.client, more)
    }

    fn start_in(&self, pod: &Pod, more: &[&str]) -> Result<Daemon> {
        let paths = [self.path("policy.yaml"), self.path("lines.json")].map(|path| path.display().to_string());
        let [policy, lines] = &paths;
        let timeout = format!("{}ms", TIMEOUT.as_millis());
        let arguments = [["--inline-timeout", &timeout], ["--inspect-policies", policy], ["--lines-to", lines]];
        Daemon::start_in(pod, arguments.concat().iter().chain(more))
    }

    /// Lines about this path.
    pub(crate) fn lines(&self, path: &str) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.path("lines.json"))?;
        let lines = text.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
        Ok(lines.into_iter().filter(|line| line["url.path"] == path).collect())
    }
}

pub(crate) fn steered(daemon: &Daemon, outcome: &str) -> Result<u64> {
    let labels = format!("direction=\"outbound\",outcome=\"{outcome}\",rule=\"p/web\"");
    daemon.metrics()?.get(&format!("interceptor_steered_connections_total{{{labels}}}"))
}

pub(crate) fn web(more: &str) -> String {
    format!("[{{name: web, ports: [{}]{more}}}]", Nginx::PORT)
}

fn carried() -> Result<()> {
    let sidecar = Sidecar::new(&web(""))?;
    let other = Nginx::start_at(&sidecar.bed.pods.server, Nginx::PORT + 1)?;
    let daemon = sidecar.start()?;
    let server = &sidecar.bed.pods.server;
    let hosts = [format!("{}", server.ipv4), format!("[{}]", server.ipv6)];
    for host in &hosts {
        let at = |port: u16, path: &str| format!("http://{host}:{port}{path}");
        let steered = at(Nginx::PORT, "/index.html?steered");
        // Twice on one connection.
        let answer = curl(&sidecar.bed.pods.client, &[&steered, &steered])?;
        ensure!(answer.stdout.concat() == Nginx::INDEX.trim_end().repeat(2), "{answer:?}");
        curl(&sidecar.bed.pods.client, &[&at(Nginx::PORT + 1, "/")])?;
    }
    let told = || sidecar.lines("/index.html");
    until(SOON, "four exchanges", || Ok((told()?.len() >= 4 && sidecar.lines("/")?.len() >= 2).then_some(())))?;
    let all = told()?;
    let is_right = |line: &Value| line["process.command"] == "curl" && line["server.port"] == Nginx::PORT;
    ensure!(all.iter().all(is_right) && all.len() == 4, "{all:?}");
    ensure!(sidecar.lines("/")?.len() == 2);
    ensure!(steered(&daemon, "steered")? == 2, "{:?}", daemon.metrics()?);
    until(SOON, "the end of all flows", || {
        let open = daemon.metrics()?.get("interceptor_inline_connections")?;
        Ok((open == 0).then_some(()))
    })?;
    let [carried, .., lost] = daemon.metrics()?.check_ledger()?;
    ensure!(carried > 0 && lost == 0, "{lost} of {carried}");
    drop(other);
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?;
    ensure!(ended.status.success(), "{ended:?}");
    Ok(())
}

/// The sidecar is the server's. Who asks from inside the pod asks the application itself, and is captured as ever.
fn comes_in(hook: &str) -> Result<()> {
    let sidecar = Sidecar::new(&web(", direction: inbound"))?;
    let pods = &sidecar.bed.pods;
    let daemon = sidecar.start_in(&pods.server, &["--inline-enabled", "true", "--inline-inbound", hook])?;
    let hosts = [format!("{}", pods.server.ipv4), format!("[{}]", pods.server.ipv6)];
    for host in &hosts {
        let url = format!("http://{host}:{}/index.html?outside", Nginx::PORT);
        let answer = curl(&pods.client, &[&url, &url])?;
        ensure!(answer.stdout.concat() == Nginx::INDEX.trim_end().repeat(2), "{answer:?}");
    }
    curl(&pods.server, &[&format!("http://127.0.0.1:{}/", Nginx::PORT)])?;
    until(SOON, "five exchanges", || {
        Ok((sidecar.lines("/index.html")?.len() >= 4 && !sidecar.lines("/")?.is_empty()).then_some(()))
    })?;
    let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?;
    ensure!(ended.status.success(), "{ended:?}");
    let all = sidecar.lines("/index.html")?;
    let clients = [pods.client.ipv4.to_string(), pods.client.ipv6.to_string()];
    for line in &all {
        let address = line["client.address"].as_str().unwrap_or_default().to_owned();
        ensure!(clients.contains(&address) && line["server.port"] == Nginx::PORT, "{line}");
        ensure!(line["complete"] == true, "{line}");
    }
    ensure!(all.len() == 4 && sidecar.lines("/")?.len() == 1, "told more than once: {all:?}");
    Ok(())
}

/// Connections that are made all the while, each with one request. Counts answers and failures.
pub(crate) struct Load {
    answered: AtomicU64,
    failed: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    pub(crate) fn run(bed: &Bed, meanwhile: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let load = Self { answered: AtomicU64::new(0), failed: AtomicU64::new(0), stop: AtomicBool::new(false) };
        let server = (bed.pods.server.ipv4, Nginx::PORT);
        let client = || -> io::Result<()> {
            while !load.stop.load(Relaxed) {
                let answer = Connection::open(server).and_then(|mut connection| connection.get("/index.html"));
                let is_right =
                    answer.is_ok_and(|answer| answer.status == 200 && answer.body == Nginx::INDEX.as_bytes());
                if is_right { &load.answered } else { &load.failed }.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        thread::scope(|scope| {
            let clients = [(); CLIENTS].map(|()| scope.spawn(|| bed.pods.client.namespace().enter(client)));
            let done = meanwhile(&load);
            load.stop.store(true, Relaxed);
            for client in clients {
                client.join().map_err(|_| anyhow!("a client panicked"))??;
            }
            done
        })
    }

    pub(crate) fn more(&self, count: u64) -> Result<()> {
        let goal = self.answered.load(Relaxed) + count;
        until(SOON, "requests to be answered", || Ok((self.answered.load(Relaxed) >= goal).then_some(())))
    }

    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }
}

fn changes() -> Result<()> {
    let sidecar = Sidecar::new(&web(""))?;
    Load::run(&sidecar.bed, |load| {
        load.more(50)?;
        let daemon = sidecar.start()?;
        until(SOON, "steered connections", || Ok((steered(&daemon, "steered")? > 50).then_some(())))?;
        // Nothing of it, and all of it again.
        sidecar.policy("[{name: web, ports: [1]}]")?;
        until(SOON, "another policy", || {
            let before = steered(&daemon, "steered")?;
            load.more(20)?;
            Ok((steered(&daemon, "steered")? == before).then_some(()))
        })?;
        sidecar.policy(&web(", networks: [10.0.0.0/8]"))?;
        let before = steered(&daemon, "steered")?;
        until(SOON, "steered connections again", || Ok((steered(&daemon, "steered")? > before + 20).then_some(())))?;
        ensure!(load.failed() == 0, "{} failed while policies changed", load.failed());
        // It does not answer. Connections that it has wait for it; after the time-out, new ones go straight.
        daemon.process().signal(Signal::SIGSTOP)?;
        thread::sleep(2 * TIMEOUT);
        let begin = Instant::now();
        let straight = sidecar.bed.connect()?.get("/index.html")?;
        ensure!(straight.status == 200 && begin.elapsed() < TIMEOUT, "{:?}", begin.elapsed());
        daemon.process().signal(Signal::SIGCONT)?;
        let before = steered(&daemon, "steered")?;
        until(SOON, "steered connections after it", || Ok((steered(&daemon, "steered")? > before + 20).then_some(())))?;
        ensure!(load.failed() == 0, "{} failed while it was stopped", load.failed());
        // In order: what is open is carried to its end.
        let ended = daemon.into_process().stop(Signal::SIGTERM, SOON)?;
        ensure!(ended.status.success(), "{ended:?}");
        load.more(50)?;
        ensure!(load.failed() == 0, "{} failed when it ended", load.failed());
        // At once: of each client a connection that it carried is cut, and one more at the most that came while the kernel closed
        // what the process had open, one file after the other.
        let daemon = sidecar.start()?;
        until(SOON, "steered connections", || Ok((steered(&daemon, "steered")? > 20).then_some(())))?;
        daemon.into_process().stop(Signal::SIGKILL, SOON)?;
        load.more(50)?;
        ensure!(load.failed() <= 2 * CLIENTS as u64, "{} failed when it was killed", load.failed());
        let failed = load.failed();
        let daemon = sidecar.start()?;
        until(SOON, "steered connections", || Ok((steered(&daemon, "steered")? > 20).then_some(())))?;
        ensure!(load.failed() == failed, "{} failed when it came back", load.failed() - failed);
        Ok(())
    })
}

fn closed() -> Result<()> {
    let sidecar = Sidecar::new(&web(", onFailure: closed"))?;
    let daemon = sidecar.start()?;
    ensure!(sidecar.bed.connect()?.get("/index.html")?.status == 200);
    daemon.process().signal(Signal::SIGSTOP)?;
    thread::sleep(2 * TIMEOUT);
    let refused = sidecar.bed.connect().err().context("it was not refused")?;
    ensure!(format!("{refused:#}").contains("not permitted"), "{refused:#}");
    daemon.process().signal(Signal::SIGCONT)?;
    until(SOON, "connections", || Ok(sidecar.bed.connect().is_ok().then_some(())))?;
    ensure!(steered(&daemon, "stale")? > 0);
    Ok(())
}

fn disabled() -> Result<()> {
    let sidecar = Sidecar::new(&web(""))?;
    let daemon = sidecar.start_with(&[])?;
    ensure!(sidecar.bed.connect()?.get("/index.html")?.status == 200);
    ensure!(daemon.metrics()?.get("interceptor_inline_accepted_total").is_err());
    daemon.process().wait_stderr(SOON, "`inline.enabled` is false: nothing is steered")?;
    Ok(())
}
