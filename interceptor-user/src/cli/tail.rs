//! `interceptor tail`: exchanges as they happen.

mod place;

use std::path::PathBuf;

use interceptor_common::{DropCount, DropReason};

use self::place::Place;
use super::{filter::FilterArgs, logging, output::OutputArgs, signal, skip::skip};
use crate::{
    config::{Cgroup, Fraction, Interface, Netns, RingSize},
    kernel::{Capture, CaptureOptions, Drops, Filters, Identity, features::Features},
    pipeline::Pipeline,
    privilege::{self, Give, Needs},
};

const AFTER_HELP: &str = "\
Without --iface, --cgroup and --pid, every interface that is up is watched, in our network namespace or in that of \
--netns. Root is needed, or CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON ('interceptor doctor' tells). Traffic is neither \
changed nor delayed, and nothing is left in the kernel at the end.

'-o har' writes an HTTP archive, which browsers' developer tools open: with headers (secrets masked), with bodies and \
messages if '--body' is given. '-o pcapng' writes what was captured as packets, for Wireshark: with process, cgroup and container of both ends as comments, \
with headers made anew, and without most bare acknowledgements, which are not captured. Bodies and headers of exchanges are \
not masked in it.

Examples:
  interceptor tail
  interceptor tail --iface lo --port 8080 -n 10
  interceptor tail --cgroup kubepods.slice/kubepods-pod42.slice --headers --body
  interceptor tail --netns pod1 --path '/v2/models/*/infer' --status 4xx,5xx
  interceptor tail --pid $(pidof nginx) -o json | jq '.[\"url.path\"]'
  interceptor tail --messages --body --path '/inference.GRPCInferenceService/*'
  interceptor tail --grpc-status '!OK'
  interceptor tail --headers --show-secrets authorization
  interceptor tail --path /v1/chat -o har --body=1MiB > chat.har
  interceptor tail --port 8080 -o pcapng | wireshark -k -i -

Exit codes: 0 done, also by Ctrl-C or SIGTERM (a second one ends it at once) or when the reader of the output is gone; \
1 it cannot capture; 2 the command line is wrong.";

/// Arguments of `interceptor tail`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(flatten)]
    what: Watch,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    filter: FilterArgs,
}

/// What is watched.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Capture")]
pub(super) struct Watch {
    /// Interface to watch, or a pattern such as 'veth*'; may be repeated. Without it all that are up
    #[arg(short, long, value_delimiter = ',')]
    iface: Vec<Interface>,
    /// Network namespace of the interfaces: a name of 'ip netns', or a path
    #[arg(long)]
    netns: Option<Netns>,
    /// Watch the pods of this node too, as they come and go: of each what cannot be seen at our own interfaces
    #[arg(long, conflicts_with_all = ["netns", "cgroup", "pid"])]
    pods: bool,
    /// Pod to watch, by its cgroup's directory, absolute or below the cgroup v2 mount; may be repeated
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<Cgroup>,
    /// Process whose exchanges to show; its cgroup or network namespace is watched
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4_194_304), conflicts_with_all = ["netns", "cgroup"])]
    pid: Option<u32>,
    /// Part of the connections to show, each whole or not at all: 0.1 is a tenth
    #[arg(long, value_name = "FRACTION", default_value = "1")]
    sample: Fraction,
    /// Memory between kernel and us, all ring buffers together; a power of two
    #[arg(long, value_name = "SIZE", default_value = "8MiB")]
    ring_size: RingSize,
}

/// Captures until it is told to stop.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    args.output.check(&args.filter.filter())?;
    logging::start();
    tracing::debug!("{}", Features::get().line());
    let place = args.what.place()?;
    let registry = args.output.registry()?;
    let options = args.output.pipeline()?;
    // Before any thread is started. Who listens is found by what processes have open.
    let needs = args.what.needs(&place, Vec::new());
    privilege::begin(Give { capabilities: true, sandbox: true }, &needs);
    let stop = signal::stop_flag()?;
    let mut filter = args.filter.filter();
    filter.processes.extend(place.process);
    let mut identity = Identity::new(place.netns.as_deref())?;
    let mut capture = Capture::start(&args.what.capture_options(place, &args.filter))?;
    let mut source = capture.source()?;
    capture.follow(privilege::settle)?;
    privilege::settle();
    tracing::debug!("{}", privilege::report());
    say_where(&capture);
    let mut pipeline = Pipeline::new(options, args.output.view(filter, registry))
        .with_identify(Box::new(move |info| identity.fill(info)))
        .with_skip(skip(capture.cut_offs()?));
    pipeline.run(&mut source, &stop)?;
    pipeline.finish()?;
    pipeline.sink().end(&pipeline.counts().set_aside())?;
    warn_of_drops(&capture.drops()?);
    Ok(())
}

/// The kernel's list of ports has bounds, and a long one does not pay: beyond this only we look at ports.
const KERNEL_PORTS: usize = 64;

impl Watch {
    /// Where that is.
    pub(super) fn place(&self) -> anyhow::Result<Place> {
        let Self { iface, netns, cgroup, pid, .. } = self;
        match pid {
            Some(pid) => Place::of_process(*pid),
            None if cgroup.is_empty() => {
                Ok(Place { netns: netns.as_ref().map(|netns| netns.0.clone()), ..Place::default() })
            }
            None => Place::of_cgroups(cgroup, netns.as_ref(), iface.is_empty()),
        }
    }

    /// Does it name a place?
    pub(super) const fn is_given(&self) -> bool {
        !(self.iface.is_empty() && self.cgroup.is_empty()) || self.netns.is_some() || self.pid.is_some() || self.pods
    }

    /// What has to be read meanwhile.
    pub(super) fn needs(&self, place: &Place, files: Vec<PathBuf>) -> Needs {
        Needs { namespaces: self.pods || place.netns.is_some(), processes: true, files, ..Needs::default() }
    }

    /// How it is captured, as far as the kernel can filter.
    pub(super) fn capture_options(&self, place: Place, filter: &FilterArgs) -> CaptureOptions {
        let ports: Vec<u16> =
            filter.port.iter().flat_map(|ports| ports.first..=ports.last).take(KERNEL_PORTS + 1).collect();
        CaptureOptions {
            interfaces: self.iface.iter().map(|name| name.0.clone()).collect(),
            netns: place.netns.into_iter().collect(),
            pods: self.pods,
            cgroups: place.cgroups,
            filters: Filters {
                ports: if ports.len() > KERNEL_PORTS { Vec::new() } else { ports },
                ..Filters::default()
            },
            sample: self.sample.0,
            ring_bytes: self.ring_size.0,
            ..CaptureOptions::default()
        }
    }
}

/// Silence could mean that nothing happens or that nothing is seen; whoever waits at a terminal is told which.
pub(super) fn say_where(capture: &Capture) {
    let places: Vec<String> = capture.attached().iter().map(ToString::to_string).collect();
    eprintln!("interceptor: watching by {}; Ctrl-C ends it", places.join(", "));
}

/// Says what the kernel side could not hand over, if anything, and what would help. The kernel does not know of all of it whether
/// somebody wants it: what nobody does is skipped in the ledger, and no loss.
pub(super) fn warn_of_drops(drops: &Drops) {
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
            let name = reason.name();
            eprintln!(
                "interceptor: {packets} packets ({bytes} bytes), wanted or not, were not captured: {name}{advice}"
            );
        }
    }
}
