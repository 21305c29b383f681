//! `interceptor tail`: exchanges as they happen.

use std::{
    fs,
    io::{self, IsTerminal as _},
    os::unix::fs::MetadataExt as _,
    path::PathBuf,
};

use anyhow::{Context as _, anyhow};
use interceptor_common::{DropCount, DropReason};

use super::{filter::FilterArgs, logging, output::OutputArgs, signal};
use crate::{
    config::{Cgroup, Fraction, Interface, Netns, RingSize},
    demo::pod::cgroup_root,
    kernel::{Capture, CaptureOptions, Drops, Filters},
    pipeline::Pipeline,
    policy::ProcessPattern,
};

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
    let stop = signal::stop_flag()?;
    logging::start();
    let watched = Watched::of(&args.what)?;
    let mut filter = args.filter.filter();
    filter.processes.extend(watched.process);
    let mut capture = Capture::start(&args.capture_options(watched), ZONE)?;
    let mut source = capture.source()?;
    say_where(&capture);
    let mut pipeline = Pipeline::new(args.output.pipeline(), args.output.view(filter));
    pipeline.run(&mut source, &stop)?;
    pipeline.finish()?;
    pipeline.sink().end()?;
    warn_of_drops(&capture.drops()?);
    Ok(())
}

/// There is one namespace, so its number tells nothing apart.
const ZONE: u32 = 0;

/// The kernel's list of ports has bounds, and a long one does not pay: beyond this only we look at ports.
const KERNEL_PORTS: usize = 64;

/// Where to watch, once a process is resolved to its place.
#[derive(Debug, Default)]
struct Watched {
    netns: Option<PathBuf>,
    cgroups: Vec<PathBuf>,
    process: Option<ProcessPattern>,
}

impl Watched {
    fn of(what: &What) -> anyhow::Result<Self> {
        if let Some(pid) = what.pid {
            return Self::process(pid);
        }
        let netns = what.netns.as_ref().map(|netns| netns.0.clone());
        let cgroups = what.cgroup.iter().map(directory).collect::<anyhow::Result<_>>()?;
        Ok(Self { netns, cgroups, process: None })
    }

    /// By the process's cgroup if it has one of its own; else by the interfaces of its network namespace.
    fn process(pid: u32) -> anyhow::Result<Self> {
        let place = PathBuf::from(format!("/proc/{pid}"));
        let groups = fs::read_to_string(place.join("cgroup"))
            .map_err(|error| anyhow!("cannot find process {pid}: {error}; 'ps -e' lists those there are"))?;
        // cgroups(7): the line of v2 is the one of hierarchy 0.
        let group = groups.lines().find_map(|line| line.strip_prefix("0::/")).filter(|path| !path.is_empty());
        let Some(group) = group else {
            let process = Some(ProcessPattern { pid, cgroup: None });
            return Ok(Self { netns: Some(place.join("ns/net")), cgroups: Vec::new(), process });
        };
        let directory = cgroup_root()?.join(group);
        let id = fs::metadata(&directory)
            .with_context(|| format!("cannot find the cgroup {} of process {pid}", directory.display()))?
            .ino();
        Ok(Self { netns: None, cgroups: vec![directory], process: Some(ProcessPattern { pid, cgroup: Some(id) }) })
    }
}

/// The directory that the user means: as it is, or below the cgroup v2 mount.
fn directory(cgroup: &Cgroup) -> anyhow::Result<PathBuf> {
    let root = cgroup_root()?;
    let below = cgroup.0.strip_prefix("/").unwrap_or(&cgroup.0);
    let candidates = [cgroup.0.clone(), root.join(below)];
    let found = candidates.iter().find(|path| path.starts_with(&root) && path.is_dir());
    found.cloned().with_context(|| {
        format!("there is no cgroup {} below {}; 'systemd-cgls' shows those there are", below.display(), root.display())
    })
}

impl Args {
    fn capture_options(&self, watched: Watched) -> CaptureOptions {
        let ports: Vec<u16> =
            self.filter.port.iter().flat_map(|ports| ports.first..=ports.last).take(KERNEL_PORTS + 1).collect();
        CaptureOptions {
            interfaces: self.what.iface.iter().map(|name| name.0.clone()).collect(),
            netns: watched.netns,
            cgroups: watched.cgroups,
            filters: Filters {
                ports: if ports.len() > KERNEL_PORTS { Vec::new() } else { ports },
                ..Filters::default()
            },
            sample: self.what.sample.0,
            ring_bytes: self.what.ring_size.0,
            ..CaptureOptions::default()
        }
    }
}

/// Silence could mean that nothing happens or that nothing is seen; whoever waits at a terminal is told which.
fn say_where(capture: &Capture) {
    if io::stdout().is_terminal() && io::stderr().is_terminal() {
        let places: Vec<String> = capture.attached().iter().map(ToString::to_string).collect();
        eprintln!("interceptor: watching by {}; Ctrl-C ends it", places.join(", "));
    }
}

/// Says what the kernel side could not hand over, if anything, and what would help.
fn warn_of_drops(drops: &Drops) {
    let lost = [
        (DropReason::RingFull, "; a larger --ring-size, --port or --sample helps"),
        (DropReason::Oversized, ""),
        (DropReason::Unparseable, ""),
        (DropReason::Fragment, ""),
        (DropReason::HelperFailed, ""),
        (DropReason::MapFull, ""),
    ];
    for (reason, advice) in lost {
        let DropCount { packets, bytes } = drops.total(reason);
        if packets > 0 {
            eprintln!("interceptor: {packets} packets ({bytes} bytes) were not captured: {}{advice}", reason.name());
        }
    }
}
