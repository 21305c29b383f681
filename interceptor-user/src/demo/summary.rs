//! What the demo says at its end.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use super::{client::Tally, quantiles::Quantiles};
use crate::model::{Exchange, FlowRecord, LossReason, Record, Side, SideLedger};

/// Rows of the table; what does not fit is counted in one more.
const PATHS_MAX: usize = 16;

/// Everything counted so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    exchanges: u64,
    complete: u64,
    /// By the hundreds digit; 0 is "no response".
    classes: BTreeMap<u16, u64>,
    by_status: BTreeMap<u16, u64>,
    latency: Quantiles,
    paths: BTreeMap<String, Path>,
    flows: u64,
    unbalanced: u64,
    /// Sides whose bytes the kernel itself counted.
    kernel_sides: u64,
    client: SideLedger,
    server: SideLedger,
}

#[derive(Debug, Default)]
struct Path {
    count: u64,
    classes: BTreeMap<u16, u64>,
    latency: Quantiles,
}

impl Summary {
    pub(super) fn record(&mut self, record: &Record) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Flow(flow) => self.flow(flow),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let status = exchange.response.as_ref().and_then(|part| part.head.status()).unwrap_or(0);
        self.exchanges += 1;
        self.complete += u64::from(exchange.complete());
        *self.classes.entry(status / 100).or_default() += 1;
        *self.by_status.entry(status).or_default() += 1;
        let path = self.path(exchange);
        path.count += 1;
        *path.classes.entry(status / 100).or_default() += 1;
        if let Some(duration) = exchange.duration() {
            path.latency.add(duration);
            self.latency.add(duration);
        }
    }

    fn path(&mut self, exchange: &Exchange) -> &mut Path {
        let head = exchange.request.as_ref().map(|part| &part.head);
        let line = head.and_then(|head| Some((head.method()?, head.target()?)));
        let name = line.map_or_else(
            || "(request not seen)".to_owned(),
            |(method, target)| format!("{method} {}", target.split('?').next().unwrap_or(target).escape_default()),
        );
        let full = self.paths.len() >= PATHS_MAX && !self.paths.contains_key(&name);
        self.paths.entry(if full { "(others)".to_owned() } else { name }).or_default()
    }

    fn flow(&mut self, flow: &FlowRecord) {
        self.flows += 1;
        self.unbalanced += u64::from(!flow.ledger.balances());
        for (sum, side) in [(&mut self.client, Side::Client), (&mut self.server, Side::Server)] {
            let side = flow.ledger.side(side);
            self.kernel_sides += u64::from(side.kernel);
            sum.carried += side.carried;
            sum.captured += side.captured;
            sum.parsed += side.parsed;
            sum.reported += side.reported;
            for reason in LossReason::ALL {
                sum.lose(reason, side.lost[reason as usize]);
            }
        }
    }

    /// Writes it all. `tally` is the client's own account, where it could give one.
    pub(super) fn write(&self, out: &mut impl Write, took: Duration, tally: Option<&Tally>) -> io::Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
        let rate = self.exchanges as f64 / took.as_secs_f64().max(0.001);
        writeln!(
            out,
            "{} exchanges on {} connections in {:.1} s ({rate:.1}/s); {} complete",
            self.exchanges,
            self.flows,
            took.as_secs_f64(),
            self.complete
        )?;
        if let Some(tally) = tally {
            self.write_comparison(out, tally)?;
        }
        writeln!(out)?;
        writeln!(out, "status   {}", classes(&self.classes))?;
        writeln!(out, "latency  {}", latencies(&self.latency))?;
        writeln!(out)?;
        self.write_paths(out)?;
        writeln!(out)?;
        self.write_ledger(out)
    }

    /// The client and the interceptor counted apart; here is whether they agree.
    fn write_comparison(&self, out: &mut impl Write, tally: &Tally) -> io::Result<()> {
        if tally.failed > 0 || tally.unexpected > 0 {
            let Tally { failed, unexpected, .. } = tally;
            writeln!(out, "the client's requests: {failed} without an answer, {unexpected} with an unexpected one")?;
        }
        if self.agrees(tally) {
            writeln!(out, "the client counted {} answers: the same, status by status", tally.answered)
        } else {
            writeln!(out, "the client counted {} answers: NOT the same ({:?})", tally.answered, tally.by_status)
        }
    }

    /// The interceptor saw what the client says it did.
    pub(super) fn agrees(&self, tally: &Tally) -> bool {
        self.by_status == tally.by_status
    }

    fn write_paths(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:>6} {:>6} {:>6} {:>6} {:>9} {:>9}  request", "count", "2xx", "4xx", "other", "p50", "p99")?;
        let mut paths: Vec<_> = self.paths.iter().collect();
        paths.sort_by_key(|(name, path)| (std::cmp::Reverse(path.count), *name));
        for (name, path) in paths {
            let of = |class: u16| path.classes.get(&class).copied().unwrap_or_default();
            let other = path.count - of(2) - of(4);
            let quantile = |percent| path.latency.percent(percent).map_or_else(|| "-".to_owned(), milliseconds);
            let (p50, p99) = (quantile(50), quantile(99));
            writeln!(out, "{:>6} {:>6} {:>6} {other:>6} {p50:>9} {p99:>9}  {name}", path.count, of(2), of(4))?;
        }
        Ok(())
    }

    fn write_ledger(&self, out: &mut impl Write) -> io::Result<()> {
        let head = ["carried", "captured", "parsed", "reported", "lost"];
        writeln!(
            out,
            "ledger, in bytes  {:>10} {:>10} {:>10} {:>10} {:>10}",
            head[0], head[1], head[2], head[3], head[4]
        )?;
        for (name, side) in [("client to server", &self.client), ("server to client", &self.server)] {
            let SideLedger { carried, captured, parsed, reported, .. } = side;
            let lost = side.lost_total();
            writeln!(out, "{name}  {carried:>10} {captured:>10} {parsed:>10} {reported:>10} {lost:>10}")?;
            for reason in LossReason::ALL.into_iter().filter(|reason| side.lost[*reason as usize] > 0) {
                writeln!(out, "    of the lost, {}: {}", reason.name(), side.lost[reason as usize])?;
            }
        }
        let (flows, sides) = (self.flows, self.kernel_sides);
        if self.balanced() {
            writeln!(
                out,
                "balanced: carried = captured + lost, captured = parsed + reported, on each of {flows} connections"
            )?;
        } else {
            writeln!(out, "NOT BALANCED on {} of {flows} connections", self.unbalanced)?;
        }
        writeln!(out, "the kernel's own counters stand behind {sides} of the {} directions", flows * 2)
    }

    /// The equations hold on every flow.
    pub(super) const fn balanced(&self) -> bool {
        self.unbalanced == 0
    }
}

