//! Every metric but those of HTTP, which [`super::histograms`] and [`super::active`] have. `docs/metrics.md` describes them all.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use interceptor_common::{DropCount, DropReason};
use prometheus::{
    Counter, Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

use super::{active::Gauges, histograms::Histograms, process, tcp::Sockets};
use crate::model::{Anomalies, Anomaly, Counts, Exchange, FlowEnd, FlowRecord, LossReason, SetAside, Side};

/// What one worker is at, and what its kernel programs counted.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Flows in its table.
    pub open_flows: u64,
    /// Exchanges that have begun and are not over.
    pub open_exchanges: u64,
    /// Flows opened so far.
    pub flows_opened: u64,
    /// Polls of its source so far.
    pub polls: u64,
    /// What is in no flow's ledger.
    pub set_aside: SetAside,
    /// What the kernel did not hand over, by CPU and [`DropReason`].
    pub dropped: Vec<[DropCount; DropReason::COUNT]>,
    /// What it handed over, over all CPUs.
    pub taken: DropCount,
    /// Size of the ring.
    pub ring_size: u64,
}

impl Totals {
    /// What the kernel did not hand over for this reason, over all CPUs.
    pub fn dropped_for(&self, reason: DropReason) -> DropCount {
        self.dropped.iter().filter_map(|cpu| cpu.get(reason as usize)).fold(DropCount::default(), |all, one| {
            DropCount { packets: all.packets + one.packets, bytes: all.bytes + one.bytes }
        })
    }
}

/// What scrapes read of one worker.
pub struct Worker {
    /// What people call it: the network namespace, most often.
    pub name: String,
    /// Where its programs are attached.
    pub attachments: Vec<String>,
    /// Asks for the current numbers.
    pub totals: Box<dyn Fn() -> Totals + Send + Sync>,
}

/// Every metric of this process. Workers count into it, scrapes read it.
pub struct Metrics {
    registry: Registry,
    histograms: Histograms,
    gauges: Gauges,
    sockets: Sockets,
    exchanges: [IntCounter; 4],
    anomalies: Vec<IntCounter>,
    flows_ended: Vec<IntCounter>,
    flows_unbalanced: IntCounter,
    bytes: [IntCounter; 5],
    lost: Vec<IntCounter>,
    sampled: Sampled,
    workers: Mutex<Vec<Arc<Worker>>>,
}

/// Metrics that are read from elsewhere when a scrape asks.
struct Sampled {
    open_exchanges: IntGauge,
    flows_open: IntGauge,
    flows_opened: IntCounter,
    polls: IntCounter,
    label_sets: IntGauge,
    set_aside_segments: IntCounterVec,
    set_aside_bytes: IntCounterVec,
    dropped_packets: IntCounterVec,
    dropped_bytes: IntCounterVec,
    taken_packets: IntCounter,
    taken_bytes: IntCounter,
    ring_size: IntGauge,
    resident: IntGauge,
    cpu: Counter,
}

/// How whole an exchange is; the values of the label `completeness`.
const COMPLETENESS: [&str; 4] = ["complete", "partial", "no_request", "no_response"];
const STATES: [&str; 5] = ["carried", "captured", "parsed", "reported", "duplicate"];

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// A counter for each value of a label, in the order of `values`, all there from the start so that rates work.
fn by_label<'a>(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> prometheus::Result<Vec<IntCounter>> {
    let counters = register(registry, IntCounterVec::new(Opts::new(name, help), &[label]))?;
    values.into_iter().map(|value| counters.get_metric_with_label_values(&[value])).collect()
}

fn array<const N: usize>(counters: Vec<IntCounter>) -> prometheus::Result<[IntCounter; N]> {
    counters.try_into().map_err(|_| prometheus::Error::Msg("a label has another number of values".to_owned()))
}

