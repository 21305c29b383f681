//! Where records go.

use crate::model::Record;

/// A place that records go to. It must not block for long: the pipeline waits for it.
pub trait Sink {
    /// Takes one record.
    fn record(&mut self, record: &Record) -> anyhow::Result<()>;

    /// Called when the pipeline is about to wait, and at the end: write out what is buffered.
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
