//! Large bodies: what it costs to copy them, and what it saves that the kernel leaves out those that nobody wants.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{
    Scale,
    lab::{Lab, Metrics, Wire},
    median,
    report::Section,
    wrk,
};

/// Bodies of these sizes are served.
const SIZES: [(&str, usize); 2] = [("100 KB", 100_000), ("10 MB", 10_000_000)];

/// A rule that wants every byte of every body: what it costs to copy them all.
const WANTED: &str = "\
apiVersion: interceptor/v1alpha1
kind: Policy
metadata:
  name: all-bodies
spec:
  rules:
  - name: all
    keep: {request: 16MiB, response: 16MiB}
    extract:
    - name: nothing
      from: response
      jsonPath: $.nothing
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attached {
    Nothing,
    Unwanted,
    Wanted,
}

const ATTACHED: [Attached; 3] = [Attached::Nothing, Attached::Unwanted, Attached::Wanted];

impl Attached {
    const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Unwanted => "interceptor, no rule wants bodies",
            Self::Wanted => "interceptor, a rule wants them whole",
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    rate: f64,
    carried: f64,
    captured: f64,
    skipped: f64,
    lost: f64,
}

pub(super) fn run(binary: &Path, scale: &Scale) -> Result<Section> {
    let mut section = Section::new("bodies", "Large bodies that nobody wants");
    section.paragraph(
        "nginx with one worker answers with a file, over `lo`, to wrk with 8 connections; client, server and interceptor share the \
         same CPUs. What is attached alternates within a round; throughput is the median over rounds of the ratio to nothing \
         attached in the same round. Bytes are those of the ledger of all rounds.",
    );
    let lab = Lab::new(Wire::Loopback, 1)?;
    let policy = std::env::temp_dir().join(format!("ixbench-policy-{}.yaml", std::process::id()));
    fs::write(&policy, WANTED).with_context(|| format!("cannot write {}", policy.display()))?;
    let result = SIZES.into_iter().try_for_each(|(name, size)| {
        lab.serve("large", size)?;
        let rounds = rounds(&lab, binary, scale, &policy)?;
        describe(&mut section, name, &rounds, scale.seconds);
        Ok(())
    });
    fs::remove_file(&policy).ok();
    result.map(|()| section)
}

type Rounds = Vec<[Sample; ATTACHED.len()]>;

fn rounds(lab: &Lab, binary: &Path, scale: &Scale, policy: &Path) -> Result<Rounds> {
    let mut rounds = Rounds::new();
    for round in 0..scale.rounds {
        let mut samples = [Sample::default(); ATTACHED.len()];
        for step in 0..ATTACHED.len() {
            // Each is first in turn: whatever drifts hits all of them.
            let attached = ATTACHED[(step + round) % ATTACHED.len()];
            let sample = measure(lab, binary, scale, policy, attached)?;
            eprintln!("    round {} {:<38} {:>8.0} requests/s", round + 1, attached.name(), sample.rate);
            samples[attached as usize] = sample;
        }
        rounds.push(samples);
    }
    Ok(rounds)
}

fn measure(lab: &Lab, binary: &Path, scale: &Scale, policy: &Path, attached: Attached) -> Result<Sample> {
    let wanted = policy.display().to_string();
    let interceptor = match attached {
        Attached::Nothing => None,
        Attached::Unwanted => Some(lab.interceptor(binary, &[])?),
        Attached::Wanted => Some(lab.interceptor(binary, &["--inspect-policies", &wanted])?),
    };
    let mut command = lab.in_client("wrk");
    let url = format!("http://{}/large", lab.address());
    let output = command.args(["-t1", "-c8", "--latency", &format!("-d{}s", scale.seconds), &url]).output()?;
    if !output.status.success() {
        bail!("wrk: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let report = wrk::parse(&String::from_utf8_lossy(&output.stdout))?;
    let mut sample = Sample { rate: report.completed / report.seconds, ..Sample::default() };
    if let Some(mut interceptor) = interceptor {
        interceptor.running.still_there()?;
        sample.fill(&interceptor.settled()?);
        interceptor.running.stop();
    }
    Ok(sample)
}

impl Sample {
    fn fill(&mut self, metrics: &Metrics) {
        let bytes = |state: &str| metrics.sum("interceptor_flow_bytes_total", &format!("state=\"{state}\""));
        self.carried = bytes("carried");
        self.captured = bytes("captured");
        self.skipped = bytes("skipped_by_policy");
        self.lost = metrics.sum("interceptor_lost_bytes_total", "");
    }
}

fn describe(section: &mut Section, size: &str, rounds: &Rounds, seconds: u64) {
    section.paragraph(&format!("**{size}**, {} rounds of {seconds} s", rounds.len()));
    let row = |attached: Attached| {
        let samples = || rounds.iter().map(|round| round[attached as usize]);
        let sum = |value: fn(&Sample) -> f64| samples().map(|sample| value(&sample)).sum::<f64>();
        let carried = sum(|sample| sample.carried);
        let percent = |part: f64| {
            if attached == Attached::Nothing { String::new() } else { format!("{:.1} %", 100.0 * part / carried) }
        };
        let ratio =
            median(rounds.iter().map(|round| round[attached as usize].rate / round[Attached::Nothing as usize].rate));
        [
            attached.name().to_owned(),
            format!("{:.0}", median(samples().map(|sample| sample.rate))),
            format!("{ratio:.3}"),
            percent(sum(|sample| sample.captured)),
            percent(sum(|sample| sample.skipped)),
            percent(sum(|sample| sample.lost)),
        ]
    };
    section.table(
        ["attached", "requests/s", "throughput ratio", "captured", "skipped by policy", "lost"],
        &ATTACHED.map(row),
    );
}
