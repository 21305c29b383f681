//! What the ready-made policies say of the corpus: of each capture, outcomes and the exchanges that have them.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};

use anyhow::{Context as _, Result, ensure};
use interceptor::{
    capture::pcap::PcapSource,
    inspect::{self, Plan, Policies, pii::Key},
    model::{DriftRecord, DriftTest, Exchange, Finding, Part, Record, Role, Uninspected},
    pipeline::{Options, Pipeline},
    policy::Policy,
    sink::Sink,
};

/// The page on one policy.
pub(crate) fn page(policy: &Path, captures: &[PathBuf]) -> Result<String> {
    let name = policy.file_name().context("no name")?.to_string_lossy().into_owned();
    let mut page = format!(
        "# What deploy/policies/{name} says of the corpus. What no rule matches is not listed.\n\
         # UPDATE_EXPECT=1 cargo xtask test corpus::policies writes this file.\n"
    );
    let (mut silent, mut counted) = (0, 0);
    for capture in captures {
        let found = replay(policy, capture).with_context(|| capture.display().to_string())?;
        let directory = capture.parent().and_then(Path::file_name).unwrap_or_default();
        let (directory, file) = (Path::new(directory), capture.file_stem().unwrap_or_default());
        ensure!(found.verdicts == found.exchanges, "an exchange without a verdict");
        if found.outcomes.is_empty() && found.drift.is_empty() {
            (silent, counted) = (silent + 1, counted + found.exchanges);
            continue;
        }
        writeln!(page, "\n{}, exchanges: {}", directory.join(file).display(), found.exchanges)?;
        for (outcome, exchanges) in found.outcomes {
            writeln!(page, "  {}\n{outcome}", exchanges.join(" "))?;
        }
        found.drift.iter().try_for_each(|drift| writeln!(page, "  {drift}"))?;
    }
    writeln!(page, "\nNothing is said of {counted} exchanges in the other {silent} captures.")?;
    ensure!(!page.contains("@example."), "a value is shown");
    Ok(page)
}

/// As `interceptor replay --policy` does it, but with time enough, and a key of our own.
fn replay(policy: &Path, capture: &Path) -> Result<Found> {
    let text = fs::read_to_string(policy)?;
    let parsed = Policy::parse(&[(&*policy.to_string_lossy(), &text)])?;
    let plan = Plan::new(parsed, &|path| fs::read(path), &Key::new(b"the corpus"))?;
    let inspect = inspect::Options {
        policies: Some(Arc::new(Policies::new(plan))),
        budget_time: None,
        ..inspect::Options::default()
    };
    let mut pipeline = Pipeline::new(Options { inspect, ..Options::default() }, Found::default());
    let stop = Arc::new(AtomicBool::new(false));
    pipeline.run(&mut PcapSource::open(capture, &stop)?, &stop)?;
    pipeline.finish()?;
    Ok(pipeline.into_sink())
}

/// Outcomes in the order in which they were seen first.
#[derive(Default)]
struct Found {
    exchanges: usize,
    verdicts: usize,
    outcomes: Vec<(String, Vec<String>)>,
    drift: Vec<String>,
}

impl Sink for Found {
    fn record(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Drift(drift) => {
                self.drift.push(told(drift));
                Ok(())
            }
            Record::Message(_) | Record::Flow(_) | Record::Edge(_) => Ok(()),
        }
    }
}

impl Found {
    fn exchange(&mut self, exchange: &Exchange) -> Result<()> {
        self.exchanges += 1;
        self.verdicts += usize::from(exchange.verdict.is_some());
        let outcome = outcome(exchange)?;
        if outcome.is_empty() {
            return Ok(());
        }
        let id = format!("{}.{}", exchange.flow.id, exchange.number);
        match self.outcomes.iter_mut().find(|(known, _)| *known == outcome) {
            Some((_, exchanges)) => exchanges.push(id),
            None => self.outcomes.push((outcome, vec![id])),
        }
        Ok(())
    }
}

/// Rules with what they extract, findings without their hashes, what was not inspected, what is not shown.
fn outcome(exchange: &Exchange) -> Result<String> {
    let Some(verdict) = exchange.verdict.as_deref().filter(|verdict| !verdict.rules.is_empty()) else {
        return Ok(String::new());
    };
    let mut all = String::new();
    if let Some(inference) = &exchange.inference {
        let (dialect, operation) = (inference.dialect.name(), inference.operation.name());
        writeln!(all, "    {dialect} {operation} {}", inference.model.as_deref().unwrap_or("-"))?;
    }
    for rule in &verdict.rules {
        write!(all, "    {}: {}", rule.rule, rule.sampled.name())?;
        for (name, value) in &rule.extracted {
            write!(all, ", {name} {value}")?;
        }
        writeln!(all, "{}", rule.would.as_ref().map(|would| format!(", would {}", would.action)).unwrap_or_default())?;
    }
    for Finding { inspector, kind, role, place, score, value, count, .. } in &verdict.findings {
        let masked = value.as_ref().map(|value| value.masked.as_str()).unwrap_or_default();
        writeln!(all, "    found {} {kind} {} {place} {score:.2} {masked} ×{count}", inspector.name(), side(*role))?;
    }
    for Uninspected { inspector, role, reason, .. } in &verdict.uninspected {
        writeln!(all, "    not inspected {} {} {}", inspector.name(), side(*role), reason.name())?;
    }
    for (role, part) in [(Role::Request, &exchange.request), (Role::Response, &exchange.response)] {
        if part.as_ref().is_some_and(|part: &Part| part.redacted) {
            writeln!(all, "    redacted {}", side(Some(role)))?;
        }
    }
    all.pop();
    Ok(all)
}

fn side(role: Option<Role>) -> &'static str {
    match role {
        Some(Role::Request) => "request",
        Some(Role::Response) => "response",
        None => "both",
    }
}

fn told(drift: &DriftRecord) -> String {
    let score = drift.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.3e}"));
    let test = drift.test.map_or("too few", DriftTest::name);
    let DriftRecord { rule, feature, count, missing, out_of_range, drifted, .. } = drift;
    format!(
        "{rule} {feature}: {count} values, {missing} missing, {out_of_range} out of range, {test} {score}, drifted {drifted}"
    )
}
