//! Exchanges as an HTTP Archive (HAR 1.2), which browsers' developer tools open.
//!
//! It is written as exchanges end, and whole once it is closed. What HAR has no word for begins with an underscore.

mod entry;
mod message;
mod parts;

use std::io::Write;

use jiff::tz::TimeZone;
use serde::Serialize as _;

use self::entry::Entry;
use super::{Sink, clock::Clock, mask::Mask, output::Output, printable::Printable};
use crate::model::Record;

/// What the entries hold beside what is always there.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bodies and messages, as far as they were kept.
    pub bodies: bool,
    /// Which secrets may be shown.
    pub mask: Mask,
}

/// Everything before the first entry.
const OPENING: &str = concat!(
    r#"{"log":{"version":"1.2","creator":{"name":"interceptor","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"pages":[],"entries":["#
);
const CLOSING: &str = "\n]}}\n";

/// Writes an entry per exchange.
pub struct HarSink<W> {
    options: Options,
    clock: Clock,
    /// What comes before the next entry.
    separator: &'static str,
    out: Output<W>,
}

impl<W: Write> HarSink<W> {
    /// Writes to `out`, which need not be buffered.
    pub fn new(out: W, options: Options) -> Self {
        let mut out = Output::new(out);
        out.buffer().extend_from_slice(OPENING.as_bytes());
        Self { options, clock: Clock::new(TimeZone::UTC), separator: "\n", out }
    }
}

impl<W: Write> Sink for HarSink<W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let Record::Exchange(exchange) = record else { return Ok(()) };
        let out = self.out.buffer();
        out.extend_from_slice(self.separator.as_bytes());
        self.separator = ",\n";
        let entry = Entry::new(exchange, &mut self.clock, &self.options);
        entry.serialize(&mut serde_json::Serializer::with_formatter(out, Printable))?;
        self.out.end_block()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.out.flush()
    }

    fn close(&mut self) -> anyhow::Result<()> {
        self.out.buffer().extend_from_slice(CLOSING.as_bytes());
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
