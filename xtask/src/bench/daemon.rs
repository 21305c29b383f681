//! The whole daemon at a steady load: its CPU, its programs' share in the kernel, its memory.

use std::{
    io::Read as _,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    Scale,
    child::{ProgramStats, Running, cpu_nanos, maps_kib, program_nanos, resident_kib, resident_part},
    lab::{Lab, Wire},
    load, median,
    report::Section,
};

const RATE: f64 = 1_000.0;
/// Bytes of each request's content; each answer's is as long.
const CONTENT: &str = "1024";
/// Before it is looked at: connections, label sets and queues are there then.
const WARM_UP: Duration = Duration::from_secs(3);
/// Prometheus' usual interval: each look is one long, with one scrape in it.
const SCRAPE: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sinks {
    Metrics,
    Traces,
    Lines,
}

const SINKS: [Sinks; 3] = [Sinks::Metrics, Sinks::Traces, Sinks::Lines];

impl Sinks {
    const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "metrics, traces (OTLP)",
            Self::Lines => "metrics, lines to a file",
        }
    }

    fn arguments(self, lab: &Lab, collector: &str) -> Vec<String> {
        match self {
            Self::Metrics => Vec::new(),
            Self::Traces => {
                let endpoint = format!("http://{collector}");
                ["--otlp-endpoint", &endpoint, "--otlp-protocol", "http/protobuf", "--otlp-signals", "traces"]
                    .map(str::to_owned)
                    .into()
            }
            Self::Lines => ["--lines-to", &lab.file("lines.jsonl").display().to_string(), "--lines-files", "2"]
                .map(str::to_owned)
                .into(),
        }
    }

    /// What it is called in the metrics of sinks.
    const fn delivers(self) -> Option<&'static str> {
        match self {
            Self::Metrics => None,
            Self::Traces => Some("sink=\"traces\""),
            Self::Lines => Some("sink=\"lines\""),
        }
    }
}

/// What was seen in one look.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// Cores that the process took.
    process: f64,
    /// Cores that its kernel programs took, whoever ran them.
    programs: f64,
    resident_mib: f64,
    anonymous_mib: f64,
    rings_mib: f64,
    exchanges: f64,
    lost: f64,
}

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    // A namespace for each end, as pods have: what the daemon sends is not what it captures.
    let lab = Lab::new(Wire::Veth, 1)?;
    let (mut receiver, collector) = lab.receiver(&[])?;
    let mut rounds = vec![];
    for round in 0..scale.rounds {
        let mut samples = [Sample::default(); SINKS.len()];
        for step in 0..SINKS.len() {
            // Each is first in turn: whatever drifts hits all of them.
            let sinks = SINKS[(step + round) % SINKS.len()];
            receiver.still_there()?;
            let sample = measure(&lab, binary, sinks, &collector)?;
            eprintln!("    round {} {:<26} {sample:.3?}", round + 1, sinks.name());
            samples[sinks as usize] = sample;
        }
        rounds.push(samples);
    }
    receiver.stop();
    Ok(describe(&rounds))
}

