//! Resident memory of the daemon with many open connections.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    child::{Running, resident_kib},
    lab::{Interceptor, Lab, Wire},
    median,
    report::Section,
};

/// Connections that one client process holds: files are limited for each process.
const PER_CLIENT: usize = 5_000;

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    let lab = Lab::new(Wire::Loopback, 4)?;
    let counts = [&[0], scale.flows.as_slice()].concat();
    // Memory does not vary as time does.
    let rounds = scale.rounds.min(3);
    let mut rows = Vec::new();
    for count in counts {
        let mut resident = Vec::new();
        for _ in 0..rounds {
            eprintln!("==> {count} open connections");
            resident.push(measure(&lab, binary, count)? as f64 / 1024.0);
        }
        rows.push([count.to_string(), format!("{:.1}", median(resident))]);
    }
    let mut section = Section::new("memory", "Memory");
    section.paragraph(&format!(
        "Resident memory of the daemon while keep-alive connections are open, each after one exchange; median of {rounds}."
    ));
    section.table(["open connections", "RSS, MiB"], &rows);
    Ok(section)
}

fn measure(lab: &Lab, binary: &Path, count: usize) -> Result<u64> {
    let interceptor = lab.interceptor(binary, &[])?;
    if count == 0 {
        return resident_kib(interceptor.running.pid());
    }
    let mut clients = Vec::new();
    let mut left = count;
    while left > 0 {
        let connections = left.min(PER_CLIENT);
        clients.push(hold(lab, connections)?);
        left -= connections;
    }
    wait_for_flows(&interceptor, count)?;
    let resident = resident_kib(interceptor.running.pid())?;
    clients.into_iter().for_each(Running::stop);
    Ok(resident)
}

/// Starts a client and waits until its connections are open.
fn hold(lab: &Lab, connections: usize) -> Result<Running> {
    let mut command = lab.load_client()?;
    command.args(["hold", "--connections", &connections.to_string(), "--address", lab.address()]);
    let mut client = Running::start("client", command.stdout(Stdio::piped()))?;
    let stdout = client.child().stdout.take().context("the client has no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim() != connections.to_string() {
        // It ends after saying why.
        thread::sleep(Duration::from_millis(200));
        client.still_there()?;
        bail!("the client holds '{}' connections, not {connections}", line.trim());
    }
    Ok(client)
}

fn wait_for_flows(interceptor: &Interceptor<'_>, count: usize) -> Result<()> {
    let started = Instant::now();
    loop {
        let seen = interceptor.metrics()?.sum("interceptor_flows_open", "");
        if seen >= count as f64 {
            // What an exchange needed is given back by now, or never.
            thread::sleep(Duration::from_millis(500));
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(10) {
            let metrics = interceptor.metrics()?;
            bail!(
                "the daemon follows {seen} of {count} open connections; opened {}, ended {}, packets dropped in the kernel {}",
                metrics.sum("interceptor_flows_opened_total", ""),
                metrics.sum("interceptor_flows_ended_total", ""),
                metrics.sum("interceptor_kernel_dropped_packets_total", "ring_full"),
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}
