//! `cargo xtask bench`: how fast, against what, and how much memory; kept in `docs/benchmarks.md`.
//!
//! The machine is noisy: everything is measured in alternating rounds, and medians of ratios within a round are reported.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

mod bodies;
mod child;
mod daemon;
mod drift;
mod generate;
mod hpack;
mod inline;
mod inspect;
mod lab;
mod live;
mod load;
mod memory;
mod micro;
mod offline;
mod packet;
mod pii;
mod receive;
mod report;
mod sinks;
mod wrk;

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};

pub(crate) use self::load::{Hold, Load, hold, load};
use self::{receive::Receive, report::Section};
use crate::{
    apt::{self, Privilege},
    build, packages,
    project::Project,
};

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// One part; all of them if left out.
    part: Option<Part>,
    /// Short rounds that show that it works; nothing is written to docs/benchmarks.md.
    #[arg(long)]
    quick: bool,
    /// A binary of interceptor, in place of one that is built first.
    #[arg(long)]
    binary: Option<std::path::PathBuf>,
    #[command(subcommand)]
    client: Option<Client>,
}

/// The load's other end runs as a process of its own: its CPU time is told apart, and it may live in another namespace.
#[derive(Subcommand)]
enum Client {
    #[command(hide = true)]
    Load(Load),
    #[command(hide = true)]
    Hold(Hold),
    #[command(hide = true)]
    Receive(Receive),
    #[command(hide = true)]
    SendEvents(inline::SendEvents),
    #[command(hide = true)]
    ReadEvents(inline::ReadEvents),
    /// Takes what is left of a CPU.
    #[command(hide = true)]
    Spin,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Reading a capture file: exchanges and bytes per second on one core.
    Offline,
    /// Header compression, against the h2 crate's.
    Hpack,
    /// Drift: values a second.
    Drift,
    /// Inferences and inspectors: exchanges per second on one core.
    Inspect,
    /// Large bodies that nobody wants: throughput, and what of them is copied.
    Bodies,
    /// Search for personal data: bytes per second, precision and recall.
    Pii,
    /// Attached to live traffic: throughput, CPU, latency, losses.
    Live,
    /// CPU and memory of the whole daemon at a steady 1,000 requests a second, with its sinks.
    Daemon,
    /// What a record costs in each sink.
    Sinks,
    /// Resident memory with many open connections.
    Memory,
    /// Time in each kernel program.
    Micro,
    /// The inline path beside HAProxy, nginx and Envoy: throughput, CPU, added latency, memory.
    Inline,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Scale {
    /// Alternating rounds.
    rounds: usize,
    /// Seconds of load in each.
    seconds: u64,
    /// Size of the capture file.
    capture_bytes: u64,
    /// Open connections to measure memory with.
    flows: [usize; 2],
}

const FULL: Scale = Scale { rounds: 5, seconds: 4, capture_bytes: 1_000_000_000, flows: [1_000, 20_000] };
const QUICK: Scale = Scale { rounds: 1, seconds: 2, capture_bytes: 50_000_000, flows: [100, 1_000] };

pub(crate) fn run(project: &Project, args: Args) -> Result<ExitCode> {
    match args.client {
        Some(Client::Load(args)) => return load(&args).map(|()| ExitCode::SUCCESS),
        Some(Client::Hold(args)) => return hold(&args).map(|()| ExitCode::SUCCESS),
        Some(Client::Receive(args)) => return receive::receive(&args).map(|()| ExitCode::SUCCESS),
        Some(Client::SendEvents(args)) => return inline::send_events(&args).map(|()| ExitCode::SUCCESS),
        Some(Client::ReadEvents(args)) => return inline::read_events(&args).map(|()| ExitCode::SUCCESS),
        Some(Client::Spin) => return inline::spin().map(|()| ExitCode::SUCCESS),
        None => {}
    }
    let scale = if args.quick { QUICK } else { FULL };
    packages::provide("Tools for the benchmark", packages::FOR_BENCH);
    let binary = match args.binary {
        Some(binary) => binary.canonicalize()?,
        None => build::all(project)?,
    };
    let parts = args.part.map_or_else(|| Part::value_variants().to_vec(), |part| vec![part]);
    for part in parts {
        let alone = matches!(part, Part::Offline | Part::Hpack | Part::Drift | Part::Pii | Part::Inspect);
        if !alone && apt::privilege() != Privilege::Root {
            bail!("root is needed to attach to live traffic; without it: cargo xtask bench offline");
        }
        let section: Section = match part {
            Part::Offline => offline::run(project, &binary, &scale)?,
            Part::Hpack => hpack::run(project, &scale)?,
            Part::Drift => drift::run(project, &scale)?,
            Part::Inspect => inspect::run(project, &binary, &scale)?,
            Part::Bodies => bodies::run(&binary, &scale)?,
            Part::Pii => pii::run(project, &scale)?,
            Part::Live => live::run(&binary, &scale)?,
            Part::Daemon => daemon::run(&binary, &scale)?,
            Part::Sinks => sinks::run(&binary, &scale)?,
            Part::Memory => memory::run(&binary, &scale)?,
            Part::Micro => micro::run(&binary, &scale)?,
            Part::Inline => inline::run(project, &binary, &scale)?,
        };
        println!("\n{}", section.markdown());
        if args.quick {
            eprintln!("(quick: docs/benchmarks.md is left as it is)");
        } else {
            section.keep(project)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The middle one, or the mean of the two in the middle; zero of nothing.
fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).abs() < 1e-9);
    }
}
