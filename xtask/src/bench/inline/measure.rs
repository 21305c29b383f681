//! One load through one proxy, and what is shown of it.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Table,
    busy::Busy,
    h2load,
    proxies::{Proxy, Started, address},
    servers::{EVENTS, METHOD, PLAIN, UNARY},
};
use crate::bench::{
    Scale,
    child::{Running, cpu_nanos, proportional_kib, resident_kib, resident_part},
    lab::{Interceptor, Lab, Metrics},
    load::Report,
    report::Section,
    wrk,
};

/// Of requests at a constant rate.
const RATE: f64 = 2_000.0;
const STREAMS: u32 = 16;
const OPEN: u32 = 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    Plain,
    Unary,
    Paced,
    Events,
    Open,
}

/// One load through one proxy.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) rate: f64,
    pub(super) p50_micros: f64,
    /// Of the proxy's processes: microseconds a request.
    pub(super) cpu_micros: f64,
    /// Of what was asked, how much our records tell of.
    pub(super) told: f64,
    pub(super) resident_mb: f64,
    pub(super) proportional_mb: f64,
    pub(super) anonymous_mb: f64,
}

impl Load {
    pub(super) const ALL: [Self; 5] = [Self::Plain, Self::Unary, Self::Paced, Self::Events, Self::Open];

    pub(super) fn title(self) -> String {
        match self {
            Self::Plain => "HTTP/1.1, saturation (wrk, 32 connections)".to_owned(),
            Self::Unary => {
                "HTTP/2 without TLS, unary calls, saturation (h2load, 8 connections of 16 streams)".to_owned()
            }
            Self::Paced => format!("HTTP/1.1, {RATE:.0} requests a second on 16 connections"),
            Self::Events => format!("Server-sent events, {STREAMS} streams"),
            Self::Open => format!("Memory with {OPEN} connections, each after one exchange"),
        }
    }

    pub(super) fn extent(self, scale: &Scale) -> String {
        match self {
            Self::Open => format!("{} rounds", scale.rounds),
            _ => format!("{} rounds of {} s", scale.rounds, scale.seconds),
        }
    }

    pub(super) fn concerns(self, proxy: Proxy) -> bool {
        match proxy {
            Proxy::Nothing => self != Self::Open,
            Proxy::HaproxyNoDelay => self == Self::Events,
            _ => true,
        }
    }

    pub(super) fn scale(self, scale: &Scale) -> Scale {
        match self {
            Self::Plain | Self::Unary => *scale,
            // Many short rounds: who is woken on which CPU is another matter in each of them.
            Self::Paced | Self::Events => {
                Scale { rounds: scale.rounds * 3, seconds: scale.seconds.div_ceil(2), ..*scale }
            }
            // Memory does not vary as time does.
            Self::Open => Scale { rounds: scale.rounds.min(3), ..*scale },
        }
    }

    pub(super) fn measure(self, lab: &Lab, proxy: Proxy, mut started: Started<'_>, scale: &Scale) -> Result<Sample> {
        if self == Self::Open {
            return open(lab, proxy, started);
        }
        // Where every CPU has something to do anyway, nothing idles.
        let busy = matches!(self, Self::Paced | Self::Events).then(Busy::start).transpose()?;
        let pids = started.pids();
        let before = cpu_nanos(&pids);
        let report = self.ask(lab, proxy, scale.seconds)?;
        let used = cpu_nanos(&pids).saturating_sub(before) as f64;
        drop(busy);
        started.still_there()?;
        let told = match &started {
            Started::Ours(interceptor) => self.told(proxy, interceptor, &report)?,
            Started::Nothing | Started::Other(_) => 0.0,
        };
        started.stop();
        Ok(Sample {
            rate: report.completed / report.seconds,
            p50_micros: report.p50_nanos / 1e3,
            cpu_micros: used / report.completed / 1e3,
            told,
            ..Sample::default()
        })
    }

    fn ask(self, lab: &Lab, proxy: Proxy, seconds: u64) -> Result<Report> {
        let time = seconds.to_string();
        match self {
            Self::Plain => {
                let mut command = lab.in_client("wrk");
                command.args(["-t1", "-c32", "--latency", &format!("-d{time}s")]);
                wrk::parse(&output(command.arg(format!("http://{}/file", address(proxy, PLAIN))))?)
            }
            Self::Unary => {
                let mut command = lab.in_client("h2load");
                command.args(["-p", "h2c", "-t1", "-c8", "-m16", "-D", &time, "-d"]).arg(lab.file("request"));
                command.args(["-H", "content-type: application/grpc", "-H", "te: trailers"]);
                h2load::parse(&output(command.arg(format!("http://{}{METHOD}", address(proxy, UNARY))))?)
            }
            Self::Paced | Self::Open => {
                let mut command = lab.load_client()?;
                command.args(["load", "--connections", "16", "--address", &address(proxy, PLAIN)]);
                Report::parse(&output(command.args(["--rate", &RATE.to_string(), "--seconds", &time]))?)
            }
            Self::Events => {
                let mut command = lab.load_client()?;
                command.args(["read-events", "--streams", &STREAMS.to_string(), "--seconds", &time]);
                Report::parse(&output(command.args(["--address", &address(proxy, EVENTS)]))?)
            }
        }
    }

