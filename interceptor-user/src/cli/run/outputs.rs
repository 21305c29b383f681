//! Where the records of a worker go.

use std::{
    io::{self, Stdout},
    sync::Arc,
};

use crate::{
    config::{Config, Lines},
    model::{Exchange, Record},
    sink::{
        Sink,
        json::{self, JsonSink},
        prometheus::{Metrics, Prometheus},
    },
};

/// Metrics, and lines where they are asked for.
pub(super) struct Outputs {
    metrics: Prometheus,
    counts: Arc<Metrics>,
    lines: Option<JsonSink<Stdout>>,
    /// Lines were asked for, whether they can be written or not.
    wanted: bool,
    /// Lines since the last flush: lost with it, if it fails.
    pending: u64,
}

impl Outputs {
    pub(super) fn new(metrics: &Arc<Metrics>, config: &Config) -> Self {
        let lines = match config.inspect.lines {
            Lines::None => None,
            Lines::Stdout => Some(JsonSink::new(io::stdout(), json::Options::default())),
        };
        Self {
            metrics: Prometheus::new(Arc::clone(metrics), config.metrics.paths),
            counts: Arc::clone(metrics),
            wanted: lines.is_some(),
            lines,
            pending: 0,
        }
    }

    /// Lines that nobody reads any more, or that find no room on the disk, are no reason not to go on.
    fn lines(&mut self, ask: impl FnOnce(&mut JsonSink<Stdout>) -> anyhow::Result<()>) {
        if let Some(lines) = &mut self.lines
            && let Err(error) = ask(lines)
        {
            tracing::error!("no more lines are written: {error:#}");
            self.lines = None;
            self.counts.lines_lost(std::mem::take(&mut self.pending));
        }
    }
}

impl Sink for Outputs {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let wanted = record.sinks();
        if wanted.lines && self.lines.is_some() {
            self.pending += 1;
            self.lines(|lines| lines.record(record));
        } else if wanted.lines && self.wanted {
            self.counts.lines_lost(1);
        }
        if wanted.metrics { self.metrics.record(record) } else { Ok(()) }
    }

    fn open(&mut self, exchanges: &mut dyn Iterator<Item = &Exchange>) -> anyhow::Result<()> {
        self.metrics.open(exchanges)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.lines(Sink::flush);
        self.pending = 0;
        self.metrics.flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.lines(Sink::close);
        self.metrics.close()
    }
}
