//! Exchanges, and flows that no exchange shows, as lines for people. What came over the wire is escaped: it cannot speak to the terminal.

mod block;
mod columns;
mod flow;
mod live;
mod marks;
mod messages;
mod models;
mod style;

use std::{fmt::Write as _, io::Write};

use jiff::tz::TimeZone;

use self::{columns::Columns, style::Styles};
use super::{Sink, clock::Clock, escape::Escaped, mask::Mask, output::Output};
use crate::{
    model::{DriftRecord, Exchange, Part, Record, Role},
    protobuf::Registry,
};

/// What the lines look like.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Options {
    /// Indented header and trailer fields under each line.
    pub headers: bool,
    /// Bodies, as far as they were kept and can be read.
    pub bodies: bool,
    /// Messages have lines of their own as they come: bodies are shown without.
    pub messages: bool,
    /// Inferences are shown by their meaning instead of their request.
    pub models: bool,
    /// What is known of the messages in bodies.
    pub registry: Registry,
    /// Which secrets may be shown.
    pub mask: Mask,
    /// Colours.
    pub colour: bool,
    /// A heading first.
    pub heading: bool,
    /// How wide the terminal is, asked now and then; None where there is none, and nothing is cut.
    pub width: fn() -> Option<usize>,
    /// For the time of day.
    pub zone: TimeZone,
}

impl Default for Options {
    /// Plain lines in UTC, as for a file.
    fn default() -> Self {
        Self {
            headers: false,
            bodies: false,
            messages: false,
            models: false,
            registry: Registry::default(),
            mask: Mask::default(),
            colour: false,
            heading: false,
            width: || None,
            zone: TimeZone::UTC,
        }
    }
}

/// Writes a line per exchange, and per flow that no exchange shows.
pub struct TextSink<W> {
    options: Options,
    styles: Styles,
    clock: Clock,
    columns: Columns,
    width: Option<usize>,
    heading_due: bool,
    /// What is before and after the target in a line, and the target; kept for their memory.
    pieces: [String; 3],
    out: Output<W>,
}

impl<W: Write> TextSink<W> {
    /// Writes to `out`, which need not be buffered.
    pub fn new(out: W, options: Options) -> Self {
        Self {
            styles: if options.colour { Styles::coloured() } else { Styles::plain() },
            clock: Clock::new(options.zone.clone()),
            columns: Columns::default(),
            width: (options.width)(),
            heading_due: options.heading,
            pieces: Default::default(),
            out: Output::new(out),
            options,
        }
    }

    fn line(&mut self, exchange: &Exchange) -> anyhow::Result<()> {
        let Self { styles, clock, columns, pieces: [before, target, after], .. } = self;
        before.clear();
        target.clear();
        after.clear();
        let time = clock.time_of_day(
            exchange
                .request
                .as_ref()
                .or(exchange.response.as_ref())
                .map_or(exchange.flow.start, |part| part.first_byte),
        );
        columns.fit(&exchange.flow);
        if std::mem::take(&mut self.heading_due) {
            columns.heading(self.out.buffer(), styles)?;
        }
        columns.write(before, exchange, &time, styles)?;
        let inference = exchange.inference.as_deref().filter(|_| self.options.models);
        match inference {
            Some(inference) => models::write(target, exchange, inference, styles)?,
            None => write_target(target, exchange.request.as_ref(), &self.options.mask)?,
        }
        models::write_verdict(after, exchange, styles)?;
        marks::write(after, exchange, styles)?;
        self.put(inference.map_or_else(|| columns::method(exchange), |inference| inference.operation.name()))
    }

    fn drift(&mut self, drift: &DriftRecord) -> anyhow::Result<()> {
        let Self { styles, clock, pieces: [line, ..], .. } = self;
        line.clear();
        let time = clock.time_of_day(drift.end);
        let dim = styles.dim;
        write!(line, "{dim}{}{dim:#}  ", str::from_utf8(&time[..12]).unwrap_or_default())?;
        models::write_drift(line, drift, styles)?;
        self.out.buffer().extend_from_slice(line.as_bytes());
        self.out.end_line()
    }

    /// Writes the pieces of a line with the method between them; of the target what there is room for.
    fn put(&mut self, method: &str) -> anyhow::Result<()> {
        let Self { styles, columns, pieces: [before, target, after], .. } = self;
        let cut = self.width.and_then(|width| columns::cut(target, columns.room(width, method, after)));
        let out = self.out.buffer();
        out.extend_from_slice(before.as_bytes());
        let bold = styles.method;
        write!(out, "{bold}{}{bold:#} ", Escaped(method.as_bytes()))?;
        out.extend_from_slice(cut.map_or(target.as_str(), |end| &target[..end]).as_bytes());
        if cut.is_some() {
            out.extend_from_slice("…".as_bytes());
        }
        out.extend_from_slice(after.as_bytes());
        Ok(())
    }
}

impl<W: Write> Sink for TextSink<W> {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        let exchange = match record {
            Record::Exchange(exchange) => exchange,
            Record::Message(message) => return self.message(message),
            Record::Flow(flow) if flow.unseen() => return self.flow(flow),
            Record::Drift(drift) => return self.drift(drift),
            // Edges are made by the daemon, and it writes no text.
            Record::Flow(_) | Record::Edge(_) => return Ok(()),
        };
        self.line(exchange)?;
        for role in [Role::Request, Role::Response] {
            block::write(self.out.buffer(), exchange, role, &self.options, &self.styles)?;
        }
        if self.options.headers || self.options.bodies {
            self.out.buffer().push(b'\n');
        }
        self.out.end_line()
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        self.width = (self.options.width)();
        self.out.flush()
    }
}

/// The target as it may be shown: without user and password, and with secrets of its query masked.
fn write_target(out: &mut String, request: Option<&Part>, mask: &Mask) -> std::fmt::Result {
    let Some(request) = request else { return out.write_char('-') };
    let Some(raw) = request.head.target() else { return out.write_char('?') };
    let target = request.target();
    let Some(path) = target.path else {
        // `host:port`, `*`, or nothing that is allowed: it may have a user, and still a query.
        let (before, query) = raw.split_at(raw.find(['?', '#', ';']).unwrap_or(raw.len()));
        let host = before.rsplit('@').next().unwrap_or(before);
        return write!(out, "{}{}", Escaped(host.as_bytes()), Escaped(mask.query(query).as_bytes()));
    };
    if let Some(authority) = target.authority.filter(|_| !raw.starts_with('/')) {
        write!(out, "http://{}", Escaped(authority.to_string().as_bytes()))?;
    }
    write!(out, "{}", Escaped(mask.path(path).as_bytes()))?;
    target.query.map_or(Ok(()), |query| write!(out, "?{}", Escaped(mask.query(query).as_bytes())))
}

#[cfg(test)]
mod tests;
