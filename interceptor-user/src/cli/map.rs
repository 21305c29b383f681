//! `interceptor map`: who calls whom.

mod fetch;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Instant,
};

use clap::{ValueEnum, error::ErrorKind};

use super::{
    filter::FilterArgs,
    logging,
    output::Color,
    signal,
    skip::skip,
    tail::{self, Watch},
};
use crate::{
    capture::pcap::PcapSource,
    config::Period,
    inference, inspect,
    kernel::{Capture, Identity},
    model::Record,
    pipeline::{self, Pipeline},
    policy::Filter,
    privilege::{self, Give},
    sink::{
        Sink, Stop,
        map::{Chart, Dot, Limits, Map, Mermaid, Table},
    },
};

const AFTER_HELP: &str = "\
Without a FILE and '--for', the map of a running 'interceptor run' is shown: all that it saw, but for what was not used for \
an hour. With FILEs (pcap, pcapng, compressed or not) it is the map of what they hold, and with '--for' of what passes in that time, \
for which 'tail' tells what is needed.

An end is the best that is known of it: a pod, a container, a process with its number, an address. A connection that is \
not decoded (TLS, a database) is on the map when it is over. ERRORS are statuses of 5xx, gRPC statuses that are the server's fault, errors of \
models, and requests without a response. BYTES are those of contents, from the client / from the server; of connections that are not decoded, all.

Examples:
  interceptor map                               of the daemon on this machine
  interceptor map --address http://10.0.0.7:9464
  interceptor map capture.pcap
  interceptor map --for 10s --pods              of all pods of this node, in ten seconds
  interceptor map --for 1m --port 8080 --path '/v1/*'
  interceptor map --format dot | dot -Tsvg > map.svg
  interceptor map --format mermaid capture.pcap
  interceptor map --format json | jq '.edges[] | select(.errors > 0)'

Exit codes: 0 done, 1 there is no daemon, a file cannot be read or it cannot capture, 2 the command line is wrong.";

/// Arguments of `interceptor map`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Capture files; '-' is standard input
    #[arg(value_name = "FILE", conflicts_with_all = ["address", "for"])]
    files: Vec<PathBuf>,
    /// Where a running daemon serves its metrics
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9464", conflicts_with = "for")]
    address: String,
    /// Capture for so long: 10s, 5m; Ctrl-C ends it early
    #[arg(long = "for", id = "for", value_name = "TIME")]
    time: Option<Period>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// When to use colours; auto: on a terminal, unless NO_COLOR is set
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: Color,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    filter: FilterArgs,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table
    #[default]
    Text,
    /// Graphviz
    Dot,
    /// A flowchart for Markdown
    Mermaid,
    Json,
}

/// Draws the map.
pub fn execute(args: &Args) -> anyhow::Result<()> {
    args.check()?;
    logging::start();
    let chart = if args.time.is_some() {
        args.live()?
    } else if args.files.is_empty() {
        fetch::chart(&args.address)?
    } else {
        args.of_files()?
    };
    let mut out = io::stdout().lock();
    match args.format {
        Format::Text => {
            let colour = args.color.applies(&io::stdout());
            write!(out, "{}", Table { chart: &chart, colour })?;
        }
        Format::Dot => write!(out, "{}", Dot(&chart))?,
        Format::Mermaid => write!(out, "{}", Mermaid(&chart))?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&chart)?)?,
    }
    Ok(())
}

impl Args {
    fn check(&self) -> Result<(), clap::Error> {
        let refuse = |problem: &str| Err(clap::Error::raw(ErrorKind::ArgumentConflict, problem));
        if self.time.is_none() && self.watch.is_given() {
            return refuse("what is watched goes with '--for', which says for how long\n");
        }
        if self.time.is_none() && self.files.is_empty() && !self.filter.filter().is_empty() {
            return refuse("a daemon's map is drawn already: filters go with a FILE or with '--for'\n");
        }
        Ok(())
    }

    fn of_files(&self) -> anyhow::Result<Chart> {
        let stop = signal::stop_flag()?;
        let mut pipeline = Pipeline::new(options(), Mapped::new(self.filter.filter(), None));
        for path in &self.files {
            pipeline.run(&mut PcapSource::open(path, &stop)?, &stop)?;
        }
        pipeline.finish()?;
        Ok(pipeline.sink().map.chart())
    }

    fn live(&self) -> anyhow::Result<Chart> {
        let place = self.watch.place()?;
        let needs = self.watch.needs(&place, Vec::new());
        let mut filter = self.filter.filter();
        filter.processes.extend(place.process);
        // Before any thread is started.
        privilege::begin(Give { capabilities: true, sandbox: true }, &needs);
        let stop = signal::stop_flag()?;
        let mut identity = Identity::new(place.netns.as_deref())?;
        let mut capture = Capture::start(&self.watch.capture_options(place, &self.filter))?;
        let mut source = capture.source()?;
        capture.follow(privilege::settle)?;
        privilege::settle();
        tail::say_where(&capture);
        let until = self.time.and_then(|time| Instant::now().checked_add(time.0));
        let mut pipeline = Pipeline::new(options(), Mapped::new(filter, until))
            .with_identify(Box::new(move |info| identity.fill(info)))
            .with_skip(skip(capture.cut_offs()?));
        pipeline.run(&mut source, &stop)?;
        pipeline.finish()?;
        tail::warn_of_drops(&capture.drops()?);
        Ok(pipeline.into_sink().map.chart())
    }
}

/// Models are on the map, so inferences are read.
fn options() -> pipeline::Options {
    pipeline::Options {
        inspect: inspect::Options { inference: inference::BODY, ..inspect::Options::default() },
        ..pipeline::Options::default()
    }
}

/// Puts what passes the filter on a map, until a time.
struct Mapped {
    map: Map,
    filter: Filter,
    until: Option<Instant>,
}

impl Mapped {
    fn new(filter: Filter, until: Option<Instant>) -> Self {
        Self { map: Map::new(Limits::default()), filter, until }
    }
}

impl Sink for Mapped {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let passes = self.filter.is_empty()
            || match record {
                Record::Exchange(exchange) => self.filter.matches(exchange),
                Record::Flow(flow) => self.filter.matches_flow(flow),
                Record::Message(_) | Record::Drift(_) | Record::Edge(_) => false,
            };
        if passes {
            self.map.record(record);
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        if self.until.is_some_and(|until| Instant::now() >= until) { Err(Stop.into()) } else { Ok(()) }
    }
}
