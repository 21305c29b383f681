//! `interceptor policy explain`.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use super::{
    check::{inspectors, keeps, one_line, sinks},
    load,
};
use crate::policy::{
    Policy, Rule, Tenant,
    document::Action,
    expression::{Attribute, functions},
};

const AFTER_HELP: &str = "\
Examples:
  interceptor policy explain                    variables and functions of conditions
  interceptor policy explain observe-llm.yaml

Exit codes: 0 done, 2 a policy is wrong or cannot be read.";

/// Arguments of `interceptor policy explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Policies, and directories of policies
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn execute(args: &Args) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    if args.files.is_empty() {
        return Ok(reference(&mut out)?);
    }
    Ok(explain(&load(&args.files)?, &mut out)?)
}

fn explain(policy: &Policy, out: &mut impl Write) -> io::Result<()> {
    for rule in policy.rules() {
        writeln!(out, "{}", rule.name)?;
        for sentence in sentences(rule) {
            writeln!(out, "  {sentence}")?;
        }
        writeln!(out)?;
    }
    for steer in policy.steer() {
        writeln!(out, "{}\n  With `inline.enabled`, the inline path carries connections {steer}.\n", steer.name)?;
    }
    for name in policy.disabled() {
        writeln!(out, "{name}\n  Not in force: it is not enabled.\n")?;
    }
    writeln!(out, "Exchanges that no rule matches go to: {}.", sinks(policy.unmatched()))?;
    let reach = policy.reach();
    if reach.is_all() {
        return Ok(());
    }
    writeln!(out, "`interceptor run` has the kernel capture {reach}, and nothing else: no rule is about the rest.")
}

fn sentences(rule: &Rule) -> Vec<String> {
    let condition = &rule.condition;
    let mut all = vec![match condition.text() {
        "true" => "Matches every exchange.".to_owned(),
        text => format!(
            "Matches exchanges of which this is true: {}\n  That is known with the {}.",
            one_line(text),
            condition.stage().name()
        ),
    }];
    if let Some(sample) = &rule.sample {
        let each = match &sample.key {
            Some(key) => format!("all or none of those with the same {}", one_line(key.text())),
            None => "each by itself".to_owned(),
        };
        all.push(format!("Of these it takes {} %, drawn {each}.", sample.rate * 100.0));
        if let Some(always) = &sample.always {
            all.push(format!("It takes in any case those of which this is true: {}", one_line(always.text())));
        }
        all.push("The others are counted and not shown.".to_owned());
    }
    all.push(format!("Keeps {}.", keeps(rule)));
    if let Some(names) = inspectors(rule) {
        all.push(format!("Inspects: {names}."));
    }
    if !rule.extract.is_empty() {
        let names: Vec<String> =
            rule.extract.iter().map(|value| format!("{} ({})", value.name, value.place())).collect();
        all.push(format!("Takes out: {}.", names.join(", ")));
    }
    if let Some(tenant) = &rule.tenant {
        all.push(match tenant {
            Tenant::Header(name) => format!("The tenant is what the header {name} says, unverified."),
            Tenant::JwtClaim(name) => {
                format!("The tenant is what the claim {name} of the bearer token says, unverified.")
            }
        });
    }
    if let Some(redact) = &rule.redact {
        let count = redact.headers.len() + redact.query.len() + redact.json_path.len();
        let pii = if redact.pii { ", and what pii finds" } else { "" };
        all.push(format!("Does not show: {count} named place{}{pii}.", if count == 1 { "" } else { "s" }));
    }
    all.push(format!("Reports to: {}.", sinks(rule.sinks)));
    if let Some(would) = rule.action.as_ref().and_then(Action::would) {
        all.push(format!(
            "Would {} ({}) on the inline path; the passive path only says so.",
            would.action, would.detail
        ));
    }
    all
}

fn reference(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "Variables, with their types and when they are known:\n")?;
    let width = Attribute::ALL.iter().map(|attribute| attribute.path().len()).max().unwrap_or(0);
    for attribute in Attribute::ALL {
        let (kind, stage) = (attribute.kind().to_string(), attribute.stage().name());
        writeln!(out, "  {:<width$}  {kind:<19} {stage:<13} {}", attribute.path(), attribute.doc())?;
    }
    writeln!(out, "\nWhat has no value in an exchange makes a condition not match; has(...) asks for it.\n")?;
    for attribute in Attribute::ALL {
        if let Some(values) = attribute.allowed() {
            writeln!(out, "Values of {}: {}\n", attribute.path(), values.join(", "))?;
        }
    }
    writeln!(out, "Operators: == != < <= > >= in && || ! + - * / % ?: [] .\n\nFunctions:\n")?;
    for text in functions() {
        writeln!(out, "  {text}")?;
    }
    Ok(())
}
