//! One file per subcommand: its arguments, and `execute`.

pub mod baseline;
pub mod demo;
pub mod doctor;
mod filter;
pub mod generate;
mod logging;
pub mod map;
mod output;
pub mod policy;
pub mod replay;
pub mod run;
mod signal;
mod skip;
mod summary;
pub mod tail;
mod view;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{config::ConfigError, kernel::Refusal, sink::Stop};

/// Shows the HTTP traffic of pods from inside the kernel, without a proxy and without touching it
#[derive(Debug, Parser)]
#[command(name = "interceptor", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `interceptor` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show exchanges as they happen, a line each
    Tail(tail::Args),
    /// Show the exchanges in capture files (pcap, pcapng)
    Replay(replay::Args),
    /// Run as a daemon with Prometheus metrics
    Run(run::Args),
    /// Draw who calls whom, of a running daemon, a capture file or what passes now
    Map(map::Args),
    /// Learn what a model's features are like, to measure drift against
    Baseline(baseline::Args),
    /// Show it at work on two pods made for the purpose
    Demo(demo::Args),
    /// Check what this machine has of what is needed
    Doctor(doctor::Args),
    /// Check, try and explain policies: what is looked at in which exchanges
    Policy(policy::Args),
    /// Print the JSON Schemas, shell completions and manual pages
    Generate(generate::Args),
}

const AFTER_HELP: &str = "\
Examples:
  interceptor demo                       see it at work, in 15 seconds
  interceptor tail --iface eth0          watch what passes eth0
  interceptor tail --cgroup kubepods.slice/pod1 -o json
  interceptor replay capture.pcap --status 5xx
  interceptor map --for 10s              who calls whom, and how that goes
  interceptor policy explain             what a policy can ask for
  interceptor doctor                     what is missing here, and how to get it

Exit codes:
  0  done; also after Ctrl-C, and when the reader of the output is gone
  1  it could not be done: one line on standard error says what, why and what to do
  2  the command line or the configuration is wrong";

/// Reports an error, if there is one, in one line, with the verifier's log below it if that is why; gives the exit code.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_end_of_reader(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<clap::Error>() => {
            eprint!("{error:#}");
            ExitCode::from(2)
        }
        Err(error) => {
            eprintln!("interceptor: {error:#}");
            if let Some(refusal) = Refusal::behind(&error) {
                eprintln!("the verifier's log:\n{}", refusal.log());
            }
            if error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

/// Whoever read our output has gone.
fn is_end_of_reader(error: &anyhow::Error) -> bool {
    error.is::<Stop>()
        || error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_gone_reader_is_told_from_other_errors() {
        assert!(is_end_of_reader(&Stop.into()));
        assert!(is_end_of_reader(&io::Error::from(io::ErrorKind::BrokenPipe).into()));
        assert!(!is_end_of_reader(&io::Error::from(io::ErrorKind::StorageFull).into()));
    }
}