    /// The part of the requests that our records tell of. Fails if connections were not steered, or nothing was done.
    fn told(self, proxy: Proxy, interceptor: &Interceptor<'_>, report: &Report) -> Result<f64> {
        let metrics = ended(interceptor)?;
        let steered = metrics.sum("interceptor_steered_connections_total", "outcome=\"steered\"");
        ensure!(steered > 0.0, "no connection was steered to the interceptor");
        if self == Self::Events {
            return Ok(0.0);
        }
        let done = metrics.sum("interceptor_policy_enforced_total", "");
        ensure!(
            (done >= report.completed) == (proxy == Proxy::Policy),
            "{}: of {} requests {done} were changed",
            proxy.name(),
            report.completed
        );
        Ok(metrics.sum("interceptor_exchanges_total", "completeness=\"complete\"") / report.completed)
    }

    pub(super) fn describe(self, section: &mut Section, table: &Table) {
        match self {
            Self::Plain | Self::Unary => throughput(section, table),
            Self::Paced | Self::Events => latency(section, table, self),
            Self::Open => memory(section, table),
        }
    }
}

/// Metrics once nothing is carried any more.
fn ended(interceptor: &Interceptor<'_>) -> Result<Metrics> {
    let began = Instant::now();
    loop {
        let metrics = interceptor.metrics()?;
        if metrics.sum("interceptor_inline_connections", "") < 0.5 {
            return Ok(metrics);
        }
        if began.elapsed() > Duration::from_secs(8) {
            bail!("connections are carried that have ended");
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn open(lab: &Lab, proxy: Proxy, mut started: Started<'_>) -> Result<Sample> {
    let mut command = lab.load_client()?;
    command.args(["hold", "--connections", &OPEN.to_string(), "--address", &address(proxy, PLAIN)]);
    let mut client = Running::start("client", command.stdout(Stdio::piped()))?;
    let mut line = String::new();
    BufReader::new(client.child().stdout.take().context("the client has no output")?).read_line(&mut line)?;
    if line.trim() != OPEN.to_string() {
        // It ends after saying why.
        thread::sleep(Duration::from_millis(200));
        client.still_there()?;
        bail!("{}: the client holds '{}' connections", proxy.name(), line.trim());
    }
    // What an exchange needed is given back by now, or never.
    thread::sleep(Duration::from_millis(500));
    started.still_there()?;
    let sum = |of: fn(u32) -> Result<u64>| -> Result<f64> {
        let all = started.pids().into_iter().map(of).collect::<Result<Vec<_>>>()?;
        Ok(all.iter().sum::<u64>() as f64 * 1024.0 / 1e6)
    };
    let resident_mb = sum(resident_kib)?;
    let proportional_mb = sum(proportional_kib)?;
    let anonymous_mb = sum(|pid| resident_part(pid, "RssAnon"))?;
    client.stop();
    started.stop();
    Ok(Sample { resident_mb, proportional_mb, anonymous_mb, ..Sample::default() })
}

fn throughput(section: &mut Section, table: &Table) {
    let rows = table.rows(|index, proxy| {
        let cpu = table.of(index, |sample| sample.cpu_micros);
        let told = table.of(index, |sample| sample.told);
        [
            proxy.name().to_owned(),
            format!("{:.0}", table.of(index, |sample| sample.rate)),
            format!("{:.3}", table.against_direct(index, |with, without| with.rate / without.rate)),
            if proxy == Proxy::Nothing { String::new() } else { format!("{cpu:.1}") },
            if proxy.is_ours() { format!("{:.2} %", 100.0 * told) } else { String::new() },
        ]
    });
    section.table(["through", "requests/s", "ratio to direct", "CPU µs a request", "exchanges told"], &rows);
}

fn latency(section: &mut Section, table: &Table, load: Load) {
    let what = if load == Load::Events { "from sending to arrival" } else { "from request to answer" };
    section.paragraph(&format!(
        "Median {what}. A loop of the lowest priority (SCHED_IDLE) on each CPU keeps it from sleeping: how long it takes to \
         wake up would be most of what is measured."
    ));
    let rows = table.rows(|index, proxy| {
        [
            proxy.name().to_owned(),
            format!("{:.0}", table.of(index, |sample| sample.rate)),
            format!("{:.1}", table.of(index, |sample| sample.p50_micros)),
            format!("{:+.1}", table.against_direct(index, |with, without| with.p50_micros - without.p50_micros)),
        ]
    });
    section.table(["through", "a second", "p50, µs", "added p50, µs"], &rows);
}

fn memory(section: &mut Section, table: &Table) {
    section.paragraph(
        "All processes of each, added up. nginx's two share pages, which RSS counts twice and PSS once. All but *relay* share \
         connections to the server among clients; there each client has one of its own.",
    );
    let rows = table.rows(|index, proxy| {
        [
            proxy.name().to_owned(),
            format!("{:.1}", table.of(index, |sample| sample.resident_mb)),
            format!("{:.1}", table.of(index, |sample| sample.proportional_mb)),
            format!("{:.1}", table.of(index, |sample| sample.anonymous_mb)),
        ]
    });
    section.table(["through", "RSS, MB", "PSS, MB", "its own (anonymous)"], &rows);
}