impl Metrics {
    /// All at zero. `label_sets` bounds the label sets of the HTTP histograms, of the gauges and of the sockets' metrics.
    pub fn new(label_sets: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let folded = IntCounter::new(
            "interceptor_metrics_folded_total",
            "Observations whose labels were folded into `other` because there were too many label sets.",
        );
        let folded = register(r, folded)?;
        let sockets = Sockets::new(r, label_sets, folded.clone())?;
        let histograms = Histograms::new(r, label_sets, folded)?;
        let gauges = Gauges::new(r, label_sets)?;
        let build = IntGaugeVec::new(
            Opts::new("interceptor_build_info", "Always 1; the label says which build this is."),
            &["version"],
        );
        register(r, build)?.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start =
            Gauge::new("process_start_time_seconds", "When this process started, in seconds since the Unix epoch.");
        register(r, start)?.set(started.as_secs_f64());
        Ok(Self {
            histograms,
            gauges,
            sockets,
            exchanges: array(by_label(
                r,
                "interceptor_exchanges_total",
                "Exchanges that are over, by how whole they were seen.",
                "completeness",
                COMPLETENESS,
            )?)?,
            anomalies: by_label(
                r,
                "interceptor_anomalies_total",
                "Exchanges, and connections apart from their exchanges, with something odd about them, by what it is.",
                "anomaly",
                Anomaly::ALL.map(Anomaly::name),
            )?,
            flows_ended: by_label(
                r,
                "interceptor_flows_ended_total",
                "TCP connections that are over for us, by why.",
                "reason",
                FlowEnd::ALL.map(FlowEnd::name),
            )?,
            flows_unbalanced: register(
                r,
                IntCounter::new(
                    "interceptor_flows_unbalanced_total",
                    "Ended TCP connections whose ledger does not balance: a defect of ours, to be reported.",
                ),
            )?,
            bytes: array(by_label(
                r,
                "interceptor_flow_bytes_total",
                "TCP payload bytes of ended connections, by what became of them.",
                "state",
                STATES,
            )?)?,
            lost: by_label(
                r,
                "interceptor_lost_bytes_total",
                "TCP payload bytes of ended connections that were carried and not captured, by why.",
                "reason",
                LossReason::ALL.map(LossReason::name),
            )?,
            sampled: Sampled::new(r)?,
            workers: Mutex::default(),
            registry,
        })
    }

    /// Includes a worker in what scrapes read.
    pub fn watch(&self, worker: Arc<Worker>) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> prometheus::Result<String> {
        // One scrape at a time: `sample` reads counters and then sets them.
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        self.sampled.sample(&workers, self.histograms.len());
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The ledger's totals over all ended connections, by name.
    pub fn ledger(&self) -> serde_json::Value {
        let by_name = |names: &mut dyn Iterator<Item = &'static str>, counters: &[IntCounter]| {
            names.zip(counters).map(|(name, counter)| (name.to_owned(), counter.get().into())).collect()
        };
        let mut ledger: serde_json::Map<String, serde_json::Value> = by_name(&mut STATES.into_iter(), &self.bytes);
        let lost = by_name(&mut LossReason::ALL.into_iter().map(LossReason::name), &self.lost);
        ledger.insert("lost".to_owned(), serde_json::Value::Object(lost));
        ledger.into()
    }

    pub(super) const fn histograms(&self) -> &Histograms {
        &self.histograms
    }

    pub(super) const fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    pub(super) fn count_exchange(&self, exchange: &Exchange) {
        let [complete, partial, no_request, no_response] = &self.exchanges;
        let counter = match (&exchange.request, &exchange.response) {
            (None, _) => no_request,
            (Some(_), None) => no_response,
            _ if exchange.complete() => complete,
            _ => partial,
        };
        counter.inc();
        self.count_anomalies(exchange.anomalies);
    }

    fn count_anomalies(&self, anomalies: Anomalies) {
        if anomalies.is_empty() {
            return;
        }
        for anomaly in anomalies.iter() {
            if let Some(counter) = self.anomalies.get(anomaly as usize) {
                counter.inc();
            }
        }
    }

    pub(super) fn count_flow(&self, flow: &FlowRecord) -> prometheus::Result<()> {
        if let Some(counter) = self.flows_ended.get(flow.end as usize) {
            counter.inc();
        }
        self.count_anomalies(flow.anomalies);
        if !flow.ledger.balances() {
            self.flows_unbalanced.inc();
            tracing::warn!(flow = flow.flow.id, client = %flow.flow.client.endpoint, server = %flow.flow.server.endpoint,
                ledger = ?flow.ledger, "the ledger of a connection does not balance; please report this");
        }
        for side in Side::BOTH {
            let ledger = flow.ledger.side(side);
            let amounts = [ledger.carried, ledger.captured, ledger.parsed, ledger.reported, ledger.duplicate];
            self.bytes.iter().zip(amounts).for_each(|(counter, bytes)| counter.inc_by(bytes));
            self.lost.iter().zip(ledger.lost).for_each(|(counter, bytes)| counter.inc_by(bytes));
        }
        self.sockets.observe(&flow.flow)
    }
}

