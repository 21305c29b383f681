//! `interceptor tail`: exchanges as they happen.

use std::path::PathBuf;

use super::{filter::FilterArgs, output::OutputArgs};
use crate::config::{Cgroup, Fraction, Interface, Netns, RingSize};

const AFTER_HELP: &str = "\
Without --iface, --cgroup and --pid, every interface that is up is watched, in our network namespace or in that of \
--netns. Root is needed, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON ('interceptor doctor' tells). Traffic is neither \
changed nor delayed, and nothing is left in the kernel at the end.

Examples:
  interceptor tail
  interceptor tail --iface lo --port 8080 -n 10
  interceptor tail --cgroup kubepods.slice/kubepods-pod42.slice --headers --body
  interceptor tail --netns pod1 --path '/v2/models/*/infer' --status 4xx,5xx
  interceptor tail --pid $(pidof nginx) -o json | jq '.[\"url.path\"]'
  interceptor tail --headers --show-secrets authorization

Exit codes: 0 done, also by Ctrl-C or SIGTERM (a second one ends it at once) or when the reader of the output is gone; \
1 it cannot capture; 2 the command line is wrong.";

/// Arguments of `interceptor tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Capture")]
struct What {
    /// Interface to watch; may be repeated
    #[arg(short, long, value_delimiter = ',')]
    iface: Vec<Interface>,
    /// Network namespace of the interfaces: a name of 'ip netns', or a path
    #[arg(long)]
    netns: Option<Netns>,
    /// Pod to watch, by its cgroup's directory, absolute or below the cgroup v2 mount; may be repeated
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<Cgroup>,
    /// Process whose exchanges to show; its cgroup or network namespace is watched
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_194_304), conflicts_with_all = ["netns", "cgroup"])]
    pid: Option<u32>,
    /// Part of the connections to show, each whole or not at all: 0.1 is a tenth
    #[arg(long, value_name = "FRACTION", default_value = "1")]
    sample: Fraction,
    /// Memory between kernel and us; a power of two
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    ring_size: RingSize,
}

/// Captures until it is told to stop.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    let _ = args;
    Ok(())
}
