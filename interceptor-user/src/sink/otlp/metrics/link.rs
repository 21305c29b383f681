use std::sync::Arc;

use crate::{
    model::{Exchange, Side, SinkName},
    sink::{
        otlp::{
            Settings,
            trace::{context::Context, ids::Trace},
        },
        prometheus::{Link, Linker},
    },
};

/// The spans that exemplars name: those that are sent; else those of the applications themselves, that the requests were
/// sent for.
pub fn linker(settings: &Settings) -> Linker {
    let sample = settings.traces.is_some().then_some(settings.sample);
    Arc::new(move |exchange, side| match sample {
        Some(sample) if is_sent(exchange) => ours(exchange, side, sample),
        _ => on_the_wire(exchange),
    })
}

/// The policy may say that it is not.
fn is_sent(exchange: &Exchange) -> bool {
    exchange.verdict.as_ref().is_none_or(|verdict| verdict.sinks.has(SinkName::Traces))
}

fn ours(exchange: &Exchange, side: Side, sample: f64) -> Option<Link> {
    let trace = Trace::of(exchange).filter(|trace| trace.is_sampled(sample))?;
    Some(Link { trace_id: trace.id, span_id: trace.span(side) })
}

/// What was left open may or may not have been recorded: only what says that it is.
fn on_the_wire(exchange: &Exchange) -> Option<Link> {
    let context = Context::of(&exchange.request.as_ref()?.head.fields);
    let parent = context.parent.filter(|_| context.sampled == Some(true))?;
    Some(Link { trace_id: parent.trace, span_id: parent.span })
}
