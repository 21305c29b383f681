//! What the demo says at its end.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use super::client::{self, Tally};
use crate::{
    model::{Exchange, FlowRecord, LossReason, Record, Side, SideLedger},
    sink::{latency::Latency, mask::Mask},
};

/// Rows of the table; what does not fit is counted in one more.
const PATHS_MAX: usize = 16;

/// Everything counted so far.
#[derive(Debug, Default)]
pub(super) struct Summary {
    exchanges: u64,
    complete: u64,
    /// By the hundreds digit; 0 is "no response".
    classes: BTreeMap<u16, u64>,
    /// Of the demo's client; whoever explores the demo asks too.
    client_by_status: BTreeMap<u16, u64>,
    latency: Latency,
    paths: BTreeMap<String, Path>,
    flows: u64,
    unbalanced: u64,
    /// Sides whose bytes the kernel itself counted.
    kernel_sides: u64,
    /// Smoothed round-trip times of sockets, one each.
    round_trips: Latency,
    retransmits: u64,
    client: SideLedger,
    server: SideLedger,
}

#[derive(Debug, Default)]
struct Path {
    count: u64,
    classes: BTreeMap<u16, u64>,
    latency: Latency,
}

impl Summary {
    pub(super) fn record(&mut self, record: &Record) {
        match record {
            Record::Exchange(exchange) => self.exchange(exchange),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => {}
            Record::Flow(flow) => self.flow(flow),
        }
    }

    fn exchange(&mut self, exchange: &Exchange) {
        let status = exchange.response.as_ref().and_then(|part| part.head.status()).unwrap_or(0);
        self.exchanges += 1;
        self.complete += u64::from(exchange.complete());
        *self.classes.entry(status / 100).or_default() += 1;
        let agent = exchange.request.as_ref().and_then(|part| part.head.fields.get("user-agent"));
        if agent == Some(client::NAME.as_bytes()) {
            *self.client_by_status.entry(status).or_default() += 1;
        }
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
            |(method, target)| {
                let shown = Mask::default().address(target.split('?').next().unwrap_or(target)).into_owned();
                format!("{method} {}", shown.escape_default())
            },
        );
        let full = self.paths.len() >= PATHS_MAX && !self.paths.contains_key(&name);
        self.paths.entry(if full { "(others)".to_owned() } else { name }).or_default()
    }

    fn flow(&mut self, flow: &FlowRecord) {
        self.flows += 1;
        self.unbalanced += u64::from(!flow.ledger.balances());
        for (sum, side) in [(&mut self.client, Side::Client), (&mut self.server, Side::Server)] {
            let figures = flow.flow.peer(side).figures;
            let side = flow.ledger.side(side);
            self.kernel_sides += u64::from(side.kernel);
            if let Some(figures) = figures {
                self.retransmits += u64::from(figures.retransmits);
                figures.srtt.into_iter().for_each(|srtt| self.round_trips.add(srtt));
            }
            sum.add(side);
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
        let round_trips = latencies(&self.round_trips);
        if !round_trips.is_empty() {
            writeln!(out, "tcp      round trip {round_trips}   segments sent again {}", self.retransmits)?;
        }
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
            writeln!(out, "the client counted {} answers: the same, status by status", tally.answered)?;
            let others = self.exchanges.saturating_sub(tally.answered);
            if others > 0 { writeln!(out, "others, such as you, asked {others} times") } else { Ok(()) }
        } else {
            writeln!(out, "the client counted {} answers: NOT the same ({:?})", tally.answered, tally.by_status)
        }
    }

    /// The interceptor saw what the client says it did.
    pub(super) fn agrees(&self, tally: &Tally) -> bool {
        self.client_by_status == tally.by_status
    }

    fn write_paths(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "{:>6} {:>6} {:>6} {:>6} {:>9} {:>9}  request", "count", "2xx", "4xx", "other", "p50", "p99")?;
        let mut paths: Vec<_> = self.paths.iter().collect();
        paths.sort_by_key(|(name, path)| (std::cmp::Reverse(path.count), *name));
        for (name, path) in paths {
            let of = |class: u16| path.classes.get(&class).copied().unwrap_or_default();
            let other = path.count - of(2) - of(4);
            let quantile = |permille| path.latency.permille(permille).map_or_else(|| "-".to_owned(), milliseconds);
            let (p50, p99) = (quantile(500), quantile(990));
            writeln!(out, "{:>6} {:>6} {:>6} {other:>6} {p50:>9} {p99:>9}  {name}", path.count, of(2), of(4))?;
        }
        Ok(())
    }

    fn write_ledger(&self, out: &mut impl Write) -> io::Result<()> {
        if self.flows == 0 {
            return writeln!(out, "no ledger: the capture ended before any connection did");
        }
        let head = ["carried", "captured", "skipped", "lost", "parsed", "reported"].map(|name| format!(" {name:>10}"));
        writeln!(out, "ledger, in bytes {}", head.concat())?;
        for (name, side) in [("client to server", &self.client), ("server to client", &self.server)] {
            let SideLedger { carried, captured, parsed, reported, .. } = side;
            let figures = [*carried, *captured, side.skipped(), side.lost_total(), *parsed, *reported];
            writeln!(out, "{name} {}", figures.map(|figure| format!(" {figure:>10}")).concat())?;
            for reason in LossReason::losses().filter(|reason| side.lost[*reason as usize] > 0) {
                writeln!(out, "    of the lost, {}: {}", reason.name(), side.lost[reason as usize])?;
            }
        }
        let (flows, sides) = (self.flows, self.kernel_sides);
        if self.balanced() {
            writeln!(
                out,
                "balanced: carried = captured + skipped + lost, captured = parsed + reported, on each of {flows} connections"
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

fn latencies(latency: &Latency) -> String {
    let names = [(500, "p50"), (900, "p90"), (990, "p99"), (1000, "max")];
    let all = names.map(|(permille, name)| Some(format!("{name} {}", milliseconds(latency.permille(permille)?))));
    all.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

#[cfg(test)]
mod tests;
