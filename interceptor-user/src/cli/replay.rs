//! `interceptor replay`: exchanges from capture files.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use super::{
    filter::FilterArgs,
    logging,
    output::OutputArgs,
    signal,
    summary::{Counted, Summary},
};
use crate::{
    capture::{packet::PacketStats, pcap::PcapSource},
    model::SetAside,
    pipeline::Pipeline,
};

const AFTER_HELP: &str = "\
Files may be pcap or pcapng, compressed with gzip or zstd or not, of any link type that carries IP. Several files are \
read one after the other, as the parts of one capture. Neither root nor any capability is needed. '-o har' writes an HTTP archive for \
browsers' developer tools, with bodies if '--body' is given; '-o pcapng' writes the TCP packets that were read, with headers made anew.

Examples:
  interceptor replay capture.pcap
  interceptor replay --status 5xx --headers --body capture.pcapng.gz
  interceptor replay -o json capture.pcap | jq -r '.\"url.path\"' | sort | uniq -c
  interceptor replay --grpc-status '!OK' --path '/inference.GRPCInferenceService/*' --body capture.pcap
  interceptor replay -o summary part1.pcap part2.pcap
  interceptor replay -o har --body=1MiB capture.pcap > capture.har
  interceptor replay -o pcapng --port 8080 all.pcap > some.pcapng
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
    args.output.check(&args.filter.filter())?;
    let stop = signal::stop_flag()?;
    logging::start();
    let view = args.output.view(args.filter.filter(), args.output.registry()?);
    let mut pipeline = Pipeline::new(args.output.pipeline()?, view);
    let mut packets = PacketStats::default();
    let started = Instant::now();
    for path in &args.files {
        let mut source = PcapSource::open(path, &stop)?;
        pipeline.run(&mut source, &stop)?;
        add(&mut packets, &source.stats().packets);
        if stop.load(Relaxed) || pipeline.sink().is_full() {
            break;
        }
    }
    pipeline.finish()?;
    let took = started.elapsed();
    match pipeline.sink().summary() {
        Some(summary) => print_summary(summary, &pipeline.counts().set_aside(), &packets, took)?,
        None => warn_of_unreadable(&packets),
    }
    Ok(())
}

fn print_summary(summary: &Summary, set_aside: &SetAside, packets: &PacketStats, took: Duration) -> io::Result<()> {
    #[expect(clippy::cast_precision_loss, reason = "four digits are read")]
    let rate = |count: u64| count as f64 / took.as_secs_f64().max(1e-9);
    let mut out = io::stdout().lock();
    summary.write(&mut out, set_aside)?;
    writeln!(out, "segments    {}; other packets: {}", packets.segments, Counted(others(packets).into_iter()))?;
    writeln!(
        out,
        "took        {:.3} s: {:.0} exchanges/s, {:.1} MB/s of payload",
        took.as_secs_f64(),
        rate(summary.exchanges()),
        rate(summary.captured()) / 1e6
    )
}

/// Packets that may have held what is missing. Those of other protocols held nothing for us.
fn warn_of_unreadable(packets: &PacketStats) {
    let unreadable = others(packets).into_iter().filter(|(name, _)| !name.starts_with("not_"));
    if unreadable.clone().any(|(_, count)| count > 0) {
        eprintln!("interceptor: packets that could not be read: {}", Counted(unreadable));
    }
}

const fn others(packets: &PacketStats) -> [(&'static str, u64); 6] {
    let PacketStats { segments: _, not_ip, not_tcp, fragments, headers_cut, malformed, unknown_link } = *packets;
    [
        ("not_ip", not_ip),
        ("not_tcp", not_tcp),
        ("fragments", fragments),
        ("headers_cut", headers_cut),
        ("malformed", malformed),
        ("unknown_link", unknown_link),
    ]
}

const fn add(sum: &mut PacketStats, file: &PacketStats) {
    let PacketStats { segments, not_ip, not_tcp, fragments, headers_cut, malformed, unknown_link } = *file;
    sum.segments += segments;
    sum.not_ip += not_ip;
    sum.not_tcp += not_tcp;
    sum.fragments += fragments;
    sum.headers_cut += headers_cut;
    sum.malformed += malformed;
    sum.unknown_link += unknown_link;
}
