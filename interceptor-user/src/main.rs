//! `interceptor`: parse, dispatch, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use interceptor::cli::{self, Cli, Command};

fn main() -> ExitCode {
    let result = match &Cli::parse().command {
        Command::Tail(args) => cli::tail::execute(args),
        Command::Replay(args) => cli::replay::execute(args),
        Command::Run(args) => cli::run::execute(args),
        Command::Map(args) => cli::map::execute(args),
        Command::Baseline(args) => cli::baseline::execute(args),
        Command::Demo(args) => cli::demo::execute(args),
        Command::Doctor(args) => cli::doctor::execute(args),
        Command::Policy(args) => cli::policy::execute(args),
        Command::Generate(args) => cli::generate::execute(args),
    };
    cli::exit_code(result)
}
