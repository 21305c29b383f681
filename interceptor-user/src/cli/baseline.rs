//! `interceptor baseline`: what features are like when all is well, as a file that drift is measured against.

mod captured;
mod learn;
mod progress;
mod show;
mod table;

use clap::Subcommand;

const AFTER_HELP: &str = "\
Examples:
  interceptor baseline learn --output iris.json capture.pcap
  interceptor baseline learn --output iris.json --model iris --predictions species train.csv
  interceptor baseline show iris.json

Exit codes: 0 done, 1 a file cannot be read or written or nothing was learned, 2 the command line is wrong.";

/// Arguments of `interceptor baseline`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Learn a baseline from captures, live traffic, or tables (CSV, Parquet)
    Learn(Box<learn::Args>),
    /// Show what a baseline holds, a line a feature
    Show(show::Args),
}

/// Learns or shows.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Learn(args) => learn::execute(args),
        What::Show(args) => show::execute(args),
    }
}
