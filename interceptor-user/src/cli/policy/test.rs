//! `interceptor policy test`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
};

use clap::{ValueEnum, error::ErrorKind};
use serde_json::json;

use super::{
    load,
    trial::{Sides, Trial},
};
use crate::{
    capture::pcap::PcapSource,
    cli::signal,
    config::closest,
    inference,
    model::Record,
    pipeline::{self, Pipeline},
    policy::Policy,
    protobuf::Registry,
    sink::{Sink, messages},
};

const AFTER_HELP: &str = "\
Each rule's condition is shown in its parts, each with what it gives for the exchange: true, false, none where \
something has no value, or an error. The latter two are no match. What an inline path would have done is shown as 'would'.

Examples:
  interceptor policy test observe-llm.yaml --capture traffic.pcap
  interceptor policy test policies/ --capture a.pcap --capture b.pcap --rule pii-audit/prompts
  interceptor policy test payload-log.yaml --capture traffic.pcap -o json | jq 'select(.rules[].matched)'

Exit codes: 0 done, 1 a capture cannot be read, 2 a policy or the command line is wrong.";

/// Arguments of `interceptor policy test`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Policies, and directories of policies
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Capture files (pcap, pcapng) to try them on; '-' is standard input
    #[arg(long, required = true, value_name = "CAPTURE")]
    capture: Vec<PathBuf>,
    /// Show this rule only: 'policy/rule', or the rule's name
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Text for people, or one JSON object an exchange
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Definitions of gRPC messages: a .proto file, or a descriptor set; may be repeated
    #[arg(long, value_name = "FILE")]
    proto: Vec<PathBuf>,
    /// Directory in which .proto files find what they import; may be repeated
    #[arg(long, value_name = "DIR", requires = "proto")]
    proto_path: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<()> {
    let policy = load(&args.files)?;
    let registry = Registry::load(&args.proto, &args.proto_path)?;
    let sides = chosen(&policy, args.rule.as_deref())?;
    let stop = signal::stop_flag()?;
    let trials = Trials {
        policy: &policy,
        options: inference::Options { estimate_tokens: policy.estimates_tokens() },
        registry,
        json: args.output == Format::Json,
        out: io::BufWriter::new(io::stdout()),
        exchanges: 0,
        counts: sides.iter().map(|sides| (sides.rule.name.to_string(), (0, 0))).collect(),
        sides,
    };
    let mut pipeline = Pipeline::new(options(&policy), trials);
    for path in &args.capture {
        let mut source = PcapSource::open(path, &stop)?;
        pipeline.run(&mut source, &stop)?;
    }
    pipeline.finish()
}

/// The rules to show, of those that are in force.
fn chosen<'p>(policy: &'p Policy, name: Option<&str>) -> Result<Vec<Sides<'p>>, clap::Error> {
    let is = |full: &str, name: &str| full == name || full.rsplit_once('/').is_some_and(|(_, rule)| rule == name);
    let rules = policy.rules().iter().filter(|rule| name.is_none_or(|name| is(&rule.name, name)));
    let sides: Vec<Sides<'p>> = rules.map(Sides::of).collect();
    match name {
        Some(name) if sides.is_empty() => {
            let known =
                policy.rules().iter().flat_map(|rule| [&*rule.name, rule.name.rsplit('/').next().unwrap_or("")]);
            let meant = closest(name, known).map(|meant| format!("; did you mean '{meant}'?")).unwrap_or_default();
            Err(clap::Error::raw(ErrorKind::InvalidValue, format!("there is no rule '{name}' in force{meant}\n")))
        }
        _ => Ok(sides),
    }
}

/// Contents are kept as far as any rule may look at them.
fn options(policy: &Policy) -> pipeline::Options {
    let body = policy.rules().iter().map(|rule| rule.keep.request.max(rule.keep.response)).max().unwrap_or(0);
    let mut options = pipeline::Options::default();
    options.session.body = body;
    options.session.memory += 2 * body;
    options
}

/// Asks the rules about each exchange.
struct Trials<'p, W> {
    policy: &'p Policy,
    sides: Vec<Sides<'p>>,
    options: inference::Options,
    registry: Registry,
    json: bool,
    out: W,
    exchanges: u64,
    /// Matches of each rule, and of them those in its sample.
    counts: BTreeMap<String, (u64, u64)>,
}

impl<W: Write> Sink for Trials<'_, W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Record::Exchange(exchange) = record else { return Ok(()) };
        messages::learn(exchange, &self.registry);
        let inference = inference::read(exchange, &self.options);
        let trial = Trial::of(self.policy, &self.sides, exchange, inference.as_ref(), &self.registry);
        self.exchanges += 1;
        for (rule, sampled) in trial.matched() {
            if let Some((matched, taken)) = self.counts.get_mut(rule) {
                *matched += 1;
                *taken += u64::from(sampled);
            }
        }
        if self.json {
            writeln!(self.out, "{}", trial.json())?;
        } else {
            writeln!(self.out, "{trial}")?;
        }
        Ok(())
    }

    fn close(&mut self) -> anyhow::Result<()> {
        let exchanges = self.exchanges;
        if self.json {
            let rules = self
                .counts
                .iter()
                .map(|(rule, (matched, sampled))| json!({ "rule": rule, "matched": matched, "sampled": sampled }));
            writeln!(self.out, "{}", json!({ "exchanges": exchanges, "summary": rules.collect::<Vec<_>>() }))?;
        } else {
            for (rule, (matched, sampled)) in &self.counts {
                writeln!(self.out, "{rule}: matched {matched} of {exchanges}, {sampled} of them in the sample")?;
            }
        }
        Ok(self.out.flush()?)
    }
}