fn classes(classes: &BTreeMap<u16, u64>) -> String {
    let name = |class: u16| if class == 0 { "none".to_owned() } else { format!("{class}xx") };
    let all: Vec<_> = classes.iter().map(|(class, count)| format!("{} {count}", name(*class))).collect();
    all.join("   ")
}

fn latencies(quantiles: &Quantiles) -> String {
    let names = [(50, "p50"), (90, "p90"), (99, "p99"), (100, "max")];
    let all = names.map(|(percent, name)| Some(format!("{name} {}", milliseconds(quantiles.percent(percent)?))));
    all.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Anomalies, Endpoint, Fields, FlowEnd, FlowInfo, FlowKey, Head, Ledger, Part, Peer, Protocol, Timestamp, Version,
    };

    fn flow_info() -> Arc<FlowInfo> {
        let [client, server] = [2, 1].map(|host| Endpoint::new([10, 70, 0, host].into(), 8080));
        Arc::new(FlowInfo {
            id: 1,
            key: FlowKey::new(0, client, server),
            client: Peer::new(client),
            server: Peer::new(server),
            start: Timestamp::default(),
            joined: false,
            interface: 0,
        })
    }

    fn part(head: Head, first: u64, last: u64) -> Part {
        let [first_byte, last_byte] = [first, last].map(|millis| Timestamp::from_nanos(millis * 1_000_000));
        Part {
            head,
            trailers: Fields::default(),
            body: [][..].into(),
            body_size: 0,
            body_missing: 0,
            first_byte,
            last_byte,
            ended: true,
        }
    }

    fn exchange(target: &str, status: u16, millis: u64) -> Record {
        let request = Head::request("GET", target, Version::Http11, Fields::default());
        let response = Head::response(status, Version::Http11, Fields::default());
        Record::Exchange(Box::new(Exchange {
            flow: flow_info(),
            number: 1,
            protocol: Protocol::Http1,
            request: Some(part(request, 0, 0)),
            response: Some(part(response, millis, millis)),
            interim: 0,
            anomalies: Anomalies::default(),
        }))
    }

    fn flow(captured: u64, lost: u64) -> Record {
        let mut side = SideLedger { carried: 100, captured, parsed: captured, ..SideLedger::default() };
        side.lose(LossReason::RingFull, lost);
        let ledger = Ledger { client: side, server: SideLedger { kernel: true, ..SideLedger::default() } };
        Record::Flow(Box::new(FlowRecord {
            flow: flow_info(),
            end: FlowEnd::Closed,
            time: Timestamp::default(),
            protocol: Protocol::Http1,
            ledger,
            exchanges: 2,
            anomalies: crate::model::Anomalies::default(),
        }))
    }

    fn text(summary: &Summary, tally: &Tally) -> String {
        let mut out = Vec::new();
        summary.write(&mut out, Duration::from_secs(2), Some(tally)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn counts_latencies_and_ledger_are_shown() {
        let mut summary = Summary::default();
        let records = [exchange("/v2?x=1", 200, 2), exchange("/v2", 200, 4), exchange("/no", 404, 1), flow(90, 10)];
        for record in &records {
            summary.record(record);
        }
        let tally = Tally { answered: 3, by_status: [(200, 2), (404, 1)].into(), ..Tally::default() };
        insta::assert_snapshot!(text(&summary, &tally), @"
        3 exchanges on 1 connections in 2.0 s (1.5/s); 3 complete
        the client counted 3 answers: the same, status by status

        status   2xx 2   4xx 1
        latency  p50 2.03 ms   p90 4.00 ms   p99 4.00 ms   max 4.00 ms

         count    2xx    4xx  other       p50       p99  request
             2      2      0      0   2.03 ms   4.00 ms  GET /v2
             1      0      1      0   1.00 ms   1.00 ms  GET /no

        ledger, in bytes     carried   captured     parsed   reported       lost
        client to server         100         90         90          0         10
            of the lost, ring_full: 10
        server to client           0          0          0          0          0
        balanced: carried = captured + lost, captured = parsed + reported, on each of 1 connections
        the kernel's own counters stand behind 1 of the 2 directions
        ");
    }

    #[test]
    fn what_does_not_add_up_is_said_aloud() {
        let mut summary = Summary::default();
        for record in [exchange("/v2", 200, 2), flow(90, 9)] {
            summary.record(&record);
        }
        let tally = Tally { answered: 1, failed: 2, unexpected: 1, by_status: [(500, 1)].into() };
        let text = text(&summary, &tally);
        assert!(!summary.balanced() && !summary.agrees(&tally));
        assert!(text.contains("NOT BALANCED on 1 of 1 connections"), "{text}");
        assert!(text.contains("1 answers: NOT the same ({500: 1})"), "{text}");
        assert!(text.contains("2 without an answer, 1 with an unexpected one"), "{text}");
    }

    #[test]
    fn the_table_is_bounded() {
        let mut summary = Summary::default();
        (0..100).for_each(|number| summary.record(&exchange(&format!("/{number}"), 200, 1)));
        assert_eq!(summary.paths.len(), PATHS_MAX + 1);
        assert_eq!(summary.paths["(others)"].count, 100 - PATHS_MAX as u64);
    }
}