fn measure(lab: &Lab, binary: &Path, sinks: Sinks, collector: &str) -> Result<Sample> {
    let arguments = sinks.arguments(lab, collector);
    let mut interceptor = lab.interceptor(binary, &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
    let pid = interceptor.running.pid();
    let load = start_load(lab)?;
    thread::sleep(WARM_UP);
    let counted = ProgramStats::on()?;
    let began = Instant::now();
    let before = (cpu_nanos(&[pid]), program_nanos(pid)?);
    thread::sleep(SCRAPE / 2);
    interceptor.metrics()?;
    thread::sleep(SCRAPE / 2);
    let after = (cpu_nanos(&[pid]), program_nanos(pid)?);
    let nanos = began.elapsed().as_nanos() as f64;
    drop(counted);
    let mib = |kib: u64| kib as f64 / 1024.0;
    let mut sample = Sample {
        process: (after.0 - before.0) as f64 / nanos,
        programs: (after.1 - before.1) as f64 / nanos,
        resident_mib: mib(resident_kib(pid)?),
        anonymous_mib: mib(resident_part(pid, "RssAnon")?),
        rings_mib: mib(maps_kib(pid)?),
        ..Sample::default()
    };
    let report = load.wait()?;
    interceptor.running.still_there()?;
    let metrics = interceptor.settled()?;
    let seen = metrics.sum("interceptor_exchanges_total", "completeness=\"complete\"");
    sample.exchanges = seen / report.completed;
    sample.lost = metrics.sum("interceptor_lost_bytes_total", "");
    let rate = report.completed / report.seconds;
    ensure!(rate > 0.95 * RATE, "the load came to {rate:.0} requests a second only: the machine is too busy");
    if let Some(sink) = sinks.delivers() {
        let (delivered, dropped) = (
            metrics.sum("interceptor_sink_delivered_records_total", sink),
            metrics.sum("interceptor_sink_dropped_records_total", sink),
        );
        if delivered < 0.9 * seen || dropped > 0.0 {
            bail!("{sink}: of {seen} exchanges {delivered} were delivered, {dropped} dropped");
        }
    }
    interceptor.running.stop();
    Ok(sample)
}

/// A client that is asking, and ends with its owner.
struct Asking(Running);

fn start_load(lab: &Lab) -> Result<Asking> {
    let mut command = lab.load_client()?;
    command.args(["load", "--connections", "16", "--content", CONTENT, "--address", lab.address()]);
    let seconds = (WARM_UP + SCRAPE).as_secs() + 1;
    command.args(["--rate", &RATE.to_string(), "--seconds", &seconds.to_string()]);
    Ok(Asking(Running::start("load client", command.stdout(Stdio::piped()))?))
}

impl Asking {
    fn wait(mut self) -> Result<load::Report> {
        let mut told = String::new();
        self.0.child().stdout.take().context("the load client has no output")?.read_to_string(&mut told)?;
        if !self.0.child().wait()?.success() {
            self.0.still_there()?;
        }
        load::Report::parse(&told)
    }
}

fn describe(rounds: &[[Sample; SINKS.len()]]) -> Section {
    let mut section = Section::new("daemon", "The whole daemon");
    section.paragraph(&format!(
        "{RATE:.0} requests a second with {CONTENT} bytes of content, and as many in each answer, HTTP/1.1 on 16 connections between \
         two namespaces joined by veth; metrics scraped once in {} s, every exchange a span, sent with OTLP over HTTP to a receiver \
         that looks at nothing and is not counted. CPU of the process is the scheduler's count of all its threads; its \
         kernel programs' is the kernel's count of their run time (the counting itself included). Median of {} \
         alternating rounds of {} s.",
        SCRAPE.as_secs(),
        rounds.len(),
        SCRAPE.as_secs(),
    ));
    section.paragraph(
        "The target is 0.05 of a core and 25 MB. Beside it: a usual sidecar proxy takes 0.20 vCPU and 60 MB for such a load, as \
         [published](https://istio.io/latest/docs/ops/deployment/performance-and-scalability/) (it also encrypts and routes).",
    );
    let row = |sinks: Sinks| {
        let samples = || rounds.iter().map(|round| round[sinks as usize]);
        let of = |value: fn(&Sample) -> f64| median(samples().map(|sample| value(&sample)));
        [
            sinks.name().to_owned(),
            format!("{:.4}", of(|s| s.process)),
            format!("{:.4}", of(|s| s.programs)),
            format!("{:.4}", of(|s| s.process + s.programs)),
            format!("{:.1}", of(|s| s.resident_mib)),
            format!("{:.1}", of(|s| s.anonymous_mib)),
            format!("{:.1}", of(|s| s.rings_mib)),
            format!("{:.1}", of(|s| s.resident_mib - s.anonymous_mib - s.rings_mib)),
            format!("{:.2} %", 100.0 * of(|s| s.exchanges)),
            format!("{:.0}", samples().map(|s| s.lost).sum::<f64>()),
        ]
    };
    section.table(
        [
            "sinks",
            "process, cores",
            "programs, cores",
            "together",
            "RSS, MiB",
            "its own (anonymous)",
            "rings",
            "program text, shared",
            "exchanges seen",
            "bytes lost",
        ],
        &SINKS.map(row),
    );
    section
}
