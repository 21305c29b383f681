//! `interceptor generate`: what is made from the program itself and shipped beside it.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, Subcommand};
use clap_complete::Shell;

use super::Cli;
use crate::{config, inspect::drift::baseline, policy::document, sink::json};

const AFTER_HELP: &str = "\
Examples:
  interceptor generate completions bash > /etc/bash_completion.d/interceptor
  interceptor generate man /usr/local/share/man/man1
  interceptor generate schema > exchange.schema.json

Exit codes: 0 done, 1 it cannot be written, 2 the command line is wrong.";

/// Arguments of `interceptor generate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// JSON Schema of the lines that '-o json' prints
    Schema,
    /// JSON Schema of the configuration file
    ConfigSchema,
    /// JSON Schema of the files that 'baseline learn' writes
    BaselineSchema,
    /// JSON Schema of a policy
    PolicySchema,
    /// Completions for a shell
    Completions {
        /// Which
        shell: Shell,
    },
    /// Manual pages, one a command, into a directory
    Man {
        /// Which; it is made if need be
        directory: PathBuf,
    },
}

/// Prints or writes it.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let text = match &args.what {
        What::Schema => json::schema::exchange()?.into_bytes(),
        What::ConfigSchema => config::schema_text().into_bytes(),
        What::BaselineSchema => baseline::schema()?.into_bytes(),
        What::PolicySchema => document::schema_text().into_bytes(),
        What::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "interceptor", &mut text);
            text
        }
        What::Man { directory } => return manual(directory),
    };
    Ok(io::stdout().lock().write_all(&text)?)
}

fn manual(directory: &PathBuf) -> anyhow::Result<()> {
    let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
    written.with_context(|| format!("cannot write manual pages to {}", directory.display()))
}
