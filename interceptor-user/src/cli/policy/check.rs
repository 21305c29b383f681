//! `interceptor policy check`.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{key, load, plan};
use crate::{
    config::Size,
    model::{Needs, SinkName, Sinks},
    policy::{Policy, Rule},
};

const AFTER_HELP: &str = "\
Policies are refused whole, with file, line, column and what would be right. Of a directory the files that end in .yaml or .yml are \
taken. Baselines and schemas that rules name are read too. Actions need the inline path: what is marked 'would' is reported and not done.

Examples:
  interceptor policy check observe-llm.yaml
  interceptor policy check /etc/interceptor/policies

Exit codes: 0 they are right, 2 they are not, or cannot be read.";

/// Arguments of `interceptor policy check`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Policies, and directories of policies; those that are in force together belong in one call
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Do not read the baselines and schemas that rules name: they are elsewhere
    #[arg(long)]
    no_files: bool,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.no_files {
        return Ok(print(&load(&args.files)?, &mut out)?);
    }
    Ok(print(plan(&args.files, &key()?)?.policy(), &mut out)?)
}

fn print(policy: &Policy, out: &mut impl Write) -> io::Result<()> {
    for rule in policy.rules() {
        writeln!(out, "{}", rule.name)?;
        for (what, text) in lines(rule) {
            writeln!(out, "  {what:<9} {text}")?;
        }
    }
    for steer in policy.steer() {
        writeln!(out, "{}\n  {:<9} {steer}", steer.name, "steer")?;
    }
    for name in policy.disabled() {
        writeln!(out, "{name}\n  {:<9} right, but not enabled", "off")?;
    }
    let count = policy.rules().len();
    writeln!(out, "{count} rule{} in force", if count == 1 { "" } else { "s" })?;
    writeln!(out, "exchanges that no rule matches: {}", sinks(policy.unmatched()))
}

/// What is in force of a rule.
fn lines(rule: &Rule) -> Vec<(&'static str, String)> {
    let mut all = vec![("match", one_line(rule.condition.text()))];
    all.push(("known", format!("with the {}", rule.condition.stage().name())));
    if let Some(sample) = &rule.sample {
        let key = sample.key.as_ref().map(|key| format!(", by {}", one_line(key.text()))).unwrap_or_default();
        let always = sample.always.as_ref();
        let always = always.map(|always| format!("; always if {}", one_line(always.text()))).unwrap_or_default();
        all.push(("sample", format!("{}{key}{always}", sample.rate)));
    }
    if let Some(inspect) = inspectors(rule) {
        all.push(("inspect", inspect));
    }
    if let Some(missing) = rule.inspect.drift.as_ref().and_then(|drift| missing(rule, &drift.baseline)) {
        all.push(("missing", missing));
    }
    if !rule.extract.is_empty() {
        let names: Vec<&str> = rule.extract.iter().map(|value| &*value.name).collect();
        all.push(("extract", names.join(", ")));
    }
    all.push(("keep", keeps(rule)));
    all.push(("sinks", sinks(rule.sinks)));
    if let Some(would) = rule.action.as_ref().and_then(crate::policy::document::Action::would) {
        all.push(("would", format!("{} {}", would.action, would.detail)));
    }
    all
}

/// The baseline, if it is not there; it lies beside the policy.
fn missing(rule: &Rule, baseline: &str) -> Option<String> {
    let path = Path::new(&*rule.file).parent().unwrap_or(Path::new("")).join(baseline);
    let text = || format!("{} is not there; 'interceptor baseline learn' makes it", path.display());
    (!path.exists()).then(text)
}

/// Names of what looks at exchanges.
pub(super) fn inspectors(rule: &Rule) -> Option<String> {
    let inspect = &rule.inspect;
    let all = [
        ("inference", inspect.inference.is_some()),
        ("pii", inspect.pii.is_some()),
        ("drift", inspect.drift.is_some()),
        ("schema", inspect.schema.is_some()),
        ("transport", inspect.transport.is_some()),
    ];
    let named: Vec<&str> = all.into_iter().filter_map(|(name, on)| on.then_some(name)).collect();
    (!named.is_empty()).then(|| named.join(", "))
}

/// What is kept of contents.
pub(super) fn keeps(rule: &Rule) -> String {
    let needs = needs(rule);
    let size = |bytes: usize| if bytes == 0 { "nothing".to_owned() } else { Size(bytes as u64).to_string() };
    if needs == Needs::default() {
        return "no content".to_owned();
    }
    format!("{} of the request, {} of the response", size(needs.request), size(needs.response))
}

/// What the rule itself and its inspectors take of contents.
fn needs(rule: &Rule) -> Needs {
    if rule.inspects_any() { rule.keep } else { rule.own_needs(true) }
}

/// Names of sinks.
pub(super) fn sinks(sinks: Sinks) -> String {
    let names: Vec<&str> = sinks.iter().map(SinkName::name).collect();
    match names.len() {
        0 => "none".to_owned(),
        count if count == SinkName::ALL.len() => "all".to_owned(),
        _ => names.join(", "),
    }
}

/// An expression on one line.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
