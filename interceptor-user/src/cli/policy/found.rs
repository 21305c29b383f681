//! What inspectors saw for one rule, and what they did not look at.

use std::fmt;

use serde_json::{Value, json};

use crate::{
    model::{Finding, Role, Uninspected, Verdict},
    sink::escape::Escaped,
};

pub(super) fn findings<'v>(verdict: &'v Verdict, rule: &str) -> impl Iterator<Item = &'v Finding> {
    verdict.findings.iter().filter(move |finding| &*finding.rule == rule)
}

pub(super) fn uninspected<'v>(verdict: &'v Verdict, rule: &str) -> impl Iterator<Item = &'v Uninspected> {
    verdict.uninspected.iter().filter(move |skipped| &*skipped.rule == rule)
}

/// Without the hash: that is another one each time.
pub(super) fn json(finding: &Finding) -> Value {
    json!({
        "inspector": finding.inspector.name(),
        "kind": finding.kind,
        "direction": finding.role.map(Role::name),
        "place": finding.place,
        "score": finding.score,
        "masked": finding.value.as_ref().map(|value| &value.masked),
        "text": finding.text,
        "count": finding.count,
    })
}

pub(super) fn uninspected_json(skipped: &Uninspected) -> Value {
    json!({
        "inspector": skipped.inspector.name(),
        "direction": skipped.role.map(Role::name),
        "reason": skipped.reason.name(),
    })
}

/// A line each.
pub(super) fn write(verdict: &Verdict, rule: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for finding in findings(verdict, rule) {
        let Finding { inspector, kind, role, place, score, value, text, count, .. } = finding;
        write!(f, "    found {} {}", inspector.name(), Escaped(kind.as_bytes()))?;
        if let Some(role) = role {
            write!(f, " in the {}", role.name())?;
        }
        if !place.is_empty() {
            write!(f, " at {}", Escaped(place.as_bytes()))?;
        }
        write!(f, ", score {score:.2}")?;
        if let Some(value) = value {
            write!(f, ": {}", Escaped(value.masked.as_bytes()))?;
        }
        if !text.is_empty() {
            write!(f, ": {}", Escaped(text.as_bytes()))?;
        }
        writeln!(f, "{}", if *count > 1 { format!(" ({count} times)") } else { String::new() })?;
    }
    for Uninspected { inspector, role, reason, .. } in uninspected(verdict, rule) {
        let side = role.map(|role| format!(" in the {}", role.name())).unwrap_or_default();
        writeln!(f, "    not inspected for {}{}: {}", inspector.name(), side, reason.name())?;
    }
    Ok(())
}
