//! Attached to live traffic: what it costs the traffic, and whether anything is lost.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    child::{ProgramStats, Running, cpu_nanos, machine_nanos, program_nanos},
    lab::{Interceptor, Lab, Metrics, Wire},
    load, median,
    report::Section,
    wrk,
};

/// The rate at which CPU time an exchange is measured: low, so that it does not hide in batching.
const LOW_RATE: f64 = 2_000.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    Nothing,
    Interceptor,
    Tcpdump,
}

const ATTACHED: [Attached; 3] = [Attached::Nothing, Attached::Interceptor, Attached::Tcpdump];

impl Attached {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Interceptor => "interceptor",
            Self::Tcpdump => "tcpdump -w /dev/null",
        }
    }
}

#[derive(Clone, Copy)]
enum Pace {
    Saturation,
    Rate(f64),
}

/// One load on one wire with one thing attached.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    completed: f64,
    rate: f64,
    p50_micros: f64,
    /// Server, client and what is attached: microseconds an exchange. Not known of wrk.
    cpu_micros: f64,
    /// What is attached alone.
    own_micros: f64,
    /// Its programs in the kernel, in another load of the same kind. Not known of tcpdump.
    kernel_micros: f64,
    /// All CPUs, whoever used them.
    machine_micros: f64,
    ledger: Ledger,
}

/// What the daemon says of a load.
#[derive(Clone, Copy, Debug, Default)]
struct Ledger {
    exchanges: f64,
    carried: f64,
    captured: f64,
    lost: f64,
}

impl Ledger {
    fn of(metrics: &Metrics) -> Self {
        let bytes = |state| metrics.sum("interceptor_flow_bytes_total", state);
        Self {
            exchanges: metrics.sum("interceptor_exchanges_total", "completeness=\"complete\""),
            carried: bytes("state=\"carried\""),
            captured: bytes("state=\"captured\""),
            lost: metrics.sum("interceptor_lost_bytes_total", ""),
        }
    }
}

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    let mut section = Section::new("live", "Attached to live traffic");
    section.paragraph(
        "nginx with one worker answers with a file of 1 KiB; client, server and whatever is attached share the same CPUs. \
         What is attached alternates within a round; medians over rounds of the ratio to (or the difference from) nothing \
         attached in the same round.",
    );
    // Many short rounds: the difference is small against what the machine does from one second to the next.
    let often = Scale { rounds: scale.rounds * 3, seconds: scale.seconds.div_ceil(2), ..*scale };
    for wire in [Wire::Loopback, Wire::Veth] {
        let lab = Lab::new(wire, 1)?;
        eprintln!("==> {}: saturation", wire.name());
        let saturated = rounds(&lab, binary, &often, Pace::Saturation)?;
        let half = median(samples(&saturated, Attached::Nothing).map(|sample| sample.rate)) / 2.0;
        eprintln!("==> {}: half load", wire.name());
        let half_load = rounds(&lab, binary, scale, Pace::Rate(half))?;
        eprintln!("==> {}: {LOW_RATE:.0} requests a second", wire.name());
        let low = rounds(&lab, binary, &often, Pace::Rate(LOW_RATE))?;
        describe_throughput(&mut section, wire, "saturation (wrk, 32 connections)", &saturated, often.seconds);
        describe_throughput(
            &mut section,
            wire,
            &format!("half load ({half:.0} requests/s)"),
            &half_load,
            scale.seconds,
        );
        describe_cost(&mut section, wire, &low, often.seconds);
    }
    Ok(section)
}

/// One row a round, in the order of [`ATTACHED`].
type Rounds = Vec<[Sample; ATTACHED.len()]>;

fn samples(rounds: &Rounds, attached: Attached) -> impl Iterator<Item = &Sample> {
    rounds.iter().map(move |round| &round[attached as usize])
}

/// What `compare` makes of a sample and of the one without anything attached in the same round.
fn against_nothing(rounds: &Rounds, attached: Attached, compare: impl Fn(&Sample, &Sample) -> f64) -> f64 {
    median(rounds.iter().map(|round| compare(&round[attached as usize], &round[Attached::Nothing as usize])))
}

