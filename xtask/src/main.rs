//! Builds, runs, tests, checks and measures the interceptor: `cargo xtask COMMAND`.
//!
//! Each command first provides what it needs: the object for the kernel needs a compiler with the sources of `core`
//! ([`toolchain`]) and a linker ([`linker`]); what is missing is installed, and said so.

mod apt;
mod bench;
mod build;
mod ci;
mod doctor;
mod linker;
mod packages;
mod project;
mod run;
mod step;
mod test;
mod tidy;
mod toolchain;
mod vm;

use std::{ffi::OsString, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::project::Project;

/// Builds, runs, tests, checks and measures the interceptor.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build the kernel object and the binary; installs a compiler and a linker for BPF if there is none.
    Build,
    /// Build, then run the demo, or `interceptor ARGS` for `cargo xtask run -- ARGS`.
    Run {
        /// Arguments of `interceptor`; without any, `demo`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Build, then run every test, or those whose names contain FILTER.
    Test {
        /// Part of the names of the tests to run.
        filter: Option<String>,
    },
    /// Check the house rules that no compiler checks: sizes, names, imports, unsafe, paths.
    Tidy,
    /// Format, lints, tidy, build, tests, docs, licences: what a change has to pass.
    Ci,
    /// Run the kernel tests on older kernels in emulated machines, and compare with docs/kernels.md.
    Vm(vm::Args),
    /// Measure speed and memory, next to other tools; results are kept in docs/benchmarks.md.
    Bench(bench::Args),
    /// Say which compiler and linker are picked for BPF, and what is missing.
    Doctor,
}

fn main() -> ExitCode {
    match dispatch(Args::parse().command) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    let project = Project::find()?;
    match command {
        Command::Build => build::all(&project).map(|_| ExitCode::SUCCESS),
        Command::Run { args } => run::run(&project, args),
        Command::Test { filter } => test::run(&project, filter.as_deref()),
        Command::Tidy => tidy::check(&project).map(|()| ExitCode::SUCCESS),
        Command::Ci => Ok(ci::run(&project)),
        Command::Vm(args) => vm::command(&project, &args),
        Command::Bench(args) => bench::run(&project, args),
        Command::Doctor => doctor::run(&project),
    }
}
