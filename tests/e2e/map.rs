//! Who calls whom, seen at both ends, asked for in every way.

use std::{collections::BTreeSet, fs, time::Duration};

use anyhow::{Context as _, Result, ensure};
use interceptor::{demo::pod::INTERFACE, sink::map::Chart};
use interceptor_tests::{Case, Daemon, Ended, Nginx, Process, interceptor, until};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Bed, NEEDS, curl};

const SOON: Duration = Duration::from_secs(30);
const REQUESTS: u64 = 20;

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("map::both_ends_of_an_edge_are_one_with_every_request_once", NEEDS, both_ends),
        Case::new("map::captures_by_itself_for_a_time", NEEDS, by_itself),
    ]
}

/// From one process in the client pod, on one connection.
fn ask(bed: &Bed) -> Result<()> {
    let url = bed.url("/index.html");
    let urls: Vec<&str> = (0..REQUESTS).map(|_| url.as_str()).collect();
    curl(&bed.pods.client, &urls).map(drop)
}

fn map(arguments: &[&str]) -> Result<Ended> {
    Process::start(interceptor()?.arg("map").args(arguments))?.end(SOON)?.success()
}

/// The one edge that there is, with every request.
fn check(chart: &Chart, bed: &Bed) -> Result<()> {
    let [edge] = &chart.edges[..] else { anyhow::bail!("{chart:#?}") };
    ensure!((edge.exchanges, edge.errors, edge.connections) == (REQUESTS, 0, 0), "{edge:#?}");
    ensure!((edge.protocol.as_str(), edge.port) == ("http", Some(Nginx::PORT)), "{edge:#?}");
    ensure!(edge.client.kind == "process" && edge.client.name.starts_with("curl["), "{edge:#?}");
    ensure!((edge.client_bytes, edge.server_bytes) == (0, REQUESTS * Nginx::INDEX.len() as u64), "{edge:#?}");
    ensure!(edge.p50 > Some(0.0) && edge.p50 <= edge.p99, "{edge:#?}");
    let server = bed.pods.server.ipv4.to_string();
    ensure!(edge.server.name == server || edge.server.kind == "process", "{edge:#?}");
    Ok(())
}

fn both_ends() -> Result<()> {
    let bed = Bed::new()?;
    let files = tempfile::tempdir()?;
    let lines = files.path().join("lines.jsonl");
    let (client, server) = (bed.pods.client.name(), bed.pods.server.name());
    let cgroup = bed.pods.cgroup().display().to_string();
    let place =
        ["--capture-netns", client, "--capture-netns", server, "--capture-interfaces", INTERFACE, "--capture-sock-ops"];
    let to = lines.display().to_string();
    let more = [cgroup.as_str(), "--lines-to", &to, "--map-records", "true", "--map-interval", "1s"];
    let daemon = Daemon::start(place.into_iter().chain(more))?;
    ask(&bed)?;
    // Each of both ends sees them all.
    until(SOON, "all exchanges, twice", || {
        Ok((daemon.metrics()?.sum("interceptor_exchanges_total") == 2 * REQUESTS).then_some(()))
    })?;
    let chart: Chart = serde_json::from_slice(&daemon.get("/map")?.body)?;
    check(&chart, &bed)?;
    let metrics = daemon.metrics()?;
    for (name, expected) in
        [("request_total", REQUESTS), ("request_failed_total", 0), ("request_client_seconds_count", REQUESTS)]
    {
        let found = metrics.sum(&format!("traces_service_graph_{name}"));
        ensure!(found == expected, "{name} is {found}");
    }
    let address = format!("http://{}", daemon.address());
    let drawn: Chart = serde_json::from_str(&map(&["--address", &address, "--format", "json"])?.stdout.join("\n"))?;
    ensure!(drawn == chart, "{drawn:#?}");
    let table = map(&["--address", &address])?.stdout;
    ensure!(
        table.len() == 4 && table[0].starts_with("CLIENT") && table[1].contains(&chart.edges[0].client.name),
        "{table:#?}"
    );
    ensure!(map(&["--address", &address, "--format", "dot"])?.stdout.join("\n").contains("n0 -> n1"));
    ensure!(map(&["--address", &address, "--format", "mermaid"])?.stdout.join("\n").contains("n0 -->|"));
    daemon.into_process().stop(Signal::SIGTERM, SOON)?.success()?;

    let text = fs::read_to_string(&lines).context("no lines")?;
    let records = text.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>()?;
    let edges: Vec<&Value> = records.iter().filter(|line| line.get("interceptor.edge.client.name").is_some()).collect();
    let told: u64 = edges.iter().filter_map(|edge| edge["interceptor.edge.exchanges"].as_u64()).sum();
    ensure!(told == REQUESTS, "{edges:#?}");
    let ends: BTreeSet<_> = edges.iter().map(|edge| edge["interceptor.edge.client.name"].as_str()).collect();
    ensure!(ends == BTreeSet::from([Some(chart.edges[0].client.name.as_str())]), "{edges:#?}");
    Ok(())
}

fn by_itself() -> Result<()> {
    let bed = Bed::new()?;
    let mut command = interceptor()?;
    command.args(["map", "--for", "10s", "--format", "json", "--netns", bed.pods.client.name(), "--iface", INTERFACE]);
    let capture = Process::start(&mut command)?;
    capture.wait_stderr(SOON, "watching")?;
    ask(&bed)?;
    let chart: Chart = serde_json::from_str(&capture.end(SOON)?.success()?.stdout.join("\n"))?;
    check(&chart, &bed)
}