fn rounds(lab: &Lab, binary: &Path, scale: &Scale, pace: Pace) -> Result<Rounds> {
    let mut rounds = Rounds::new();
    for round in 0..scale.rounds {
        let mut samples = [Sample::default(); ATTACHED.len()];
        for step in 0..ATTACHED.len() {
            // Each is first in turn: whatever drifts hits all of them.
            let attached = ATTACHED[(step + round) % ATTACHED.len()];
            let sample = measure(lab, binary, scale, pace, attached)?;
            eprintln!(
                "    round {} {:<22} {:>8.0} requests/s, p50 {:>6.1} µs, CPU {:>6.1} µs",
                round + 1,
                attached.name(),
                sample.rate,
                sample.p50_micros,
                sample.cpu_micros
            );
            samples[attached as usize] = sample;
        }
        rounds.push(samples);
    }
    Ok(rounds)
}

/// What is attached while a load runs.
enum Observer<'a> {
    Nothing,
    Interceptor(Box<Interceptor<'a>>),
    Tcpdump(Running),
}

impl Observer<'_> {
    fn pids(&self) -> Vec<u32> {
        match self {
            Self::Nothing => Vec::new(),
            Self::Interceptor(interceptor) => vec![interceptor.running.pid()],
            Self::Tcpdump(running) => vec![running.pid()],
        }
    }
}

fn measure(lab: &Lab, binary: &Path, scale: &Scale, pace: Pace, attached: Attached) -> Result<Sample> {
    let observer = match attached {
        Attached::Nothing => Observer::Nothing,
        Attached::Interceptor => Observer::Interceptor(Box::new(lab.interceptor(binary, &[])?)),
        Attached::Tcpdump => Observer::Tcpdump(lab.tcpdump()?),
    };
    let (server, own) = (lab.server_pids(), observer.pids());
    let before = (cpu_nanos(&server), cpu_nanos(&own), machine_nanos()?);
    let report = match pace {
        Pace::Saturation => saturate(lab, scale.seconds)?,
        Pace::Rate(rate) => paced(lab, rate, scale.seconds)?,
    };
    let own_nanos = (cpu_nanos(&own) - before.1) as f64;
    let server_nanos = (cpu_nanos(&server) - before.0) as f64;
    let machine = (machine_nanos()? - before.2) as f64;
    let each = |nanos: f64| nanos / report.completed / 1e3;
    let mut sample = Sample {
        completed: report.completed,
        rate: report.completed / report.seconds,
        p50_micros: report.p50_nanos / 1e3,
        cpu_micros: each(own_nanos + server_nanos + report.cpu_nanos),
        own_micros: each(own_nanos),
        kernel_micros: 0.0,
        machine_micros: each(machine),
        ledger: Ledger::default(),
    };
    match observer {
        Observer::Nothing => {}
        Observer::Interceptor(mut interceptor) => {
            interceptor.running.still_there()?;
            if matches!(pace, Pace::Rate(rate) if rate <= LOW_RATE) {
                let (micros, completed) = programs(lab, interceptor.running.pid())?;
                sample.kernel_micros = micros;
                sample.completed += completed;
            }
            sample.ledger = Ledger::of(&interceptor.settled()?);
            interceptor.running.stop();
        }
        Observer::Tcpdump(running) => running.stop(),
    }
    Ok(sample)
}

/// What the programs of a process take of each exchange at the low rate, in microseconds, and how many there were.
fn programs(lab: &Lab, pid: u32) -> Result<(f64, f64)> {
    let _counted = ProgramStats::on()?;
    let before = program_nanos(pid)?;
    let report = paced(lab, LOW_RATE, 1)?;
    Ok(((program_nanos(pid)? - before) as f64 / report.completed / 1e3, report.completed))
}

