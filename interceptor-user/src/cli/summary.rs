use std::{
    fmt,
    io::{self, Write},
    time::Duration,
};

use crate::{
    model::{Anomaly, Exchange, FlowEnd, FlowRecord, LossReason, Protocol, Record, SetAside, Side, SideLedger},
    sink::{Sink, latency::Latency},
};

/// Counts what passes; costs next to nothing an exchange.
#[derive(Debug, Default)]
pub(super) struct Summary {
    exchanges: u64,
    complete: u64,
    without_anomaly: u64,
    anomalies: [u64; Anomaly::ALL.len()],
    flow_anomalies: [u64; Anomaly::ALL.len()],
    content: u64,
    latency: Latency,
    flows: u64,
    protocols: [u64; Protocol::ALL.len()],
    /// Flows that carried nothing.
    silent: u64,
    ends: [u64; FlowEnd::ALL.len()],
    /// Of both sides of all flows.
    bytes: SideLedger,
}

impl Summary {
    /// Exchanges so far.
    pub(super) const fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Captured TCP payload bytes so far, of flows that are over.
    pub(super) const fn captured(&self) -> u64 {
        self.bytes.captured
    }

    /// Everything that was counted, and what is in no flow's ledger.
    pub(super) fn write(&self, out: &mut impl Write, set_aside: &SetAside) -> io::Result<()> {
        let SetAside { segments, bytes } = *set_aside;
        let (segments, bytes) = (Counted(segments.into_iter()), Counted(bytes.into_iter()));
        writeln!(out, "{self}\nset aside   segments: {segments}; bytes: {bytes}")
    }

    fn exchange(&mut self, exchange: &Exchange) {
        self.exchanges += 1;
        self.complete += u64::from(exchange.complete());
        if exchange.anomalies.is_empty() {
            self.without_anomaly += 1;
        } else {
            for anomaly in exchange.anomalies.iter() {
                self.anomalies[anomaly as usize] += 1;
            }
        }
        for part in [&exchange.request, &exchange.response].into_iter().flatten() {
            self.content += part.content_size();
        }
        if let Some(duration) = exchange.duration() {
            self.latency.add(duration);
        }
    }

    fn flow(&mut self, flow: &FlowRecord) {
        self.flows += 1;
        for anomaly in flow.anomalies.iter() {
            self.flow_anomalies[anomaly as usize] += 1;
        }
        if flow.silent() {
            self.silent += 1;
        } else {
            self.protocols[flow.protocol as usize] += 1;
        }
        self.ends[flow.end as usize] += 1;
        for side in Side::BOTH {
            self.bytes.add(flow.ledger.side(side));
        }
    }
}

impl Sink for Summary {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
            Record::Flow(flow) => self.flow(flow),
        }
        Ok(())
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { exchanges, complete, flows, .. } = self;
        let by_name =
            |counts: &[u64; Anomaly::ALL.len()]| Anomaly::ALL.map(|anomaly| (anomaly.name(), counts[anomaly as usize]));
        let anomalies = Counted(by_name(&self.anomalies).into_iter());
        let between = Counted(by_name(&self.flow_anomalies).into_iter());
        let ends = Counted(FlowEnd::ALL.iter().zip(self.ends).map(|(end, count)| (end.name(), count)));
        let lost = Counted(LossReason::losses().map(|reason| (reason.name(), self.bytes.lost[reason as usize])));
        let Self { content, silent, .. } = self;
        let protocols = Protocol::ALL.iter().zip(self.protocols).map(|(protocol, count)| (spoken(*protocol), count));
        let protocols = Counted(protocols.chain([("silent", *silent)]));
        let SideLedger { carried, captured, parsed, reported, duplicate, .. } = &self.bytes;

        writeln!(f, "exchanges   {exchanges}, complete {complete}, without anomaly {}", self.without_anomaly)?;
        writeln!(f, "anomalies   {anomalies}; between exchanges: {between}")?;
        write!(f, "latency    ")?;
        for (name, permille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p99.9", 999), ("max", 1000)] {
            write!(f, " {name} {}", Milliseconds(self.latency.permille(permille)))?;
        }
        writeln!(f, "\ncontent     {content} bytes")?;
        writeln!(f, "flows       {flows}: {protocols}; ended: {ends}")?;
        let (skipped, lost_total) = (self.bytes.skipped(), self.bytes.lost_total());
        let skipped = if skipped > 0 { format!(" + skipped by policy {skipped}") } else { String::new() };
        writeln!(f, "carried     {carried} bytes = captured {captured}{skipped} + lost {lost_total}")?;
        writeln!(f, "captured    {captured} bytes = parsed {parsed} + reported {reported}; duplicate {duplicate}")?;
        write!(f, "lost        {lost}")
    }
}

const fn spoken(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http1 => "HTTP/1",
        Protocol::Http2 => "HTTP/2",
        other => other.name(),
    }
}

struct Milliseconds(Option<Duration>);

impl fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(duration) => write!(f, "{:.3} ms", duration.as_secs_f64() * 1e3),
            None => f.write_str("-"),
        }
    }
}

/// `name count, name count`, without those that are zero; `none` if all are.
pub(super) struct Counted<I>(pub(super) I);

impl<'a, I: Iterator<Item = (&'a str, u64)> + Clone> fmt::Display for Counted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in self.0.clone().filter(|(_, count)| *count > 0) {
            write!(f, "{separator}{name} {count}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("none") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Anomalies, Ledger},
        sink::sample,
    };

    #[test]
    fn counts_what_it_is_given() {
        let mut summary = Summary::default();
        insta::assert_snapshot!("nothing", summary.to_string());
        let mut odd = sample::exchange();
        odd.response = None;
        odd.anomalies = Anomalies::from_iter([Anomaly::Gap, Anomaly::NoResponse]);
        let mut ledger = Ledger::default();
        ledger.client.carried = 100;
        ledger.client.captured = 90;
        ledger.client.parsed = 90;
        ledger.client.lose(LossReason::RingFull, 10);
        let flow = FlowRecord {
            flow: odd.flow.clone(),
            end: FlowEnd::Reset,
            time: sample::at(0),
            protocol: Protocol::Http1,
            tls: None,
            ledger,
            exchanges: 2,
            anomalies: Anomalies::from_iter([Anomaly::Skipped]),
        };
        for record in [
            Record::Exchange(Box::new(sample::exchange())),
            Record::Exchange(Box::new(odd)),
            Record::Flow(Box::new(flow)),
            Record::Flow(Box::new(sample::tls_flow())),
            Record::Flow(Box::new(FlowRecord { ledger: Ledger::default(), ..sample::tls_flow() })),
        ] {
            summary.record(&record).expect("counted");
        }
        insta::assert_snapshot!("some", summary.to_string());
    }
}
