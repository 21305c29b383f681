//! Spans: each exchange gives one for each of its ends that is on this machine.

pub mod context;
mod encoded;
pub mod ids;
mod parents;
mod span;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceResponse, common::v1::KeyValue, trace::v1::Span,
};
use prost::Message as _;

pub use self::encoded::Request;
use self::{
    encoded::{ResourceSpans, ScopeSpans},
    ids::Trace,
    parents::Parents,
    span::Above,
};
use super::{
    Client, Settings, TRACES, Target, attributes,
    export::export,
    resource::{Common, Entity},
};
use crate::{
    model::{Exchange, Record, Side},
    sink::{
        delivery::{Attempt, Deliver, Limits, Waiting},
        json::Said,
        prometheus::{is_local, sides},
    },
};

/// Sends spans.
pub struct Traces {
    client: Client<Request, ExportTraceServiceResponse>,
    common: Common,
    parents: Parents,
    said: Said,
}

impl Traces {
    /// To this target.
    pub fn new(target: &Target, settings: &Settings, limits: Limits) -> anyhow::Result<Self> {
        Ok(Self {
            client: Client::new(&TRACES, target)?,
            common: Common::new(settings),
            parents: Parents::new(settings.parent_wait, limits),
            said: Said::new(),
        })
    }

    /// Has it a span that is sent, where this part is taken of the traces that begin here?
    pub fn wants(record: &Record, sample: f64) -> bool {
        match record {
            Record::Exchange(exchange) => Trace::of(exchange).is_some_and(|trace| trace.is_sampled(sample)),
            Record::Message(_) | Record::Flow(_) | Record::Drift(_) | Record::Edge(_) => false,
        }
    }

    fn request(&mut self, batch: &[Arc<Record>]) -> Request {
        let mut by_entity: BTreeMap<Entity<'_>, Vec<Bytes>> = BTreeMap::new();
        for record in batch {
            let Record::Exchange(exchange) = &**record else { continue };
            for (side, span) in spans(exchange, &self.parents, &mut self.said) {
                by_entity.entry(Entity::of(exchange.flow.peer(side))).or_default().push(span.encode_to_vec().into());
            }
        }
        let of_one = |(entity, spans)| ResourceSpans {
            resource: Some(self.common.resource(&entity)),
            scope_spans: vec![ScopeSpans { scope: Some(attributes::scope()), spans }],
        };
        Request { resource_spans: by_entity.into_iter().map(of_one).collect() }
    }
}

/// The spans of an exchange, each with whose it is.
fn spans(exchange: &Exchange, parents: &Parents, said: &mut Said) -> Vec<(Side, Span)> {
    let Some(trace) = Trace::of(exchange) else { return Vec::new() };
    let said = said.exchange(exchange).into_iter().filter_map(|(name, value)| attributes::plain(name, value));
    let mut said: Vec<KeyValue> = said.collect();
    let on_wire = trace.parent.map(|span| Above { span, remote: true });
    let here = |span| Above { span, remote: false };
    let mut left = sides(&exchange.flow).count();
    let of = |side| {
        left -= 1;
        // The last one need not leave it for others.
        let said = if left == 0 { mem::take(&mut said) } else { said.clone() };
        let above = match side {
            // Where both ends are here, the server's span hangs on the client's.
            Side::Server if is_local(&exchange.flow, Side::Client) => {
                Some(Above { span: trace.span(Side::Client), remote: true })
            }
            Side::Server => on_wire,
            Side::Client => parents.found(exchange).map(here).or(on_wire),
        };
        Some((side, span::span(exchange, &trace, side, above, said)?))
    };
    sides(&exchange.flow).filter_map(of).collect()
}

impl Deliver for Traces {
    fn line_up(&mut self, came: Vec<Waiting>, line: &mut VecDeque<Waiting>, ending: bool) -> Option<Instant> {
        self.parents.line_up(came, line, Instant::now(), ending)
    }

    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        let request = self.request(&batch);
        export(&self.client, &request, batch).await
    }
}