fn output(mut command: Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn saturate(lab: &Lab, seconds: u64) -> Result<load::Report> {
    let mut command = lab.in_client("wrk");
    command.args(["-t1", "-c32", "--latency", &format!("-d{seconds}s"), &lab.url()]);
    wrk::parse(&output(command)?)
}

fn paced(lab: &Lab, rate: f64, seconds: u64) -> Result<load::Report> {
    let mut command = lab.load_client()?;
    command.args(["load", "--connections", "16", "--address", lab.address()]);
    command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
    load::Report::parse(&output(command)?)
}

fn describe_throughput(section: &mut Section, wire: Wire, load: &str, rounds: &Rounds, seconds: u64) {
    section.paragraph(&format!("**{}, {load}**, {} rounds of {seconds} s", wire.name(), rounds.len()));
    let row = |attached: Attached| {
        let of = |value: fn(&Sample) -> f64| median(samples(rounds, attached).map(value));
        let ledger =
            |value: fn(&Ledger) -> f64| -> f64 { samples(rounds, attached).map(|sample| value(&sample.ledger)).sum() };
        let (carried, lost) = (ledger(|l| l.carried), ledger(|l| l.lost));
        let completed: f64 = samples(rounds, attached).map(|sample| sample.completed).sum();
        let percent = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
        let [seen, lost, open] = if attached == Attached::Interceptor {
            [
                format!("{:.2} %", percent(ledger(|l| l.exchanges), completed)),
                format!("{:.3} %", percent(lost, carried)),
                format!("{:.0}", carried - ledger(|l| l.captured) - lost),
            ]
        } else {
            ["", "", ""].map(str::to_owned)
        };
        let ratio = against_nothing(rounds, attached, |with, without| with.rate / without.rate);
        let added = against_nothing(rounds, attached, |with, without| with.p50_micros - without.p50_micros);
        [
            attached.name().to_owned(),
            format!("{:.0}", of(|sample| sample.rate)),
            format!("{ratio:.3}"),
            format!("{added:+.1}"),
            seen,
            lost,
            open,
        ]
    };
    section.table(
        [
            "attached",
            "requests/s",
            "throughput ratio",
            "added p50, µs",
            "exchanges seen",
            "bytes lost",
            "bytes unaccounted for",
        ],
        &ATTACHED.map(row),
    );
}

fn describe_cost(section: &mut Section, wire: Wire, rounds: &Rounds, seconds: u64) {
    section.paragraph(&format!(
        "**{}, {LOW_RATE:.0} requests/s.** CPU time an exchange: of the processes that take part (by the scheduler's clock, \
         kernel programs included, as they run in the sender's or receiver's time), of what is attached alone, of its \
         programs alone (by the kernel's count of their run time, in a second load, the counting included), and of the \
         whole machine (by ticks, with whatever else ran). {} rounds of {seconds} s.",
        wire.name(),
        rounds.len(),
    ));
    let row = |attached: Attached| {
        let added = |value: fn(&Sample) -> f64| {
            format!("{:+.1}", against_nothing(rounds, attached, |with, without| value(with) - value(without)))
        };
        let seen: f64 = samples(rounds, attached).map(|sample| sample.ledger.exchanges).sum();
        let completed: f64 = samples(rounds, attached).map(|sample| sample.completed).sum();
        [
            attached.name().to_owned(),
            format!("{:.1}", median(samples(rounds, attached).map(|sample| sample.cpu_micros))),
            added(|sample| sample.cpu_micros),
            format!("{:.1}", median(samples(rounds, attached).map(|sample| sample.own_micros))),
            if attached == Attached::Interceptor {
                format!("{:.1}", median(samples(rounds, attached).map(|sample| sample.kernel_micros)))
            } else {
                String::new()
            },
            added(|sample| sample.machine_micros),
            added(|sample| sample.p50_micros),
            if attached == Attached::Interceptor {
                format!("{:.2} %", 100.0 * seen / completed)
            } else {
                String::new()
            },
        ]
    };
    section.table(
        [
            "attached",
            "CPU µs",
            "added CPU µs",
            "own CPU µs",
            "programs µs",
            "added, machine µs",
            "added p50, µs",
            "exchanges seen",
        ],
        &ATTACHED.map(row),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let sample = |rate| Sample { rate, ..Sample::default() };
        let rounds: Rounds = vec![
            [sample(100.0), sample(90.0), sample(80.0)],
            [sample(10.0), sample(8.0), sample(9.0)],
            [sample(50.0), sample(50.0), sample(50.0)],
        ];
        let ratio = |attached| against_nothing(&rounds, attached, |with, without| with.rate / without.rate);
        assert!((ratio(Attached::Nothing) - 1.0).abs() < 1e-9);
        assert!((ratio(Attached::Interceptor) - 0.9).abs() < 1e-9);
        assert!((ratio(Attached::Tcpdump) - 0.9).abs() < 1e-9);
    }
}
