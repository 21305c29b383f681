//! `interceptor policy test`.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use clap::{ValueEnum, error::ErrorKind};
use serde_json::json;

use super::{
    key, load,
    plan::of,
    trial::{Sides, Trial},
};
use crate::{
    capture::pcap::PcapSource,
    cli::signal,
    config::closest,
    inspect::{self, Plan, Policies, Stage},
    model::{DriftRecord, DriftTest, Record, Timestamp},
    pipeline::{self, Pipeline},
    policy::Policy,
    protobuf::Registry,
    sink::{Sink, escape::Escaped, messages},
};

const AFTER_HELP: &str = "\
Each rule's condition is shown in its parts, each with what it gives for the exchange: true, false, none where \
something has no value, or an error. The latter two are no match. What an inline path would have done is shown as 'would'. \
Contents are kept, inspected and redacted as 'interceptor run' does it, but for limits of time.

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
    let sides = chosen(&policy, args.rule.as_deref())?;
    let plan = of(policy.clone(), &key()?, &mut Vec::new())?;
    let registry = Registry::load(&args.proto, &args.proto_path)?;
    let stop = signal::stop_flag()?;
    let options = options(plan, &registry);
    let looks = inspect::Options { keep_only: false, ..options.inspect.clone() };
    let trials = Trials {
        stage: Stage::new(looks),
        registry,
        json: args.output == Format::Json,
        out: io::BufWriter::new(io::stdout()),
        exchanges: 0,
        counts: sides.iter().map(|sides| (sides.rule.name.to_string(), (0, 0))).collect(),
        drift: Vec::new(),
        sides,
    };
    let mut pipeline = Pipeline::new(options, trials);
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

/// As `run` does it, but that nothing depends on how fast this machine is, and that exchanges are looked at where their trial is.
fn options(plan: Plan, registry: &Registry) -> pipeline::Options {
    let inspect = inspect::Options {
        policies: Some(Arc::new(Policies::new(plan))),
        registry: registry.clone(),
        budget_time: None,
        keep_only: true,
        ..inspect::Options::default()
    };
    pipeline::Options { inspect, ..pipeline::Options::default() }
}

/// Asks the rules about each exchange.
struct Trials<'p, W> {
    stage: Stage,
    sides: Vec<Sides<'p>>,
    registry: Registry,
    json: bool,
    out: W,
    exchanges: u64,
    /// Matches of each rule, and of them those in its sample.
    counts: BTreeMap<String, (u64, u64)>,
    /// Windows that are over, of the rules that are shown.
    drift: Vec<DriftRecord>,
}

impl<W: Write> Sink for Trials<'_, W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Record::Exchange(exchange) = record else { return Ok(()) };
        messages::learn(exchange, &self.registry);
        let trial = Trial::of(&self.sides, exchange, &mut self.stage);
        self.drift.extend(self.stage.look.take_drift());
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
        self.stage.tick(Timestamp::default(), true);
        self.drift.extend(self.stage.look.take_drift());
        self.drift.retain(|drift| self.counts.contains_key(&*drift.rule));
        let exchanges = self.exchanges;
        if self.json {
            let rules = self
                .counts
                .iter()
                .map(|(rule, (matched, sampled))| json!({ "rule": rule, "matched": matched, "sampled": sampled }));
            let drift: Vec<_> = self.drift.iter().map(drift_json).collect();
            let summary = rules.collect::<Vec<_>>();
            writeln!(self.out, "{}", json!({ "exchanges": exchanges, "summary": summary, "drift": drift }))?;
        } else {
            for (rule, (matched, sampled)) in &self.counts {
                writeln!(self.out, "{rule}: matched {matched} of {exchanges}, {sampled} of them in the sample")?;
            }
            for drift in &self.drift {
                let feature = Escaped(drift.feature.as_bytes());
                let outcome = match (drift.test, drift.score) {
                    (Some(test), Some(score)) => format!("{} {score:.4} (limit {})", test.name(), drift.threshold),
                    _ => "too few values".to_owned(),
                };
                let drifted = if drift.drifted { "drift" } else { "no drift" };
                writeln!(self.out, "{}: {drifted} of {feature}: {outcome}, {} values", drift.rule, drift.count)?;
            }
        }
        Ok(self.out.flush()?)
    }
}

fn drift_json(drift: &DriftRecord) -> serde_json::Value {
    json!({
        "rule": &*drift.rule,
        "model": drift.model.as_deref(),
        "feature": &*drift.feature,
        "count": drift.count,
        "missing": drift.missing,
        "test": drift.test.map(DriftTest::name),
        "score": drift.score.filter(|score| score.is_finite()),
        "threshold": drift.threshold,
        "drifted": drift.drifted,
    })
}
