//! Where records go.

mod clock;
pub mod cloudevents;
mod compact;
pub mod delivery;
pub(crate) mod escape;
pub mod har;
pub mod http;
pub mod json;
pub mod kafka;
pub(crate) mod latency;
pub mod lines;
pub mod map;
pub mod mask;
pub(crate) mod messages;
pub mod otlp;
mod output;
pub mod payloads;
pub mod pcapng;
mod printable;
pub mod prometheus;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
pub mod text;

use crate::model::{Event, Exchange, FlowInfo, Record, Timestamp};

/// A place that records go to. The pipeline waits for it, so it must not block: what takes time is behind a queue of its
/// own, in [`delivery`].
pub trait Sink {
    /// Takes one record. [`Stop`] as the error ends the pipeline without being one.
    fn record(&mut self, record: &Record) -> anyhow::Result<()>;

    /// The same, and it may keep the record: whoever hands records on to others does.
    fn take(&mut self, record: Record) -> anyhow::Result<()> {
        self.record(&record)
    }

    /// Called about once a second and at the end, with every exchange that is not over by then.
    fn open(&mut self, _exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Does it want the events that records are made of, too? Asked once, at the start.
    fn wants_events(&self) -> bool {
        false
    }

    /// Takes an event of a flow, with what is known of the flow after it; the records that follow from it came before.
    fn event(&mut self, _flow: &FlowInfo, _event: &Event<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Called once a poll, before `flush`: by the events it is so late.
    fn tick(&mut self, _now: Timestamp) -> anyhow::Result<()> {
        Ok(())
    }

    /// Called once a poll and at the end: write out what is buffered.
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Called last, also after [`Stop`]: what was begun has to be brought to an end.
    fn close(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// The sink wants no more: it has what it was asked for, or its reader is gone.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the sink wants no more records")]
pub struct Stop;
