//! A line per inference: model, shape or tokens, time to first token, rate; and what the policy says, on any line.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{columns::Took, style::Styles};
use crate::{
    model::{DriftRecord, Exchange, Inference, Role, Tensor, Timing, Verdict},
    sink::escape::Escaped,
};

/// Tensors of each side that are shown.
const TENSORS: usize = 3;

/// What stands in the place of the target.
pub(super) fn write(out: &mut String, exchange: &Exchange, inference: &Inference, styles: &Styles) -> fmt::Result {
    let dim = styles.dim;
    let model = inference.model.as_deref().or(inference.response_model.as_deref()).unwrap_or("-");
    write!(out, "{}", Escaped(model.as_bytes()))?;
    if let Some(version) = &inference.version {
        write!(out, ":{}", Escaped(version.as_bytes()))?;
    }
    write!(out, " {dim}{}{dim:#}", inference.dialect.name())?;
    if let Some(tenant) = &inference.tenant {
        write!(out, "  for {}?", Escaped(tenant.as_bytes()))?;
    }
    write_tensors(out, inference)?;
    write_tokens(out, inference)?;
    for reason in inference.finish_reasons.iter().take(TENSORS) {
        write!(out, "  {}", Escaped(reason.as_bytes()))?;
    }
    for call in inference.tool_calls.iter().take(TENSORS) {
        write!(out, "  {}()", Escaped(call.name.as_bytes()))?;
    }
    write_delays(out, exchange, inference, styles)?;
    write_troubles(out, inference, styles)
}

fn write_tensors(out: &mut String, inference: &Inference) -> fmt::Result {
    let [inputs, outputs] = [&inference.inputs, &inference.outputs];
    if inputs.is_empty() && outputs.is_empty() {
        return inference.batch.filter(|batch| *batch > 1).map_or(Ok(()), |batch| write!(out, "  batch {batch}"));
    }
    out.push_str("  ");
    write_side(out, inputs)?;
    out.push_str(" → ");
    write_side(out, outputs)
}

fn write_side(out: &mut String, tensors: &[Tensor]) -> fmt::Result {
    if tensors.is_empty() {
        out.push('?');
    }
    for (index, tensor) in tensors.iter().take(TENSORS).enumerate() {
        let space = if index > 0 { " " } else { "" };
        write!(out, "{space}{}", Escaped(tensor.name.as_bytes()))?;
        out.push('[');
        for (index, size) in tensor.shape.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(out, "{comma}{size}")?;
        }
        out.push(']');
    }
    if tensors.len() > TENSORS {
        write!(out, " +{}", tensors.len() - TENSORS)?;
    }
    Ok(())
}

/// Tokens, and how fast they came.
fn write_tokens(out: &mut String, inference: &Inference) -> fmt::Result {
    let (usage, timing) = (inference.usage, inference.timing);
    if usage.input.is_some() || usage.output.is_some() {
        let about = if usage.estimated { "~" } else { "" };
        let count = |tokens: Option<u64>| tokens.map_or_else(|| "?".to_owned(), |tokens| tokens.to_string());
        write!(out, "  {about}{}→{} tok", count(usage.input), count(usage.output))?;
    }
    if let Some(first) = timing.first_token {
        write!(out, "  first {}", Took(Some(first)))?;
    }
    if let Some(each) = timing.per_output_token.filter(|each| !each.is_zero()) {
        write!(out, "  {:.0} tok/s", 1.0 / each.as_secs_f64())?;
    } else if timing.chunks > 1 {
        write!(out, "  {} chunks", timing.chunks)?;
    }
    Ok(())
}

/// What took more than a tenth of the exchange's time and was not the server.
fn write_delays(out: &mut String, exchange: &Exchange, inference: &Inference, styles: &Styles) -> fmt::Result {
    let (dim, whole) = (styles.dim, exchange.duration().unwrap_or_default());
    let Timing { stalled, waited, .. } = inference.timing;
    for (what, time) in [("reader stalled", stalled), ("network waited", waited)] {
        if time > whole / 10 {
            write!(out, "  {dim}{what} {}{dim:#}", Took(Some(time)))?;
        }
    }
    Ok(())
}

fn write_troubles(out: &mut String, inference: &Inference, styles: &Styles) -> fmt::Result {
    let bad = styles.bad;
    if let Some(error) = &inference.error {
        let kind = error.kind.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("error");
        write!(out, "  {bad}!{}{bad:#}", Escaped(kind.as_bytes()))?;
        write!(out, " {}", Escaped(error.message.as_bytes()))?;
    }
    if inference.timing.wasted_bytes > 0 {
        write!(out, "  {bad}!wasted {}B{bad:#}", inference.timing.wasted_bytes)?;
    }
    if let Some(unread) = inference.unread {
        let dim = styles.dim;
        write!(out, "  {dim}({}){dim:#}", unread.name())?;
    }
    Ok(())
}

/// What the policy says of it: findings by their kind, and what would have been done.
pub(super) fn write_verdict(out: &mut String, exchange: &Exchange, styles: &Styles) -> fmt::Result {
    let Some(verdict) = &exchange.verdict else { return Ok(()) };
    let Verdict { rules, findings, uninspected, .. } = &**verdict;
    let (found, dim) = (styles.refused, styles.dim);
    let mut kinds = BTreeMap::<(&str, &str), u64>::new();
    for finding in findings {
        *kinds.entry((finding.inspector.name(), &finding.kind)).or_default() += u64::from(finding.count);
    }
    for ((inspector, kind), count) in kinds {
        write!(out, "  {found}{inspector}:{}", Escaped(kind.as_bytes()))?;
        if count > 1 {
            write!(out, "×{count}")?;
        }
        write!(out, "{found:#}")?;
    }
    for would in rules.iter().filter_map(|rule| rule.would.as_ref()) {
        write!(out, "  {found}{} {}{found:#}", would.name(), would.action)?;
    }
    for skipped in uninspected {
        let side = skipped.role.map_or("", |role| if role == Role::Request { " request" } else { " response" });
        let inspector = skipped.inspector.name();
        write!(out, "  {dim}(no {inspector}{side}: {}){dim:#}", skipped.reason.name())?;
    }
    Ok(())
}

/// A feature in a window, as a line without its end.
pub(super) fn write_drift(out: &mut String, drift: &DriftRecord, styles: &Styles) -> fmt::Result {
    let (bad, good, dim) = (styles.bad, styles.good, styles.dim);
    let model = drift.model.as_deref().unwrap_or("-");
    let (verdict, style) = if drift.drifted { ("DRIFT", bad) } else { ("same ", good) };
    let direction = if drift.role == Role::Request { "input" } else { "output" };
    write!(out, "{style}{verdict}{style:#}  {}", Escaped(model.as_bytes()))?;
    write!(out, " {direction} {}", Escaped(drift.feature.as_bytes()))?;
    match (drift.test, drift.score) {
        (Some(test), Some(score)) => write!(out, "  {} {score:.4} (limit {})", test.name(), drift.threshold)?,
        _ => out.push_str("  too few values"),
    }
    write!(out, "  {dim}{} values, baseline {}{dim:#}", drift.count, drift.reference_count)?;
    for (count, what) in [
        (drift.missing, "missing"),
        (drift.out_of_range, "out of range"),
        (drift.new_category_count, "of new categories"),
        (drift.wrong_type, "of another type"),
    ] {
        if count > 0 {
            write!(out, "  {count} {what}")?;
        }
    }
    Ok(())
}
