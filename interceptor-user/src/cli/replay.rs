//! `interceptor replay`: exchanges from capture files.

use std::{path::PathBuf, sync::atomic::Ordering::Relaxed};

use super::{filter::FilterArgs, output::OutputArgs, signal};
use crate::{
    capture::pcap::PcapSource,
    pipeline::{self, Pipeline},
};

const AFTER_HELP: &str = "\
Files may be pcap or pcapng, compressed with gzip or zstd or not, of any link type that carries IP. Several files are \
read one after the other, as the parts of one capture. Neither root nor any capability is needed.

Examples:
  interceptor replay capture.pcap
  interceptor replay --status 5xx --headers --body capture.pcapng.gz
  interceptor replay -o json capture.pcap | jq -r '.\"url.path\"' | sort | uniq -c
  interceptor replay -o summary part1.pcap part2.pcap
  tcpdump -i eth0 -U -w - tcp port 8080 | interceptor replay -

Exit codes: 0 done, 1 a file cannot be read, 2 the command line is wrong. Ctrl-C ends it early, with what was read.";

/// Arguments of `interceptor replay`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Capture files; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

/// Reads the files and shows their exchanges.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let stop = signal::stop_flag()?;
    let mut options = pipeline::Options::default();
    options.session.body = args.output.body_limit();
    let mut pipeline = Pipeline::new(options, args.output.view(args.filter.filter()));
    for path in &args.files {
        let mut source = PcapSource::open(path)?;
        pipeline.run(&mut source, &stop)?;
        if stop.load(Relaxed) || pipeline.sink().is_full() {
            break;
        }
    }
    pipeline.finish()?;
    pipeline.sink().end()?;
    Ok(())
}
