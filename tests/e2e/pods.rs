//! The pods themselves: without them, nothing else here means anything.

use std::time::Duration;

use super::NEEDS;
use anyhow::{Result, ensure};
use interceptor::demo::pod::{Pair, remove_leftovers};
use interceptor_tests::{Case, Connection, Need, Nginx, PODS, Process};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("pods::reach_each_other_and_nothing_stays", NEEDS, reach_each_other_and_nothing_stays),
        Case::new("pods::those_of_the_living_are_no_leftovers", &[Need::Root], those_of_the_living_are_no_leftovers),
        Case::new("pods::what_runs_inside_dies_with_them", &[Need::Root], what_runs_inside_dies_with_them),
    ]
}

fn reach_each_other_and_nothing_stays() -> Result<()> {
    let pods = Pair::create(PODS)?;
    let nginx = Nginx::start(&pods.server)?;
    for address in [format!("{}", pods.server.ipv4), format!("[{}]", pods.server.ipv6)] {
        let mut curl = pods.client.command("curl")?;
        curl.args(["-sS", "-g", &format!("http://{address}:{}/index.html", Nginx::PORT)]);
        let answer = Process::start(&mut curl)?.end(Duration::from_secs(10))?.success()?;
        ensure!(answer.stdout == [Nginx::INDEX.trim_end()], "{answer:?}");
    }
    // On `lo` too; and the server's cgroup has the server.
    let address = ([127, 0, 0, 1], Nginx::PORT);
    let answer =
        pods.server.namespace().enter(|| Ok(Connection::open(address).and_then(|mut lo| lo.get("/index.html"))))??;
    ensure!(answer.status == 200 && answer.body == Nginx::INDEX.as_bytes());
    let inside = std::fs::read_to_string(pods.server.cgroup().join("cgroup.procs"))?;
    ensure!(inside.lines().count() == 2, "nginx and its worker: {inside}");

    let places = [pods.server.namespace().path(), pods.client.namespace().path(), pods.server.cgroup(), pods.cgroup()];
    let places = places.map(std::path::Path::to_owned);
    ensure!(places.iter().all(|path| path.exists()));
    drop(nginx);
    drop(pods);
    ensure!(!places.iter().any(|path| path.exists()), "still there: {places:?}");
    Ok(())
}

fn those_of_the_living_are_no_leftovers() -> Result<()> {
    let pods = Pair::create(PODS)?;
    remove_leftovers(PODS)?;
    ensure!(pods.server.namespace().path().exists() && pods.server.cgroup().exists());
    Ok(())
}

fn what_runs_inside_dies_with_them() -> Result<()> {
    let pods = Pair::create(PODS)?;
    let sleep = Process::start(pods.client.command("sleep")?.arg("600"))?;
    drop(pods);
    let ended = sleep.end(Duration::from_secs(5))?;
    ensure!(!ended.status.success(), "{ended:?}");
    Ok(())
}
