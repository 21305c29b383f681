//! Exchanges, flows that no exchange shows, and messages as they come, as JSON: one flat object a line, with OpenTelemetry's attribute names. The schema is in [`schema`].

mod body;
mod drift;
mod edge;
mod fields;
mod flow;
mod line;
mod message;
pub mod schema;

use std::io::Write;

use jiff::tz::TimeZone;
use serde::Serialize as _;
use serde_json::{Map, Value};

use self::line::Detail;
pub(in crate::sink) use self::line::method;
pub use self::{drift::DriftLine, edge::EdgeLine, flow::FlowLine, line::ExchangeLine, message::MessageLine};
use super::{Sink, clock::Clock, mask::Mask, messages, output::Output, printable::Printable};
use crate::{
    model::{DriftRecord, EdgeRecord, Exchange, Record},
    protobuf::Registry,
};

/// What the lines hold beside the attributes that are always there.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Header and trailer fields.
    pub headers: bool,
    /// Bodies, as far as they were kept.
    pub bodies: bool,
    /// Messages have lines of their own as they come: the bodies of exchanges are without.
    pub messages: bool,
    /// Which secrets may be shown.
    pub mask: Mask,
    /// What is known of the messages in bodies.
    pub registry: Registry,
}

/// Writes a line per exchange, and per flow that no exchange shows.
pub struct JsonSink<W> {
    options: Options,
    clock: Clock,
    out: Output<W>,
}

impl<W: Write> JsonSink<W> {
    /// Writes to `out`, which need not be buffered.
    pub const fn new(out: W, options: Options) -> Self {
        Self { options, clock: Clock::new(TimeZone::UTC), out: Output::new(out) }
    }

    /// Bytes that wait for a flush.
    #[cfg(test)]
    pub(crate) const fn buffered(&mut self) -> usize {
        self.out.buffer().len()
    }
}

impl JsonSink<Vec<u8>> {
    /// The lines so far.
    pub fn take_lines(&mut self) -> anyhow::Result<Vec<u8>> {
        self.out.flush()?;
        Ok(std::mem::take(self.out.to()))
    }
}

/// What lines say, for those who say it in another way by the same names.
pub(in crate::sink) struct Said {
    options: Options,
    clock: Clock,
}

impl Said {
    pub(in crate::sink) fn new() -> Self {
        Self { options: Options::default(), clock: Clock::new(TimeZone::UTC) }
    }

    /// Of an exchange; without header fields and contents.
    pub(in crate::sink) fn exchange(&mut self, exchange: &Exchange) -> Map<String, Value> {
        let Options { headers, bodies, messages, ref mask, ref registry } = self.options;
        let detail = Detail { headers, bodies, messages, mask, registry };
        members(ExchangeLine::new(exchange, &mut self.clock, detail))
    }

    /// Of a feature in a window.
    pub(in crate::sink) fn drift(&mut self, drift: &DriftRecord) -> Map<String, Value> {
        members(DriftLine::new(drift, &mut self.clock))
    }

    /// Of who called whom in an interval.
    pub(in crate::sink) fn edge(&mut self, edge: &EdgeRecord) -> Map<String, Value> {
        members(EdgeLine::new(edge, &mut self.clock))
    }
}

fn members(line: impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(line) {
        Ok(Value::Object(members)) => members,
        // Lines are objects with names for keys, which is all that could go wrong.
        Ok(_) | Err(_) => Map::new(),
    }
}

impl<W: Write> Sink for JsonSink<W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Options { headers, bodies, messages, ref mask, ref registry } = self.options;
        let detail = Detail { headers, bodies, messages, mask, registry };
        let json = &mut serde_json::Serializer::with_formatter(self.out.buffer(), Printable);
        match record {
            Record::Exchange(exchange) => {
                ExchangeLine::new(exchange, &mut self.clock, detail).serialize(json)?;
            }
            Record::Message(record) => {
                let Some(message) = messages::of(&record.exchange, record.role, registry).next() else { return Ok(()) };
                MessageLine::new(record, &message, &mut self.clock, detail).serialize(json)?;
            }
            Record::Flow(flow) if flow.unseen() => FlowLine::new(flow, &mut self.clock).serialize(json)?,
            Record::Drift(drift) => DriftLine::new(drift, &mut self.clock).serialize(json)?,
            Record::Edge(edge) => EdgeLine::new(edge, &mut self.clock).serialize(json)?,
            Record::Flow(_) => return Ok(()),
        }
        self.out.end_line()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
