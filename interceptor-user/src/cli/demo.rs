//! `interceptor demo`: see it at work.

use std::{io, net::SocketAddr, time::Duration};

use super::{
    output::{Format, OutputArgs},
    signal,
};
use crate::{
    demo::{self, client, server},
    policy::Filter,
};

const AFTER_HELP: &str = "\
Makes two pods (network namespaces and cgroups, joined by a veth pair), runs a small model server in one and a client in \
the other, captures on the server's interface, and ends with a summary. Root is needed. Everything it makes is removed \
at the end, also after Ctrl-C.

Examples:
  interceptor demo
  interceptor demo --hold                  until Ctrl-C; says what to try meanwhile
  interceptor demo --duration 5 -o json 2>/dev/null | jq '.[\"url.path\"]'

Exit codes: 0 done, 1 it could not be done (or the ledger does not balance), 2 the command line is wrong.";

/// Arguments of `interceptor demo`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, subcommand_negates_reqs = true)]
pub struct Args {
    /// How long the client asks, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    duration: Duration,
    /// Keep it up until Ctrl-C, and say what to try meanwhile
    #[arg(long, conflicts_with = "duration")]
    hold: bool,
    #[command(flatten)]
    output: OutputArgs,
    /// What the processes in the pods are started as.
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    /// The model server
    #[command(hide = true)]
    Serve,
    /// The client
    #[command(hide = true)]
    Ask {
        /// Addresses of the server.
        #[arg(required = true)]
        servers: Vec<SocketAddr>,
        /// How long, in seconds.
        #[arg(long, value_parser = seconds)]
        duration: Option<Duration>,
    },
}

/// An hour is long for a demo; `--hold` has no limit.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("allowed are 0.1 to 3600 seconds; --hold keeps it up until Ctrl-C".to_owned()),
    }
}

/// Runs the demo, or one of the processes in its pods.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    match &args.role {
        Some(Role::Serve) => server::serve(),
        Some(Role::Ask { servers, duration }) => client::ask(servers, *duration),
        None => run(args),
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    args.output.check(&Filter::default())?;
    let stop = signal::stop_flag()?;
    let options = demo::Options { duration: (!args.hold).then_some(args.duration), pipeline: args.output.pipeline()? };
    let live = args.output.view(Filter::default(), args.output.registry()?);
    // What is for a program to read has standard output for itself.
    match args.output.output {
        Format::Json | Format::Har | Format::Pcapng => demo::run(options, live, &mut io::stderr(), &stop),
        Format::Text | Format::Summary => demo::run(options, live, &mut io::stdout(), &stop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_bounded() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "-1", "nan", "inf", "3601", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
