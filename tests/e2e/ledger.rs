//! Where every byte went, by the daemon's own account.

use std::{fs, time::Duration};

use anyhow::{Result, ensure};
use aya::util::online_cpus;
use interceptor_tests::{Case, Daemon, until};
use nix::sys::signal::Signal;

use super::{Bed, NEEDS, curl};

const LARGE: u64 = 32 << 20;
/// Time for a connection's end to be seen and booked.
const SOON: Duration = Duration::from_secs(20);

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("ledger::balances_and_loses_nothing_under_normal_load", NEEDS, normal_load),
        Case::new("ledger::balances_and_books_the_loss_under_overload", NEEDS, overload),
        Case::new("ledger::large_bodies_through_the_default_ring_are_booked_to_the_byte", NEEDS, large_bodies),
    ]
}

/// The daemon, on the server pod's interface.
fn daemon(bed: &Bed, more: &[&str]) -> Result<Daemon> {
    let (netns, interface) = (bed.pods.server.name(), super::INTERFACE);
    let cgroup = bed.pods.cgroup().display().to_string();
    let place = ["--capture-netns", netns, "--capture-interfaces", interface, "--capture-sock-ops", &cgroup];
    Daemon::start(place.iter().chain(more))
}

/// Waits until so many connections are over.
pub(crate) fn wait_for_ended(daemon: &Daemon, flows: u64) -> Result<()> {
    until(SOON, "the end of the connections", || {
        Ok((daemon.metrics()?.sum("interceptor_flows_ended_total") >= flows).then_some(()))
    })
}

fn normal_load() -> Result<()> {
    let bed = Bed::new()?;
    let daemon = daemon(&bed, &[])?;
    let mut received = 0;
    for _ in 0..30 {
        let mut connection = bed.connect()?;
        for path in ["/index.html", "/missing", "/index.html"] {
            received += connection.get(path)?.body.len() as u64;
        }
    }
    wait_for_ended(&daemon, 30)?;
    let metrics = daemon.metrics()?;
    let [carried, captured, parsed, _, lost] = metrics.check_ledger()?;
    ensure!(lost == 0 && carried == captured && captured == parsed, "{metrics:?}");
    ensure!(carried > received, "heads count too: {carried} of {received}");
    ensure!(metrics.get("interceptor_exchanges_total{completeness=\"complete\"}")? == 90, "{metrics:?}");
    ensure!(metrics.sum("interceptor_flows_ended_total") == 30, "{metrics:?}");
    // Every connection exchanged data, so its sockets measured the round trip.
    ensure!(metrics.sum("interceptor_tcp_smoothed_rtt_seconds_count") >= 30, "{metrics:?}");
    Ok(())
}

fn overload() -> Result<()> {
    let bed = Bed::new()?;
    fs::write(bed.nginx.files().join("large"), vec![b'x'; LARGE as usize])?;
    let daemon = daemon(&bed, &["--capture-ring-size", "64KiB"])?;
    curl(&bed.pods.client, &["-o", "/dev/null", &bed.url("/large")])?;
    // A reader that does not read at all, for a while.
    daemon.process().signal(Signal::SIGSTOP)?;
    let stopped = curl(&bed.pods.client, &["-o", "/dev/null", &bed.url("/large")]);
    daemon.process().signal(Signal::SIGCONT)?;
    stopped?;
    curl(&bed.pods.client, &["-o", "/dev/null", &bed.url("/large"), "-o", "/dev/null", &bed.url("/index.html")])?;
    wait_for_ended(&daemon, 3)?;
    let metrics = daemon.metrics()?;
    let [carried, _, _, _, lost] = metrics.check_ledger()?;
    ensure!(carried >= 3 * LARGE, "the kernel counted {carried}");
    ensure!(lost >= LARGE / 2, "with a stopped reader and a small ring most of {LARGE} is lost, not {lost}");
    ensure!(metrics.get("interceptor_lost_bytes_total{reason=\"ring_full\"}")? > 0, "{metrics:?}");
    // One a CPU, each of at least 64 KiB.
    let rings = online_cpus().map_err(|(path, error)| anyhow::anyhow!("{path}: {error}"))?.len();
    let rings = rings.next_power_of_two().min(8) as u64;
    ensure!(metrics.get("interceptor_ring_size_bytes")? == rings << 16, "{rings} rings: {metrics:?}");
    Ok(())
}

/// 64 MiB each way, as fast as the kernel goes. How much is lost depends on the machine; that it is known does not.
fn large_bodies() -> Result<()> {
    const BODY: u64 = 64 << 20;
    let bed = Bed::new()?;
    let file = bed.nginx.files().join("large");
    fs::write(&file, vec![b'x'; BODY as usize])?;
    let daemon = daemon(&bed, &[])?;
    for _ in 0..3 {
        curl(&bed.pods.client, &["-o", "/dev/null", &bed.url("/large")])?;
        curl(&bed.pods.client, &["-T", &file.to_string_lossy(), &bed.url("/upload/large")])?;
    }
    wait_for_ended(&daemon, 6)?;
    let metrics = daemon.metrics()?;
    let [carried, captured, _, _, lost] = metrics.check_ledger()?;
    ensure!(carried > 6 * BODY && captured > 0, "the kernel counted {carried}");
    let full = metrics.get("interceptor_lost_bytes_total{reason=\"ring_full\"}")?;
    // A segment all alone between two long losses may be further ahead than is believed: it is set aside, and counted.
    let aside = metrics.get("interceptor_set_aside_bytes_total{reason=\"out_of_window\"}")?;
    ensure!(
        (full..=full + aside).contains(&lost),
        "{lost} lost, of which {full} because the ring was full, and {aside} set aside: {metrics:?}"
    );
    eprintln!("lost {lost} of {carried} bytes ({} per mille)", lost * 1000 / carried);
    Ok(())
}
