//! Flows that no exchange shows: between whom, how long, how much, and what it looks like.

use std::{
    fmt::{self, Write as _},
    io::Write,
};

use super::{
    TextSink,
    columns::{self, DURATION, SIZE, STATUS, Size, Took},
    marks::{write_anomalies, write_processes},
};
use crate::{
    model::{FlowRecord, TlsHello},
    sink::escape::Escaped,
};

impl<W: Write> TextSink<W> {
    pub(super) fn flow(&mut self, record: &FlowRecord) -> anyhow::Result<()> {
        let Self { styles, clock, columns, pieces: [before, what, after], .. } = self;
        before.clear();
        what.clear();
        after.clear();
        let (flow, ledger) = (&record.flow, &record.ledger);
        columns.fit(flow);
        if std::mem::take(&mut self.heading_due) {
            columns.heading(self.out.buffer(), styles)?;
        }
        columns.write_ends(before, flow, &clock.time_of_day(flow.start), styles)?;
        let [sent, got] = [ledger.client, ledger.server].map(|side| Size(Some(side.carried)));
        let (dim, took) = (styles.dim, Took(Some(record.time.since(flow.start))));
        write!(before, "  {dim}{:STATUS$}{dim:#}  {took:>DURATION$} {sent:>SIZE$} {got:>SIZE$}  ", "···")?;

        write_tls(what, record.tls.as_deref())?;
        write_processes(after, flow, styles)?;
        write_anomalies(after, record.oddities(), None, styles)?;

        let name = record.protocol.name();
        let cut = self.width.and_then(|width| columns::cut(what, columns.room(width, name, after)));
        let (bold, end) = (styles.method, cut.unwrap_or(what.len()));
        let more = if cut.is_some() { "…" } else { "" };
        let what = what.get(..end).unwrap_or_default();
        write!(self.out.buffer(), "{before}{bold}{name}{bold:#}{what}{more}{after}")?;
        self.out.end_line()
    }
}

/// The name asked for, the protocol agreed on, else those offered, and the version agreed on.
fn write_tls(out: &mut String, hello: Option<&TlsHello>) -> fmt::Result {
    let Some(hello) = hello else { return Ok(()) };
    if let Some(name) = &hello.server_name {
        write!(out, " {}", Escaped(name.as_bytes()))?;
    }
    let protocols = hello.chosen.as_ref().map_or(&hello.offered[..], std::slice::from_ref);
    let mut separator = ' ';
    for protocol in protocols {
        write!(out, "{separator}{}", Escaped(protocol.as_bytes()))?;
        separator = ',';
    }
    hello.version.map_or(Ok(()), |version| write!(out, " {}{}", version.name().to_ascii_uppercase(), version.number()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{FlowEnd, FlowInfo, LossReason, Protocol, Record},
        sink::{Sink as _, sample, text::Options},
    };

    fn shown(flows: Vec<FlowRecord>, options: Options) -> String {
        let mut out = Vec::new();
        let mut sink = TextSink::new(&mut out, options);
        for flow in flows {
            sink.record(&Record::Flow(Box::new(flow))).expect("written");
        }
        sink.record(&Record::Exchange(Box::new(sample::exchange()))).expect("written");
        sink.flush().expect("written");
        String::from_utf8(out).expect("UTF-8")
    }

    fn several() -> Vec<FlowRecord> {
        let mut lossy = sample::tls_flow();
        lossy.flow = FlowInfo { joined: true, ..FlowInfo::clone(&lossy.flow) }.into();
        lossy.ledger.server.lose(LossReason::RingFull, 5);
        lossy.end = FlowEnd::Reset;
        lossy.tls = None;
        let mut chosen = sample::tls_flow();
        let hello = chosen.tls.as_mut().expect("a hello");
        hello.chosen = Some("h2".into());
        hello.server_name = Some("model\x1b[31m".into());
        let unknown = FlowRecord { protocol: Protocol::Unknown, tls: None, ..sample::tls_flow() };
        let silent = FlowRecord { ledger: crate::model::Ledger::default(), ..sample::tls_flow() };
        let shown_by_exchanges = FlowRecord { exchanges: 1, ..sample::tls_flow() };
        vec![sample::tls_flow(), lossy, chosen, unknown, silent, shown_by_exchanges]
    }

    #[test]
    fn a_line_a_flow_that_no_exchange_shows() {
        insta::assert_snapshot!(shown(several(), Options { heading: true, ..Options::default() }));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_because_of_a_long_name() {
        let mut long = sample::tls_flow();
        long.tls.as_mut().expect("a hello").server_name = Some("a.".repeat(100).into());
        let text = shown(vec![long], Options { width: || Some(130), ..Options::default() });
        let line = text.lines().next().expect("a line");
        assert!(line.contains('…') && line.contains("curl[321]") && columns::printed(line) <= 140, "{line}");
    }
}