impl Sampled {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help));
        let counter = |name: &str, help: &str| register(registry, IntCounter::new(name, help));
        let by_reason =
            |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), &["reason"]));
        let by_cpu_and_reason =
            |name: &str, help: &str| register(registry, IntCounterVec::new(Opts::new(name, help), &["cpu", "reason"]));
        Ok(Self {
            open_exchanges: gauge(
                "interceptor_open_exchanges",
                "HTTP exchanges that have begun and are not over, on all followed connections.",
            )?,
            flows_open: gauge("interceptor_flows_open", "TCP connections that are being followed.")?,
            flows_opened: counter("interceptor_flows_opened_total", "TCP connections that were seen.")?,
            polls: counter("interceptor_polls_total", "Times that a worker looked into its ring.")?,
            label_sets: gauge("interceptor_metrics_label_sets", "Label sets of the HTTP histograms.")?,
            set_aside_segments: by_reason(
                "interceptor_set_aside_segments_total",
                "TCP segments that no connection's ledger has, by why.",
            )?,
            set_aside_bytes: by_reason(
                "interceptor_set_aside_bytes_total",
                "TCP payload bytes that no connection's ledger has, by why.",
            )?,
            dropped_packets: by_cpu_and_reason(
                "interceptor_kernel_dropped_packets_total",
                "Packets that the kernel programs did not hand over whole, by why.",
            )?,
            dropped_bytes: by_cpu_and_reason(
                "interceptor_kernel_dropped_bytes_total",
                "TCP payload bytes that the kernel programs did not hand over, by why, where known.",
            )?,
            taken_packets: counter(
                "interceptor_kernel_taken_packets_total",
                "Packets that the kernel programs handed over.",
            )?,
            taken_bytes: counter(
                "interceptor_kernel_taken_bytes_total",
                "TCP payload bytes that the kernel programs handed over.",
            )?,
            ring_size: gauge("interceptor_ring_size_bytes", "Size of the rings.")?,
            resident: gauge("process_resident_memory_bytes", "Resident memory of this process.")?,
            cpu: register(
                registry,
                Counter::new("process_cpu_seconds_total", "CPU time of this process, in userspace and in the kernel."),
            )?,
        })
    }

    fn sample(&self, workers: &[Arc<Worker>], label_sets: usize) {
        let totals: Vec<Totals> = workers.iter().map(|worker| (worker.totals)()).collect();
        let sum = |read: fn(&Totals) -> u64| totals.iter().map(read).sum::<u64>();
        self.open_exchanges.set(signed(sum(|totals| totals.open_exchanges)));
        self.flows_open.set(signed(sum(|totals| totals.open_flows)));
        raise(&self.flows_opened, sum(|totals| totals.flows_opened));
        raise(&self.polls, sum(|totals| totals.polls));
        self.label_sets.set(signed(label_sets as u64));
        self.sample_drops(&totals);
        self.sample_set_aside(&totals);
        raise(&self.taken_packets, sum(|totals| totals.taken.packets));
        raise(&self.taken_bytes, sum(|totals| totals.taken.bytes));
        self.ring_size.set(signed(sum(|totals| totals.ring_size)));
        self.resident.set(signed(process::resident_bytes()));
        let cpu = process::cpu_time().as_secs_f64() - self.cpu.get();
        self.cpu.inc_by(cpu.max(0.0));
    }

    fn sample_set_aside(&self, totals: &[Totals]) {
        // With names also where there is no worker.
        let mut all = Counts::default().set_aside();
        for SetAside { segments, bytes } in totals.iter().map(|totals| totals.set_aside) {
            all.segments.iter_mut().zip(segments).for_each(|((_, all), (_, count))| *all += count);
            all.bytes.iter_mut().zip(bytes).for_each(|((_, all), (_, count))| *all += count);
        }
        for (counters, counts) in [(&self.set_aside_segments, all.segments), (&self.set_aside_bytes, all.bytes)] {
            for (reason, count) in counts {
                raise(&counters.with_label_values(&[reason]), count);
            }
        }
    }

    /// Most CPUs never drop for most reasons: what is zero is left out, but for the first CPU's, so that every reason is
    /// there from the start.
    fn sample_drops(&self, totals: &[Totals]) {
        let cpus = totals.iter().map(|totals| totals.dropped.len()).max().unwrap_or_default().max(1);
        for cpu in 0..cpus {
            let name = cpu.to_string();
            for reason in DropReason::ALL {
                let dropped = totals.iter().filter_map(|totals| totals.dropped.get(cpu)?.get(reason as usize));
                let packets: u64 = dropped.clone().map(|count| count.packets).sum();
                let bytes = dropped.map(|count| count.bytes).sum();
                if cpu > 0 && packets == 0 && bytes == 0 {
                    continue;
                }
                raise(&self.dropped_packets.with_label_values(&[&name, reason.name()]), packets);
                raise(&self.dropped_bytes.with_label_values(&[&name, reason.name()]), bytes);
            }
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Brings a counter up to a total that is counted elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
