//! Every metric but those of HTTP and RPC, which [`super::histograms`] and [`super::active`] have, those of exchanges, of
//! sockets and those that are sampled. `docs/metrics.md` describes them all.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder, core::Collector};

use super::{
    active::Gauges,
    deliveries::Deliveries,
    exchanges::{Exchanges, Over},
    exemplars::{Exemplars, Gathered},
    flows::Flows,
    histograms::{self, Histograms},
    inferences::Inferences,
    inline::{Ask, InlinePath},
    openmetrics,
    sampled::{Sampled, Worker},
    service_graph::ServiceGraph,
    tcp::Sockets,
    verdicts::Verdicts,
};
use crate::{
    model::{Anomalies, Anomaly, Exchange, FlowRecord, LossReason, Rpc, Side},
    sink::{delivery, map},
};

/// Every metric of this process. Workers count into it, scrapes read it.
pub struct Metrics {
    registry: Registry,
    http: Histograms,
    rpc: Histograms,
    gauges: Gauges,
    inferences: Inferences,
    verdicts: Verdicts,
    sockets: Sockets,
    exchanges: Exchanges,
    anomalies: Vec<IntCounter>,
    flows: Flows,
    bytes: [IntCounter; 6],
    lost: Vec<IntCounter>,
    sampled: Sampled,
    workers: Mutex<Vec<Arc<Worker>>>,
    deliveries: Deliveries,
    sinks: Mutex<Vec<Arc<delivery::Counts>>>,
    exemplars: Arc<Exemplars>,
    started: SystemTime,
}

const STATES: [&str; 6] = ["carried", "captured", "parsed", "reported", "duplicate", "skipped_by_policy"];

pub(super) fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    metric: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let metric = metric?;
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

/// A counter for each value of a label, in the order of `values`, all there from the start so that rates work.
pub(super) fn by_label<'a>(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
    values: impl IntoIterator<Item = &'a str>,
) -> prometheus::Result<Vec<IntCounter>> {
    let counters = register(registry, IntCounterVec::new(Opts::new(name, help), &[label]))?;
    values.into_iter().map(|value| counters.get_metric_with_label_values(&[value])).collect()
}

pub(super) fn array<const N: usize>(counters: Vec<IntCounter>) -> prometheus::Result<[IntCounter; N]> {
    counters.try_into().map_err(|_| prometheus::Error::Msg("a label has another number of values".to_owned()))
}

impl Metrics {
    /// All at zero. `label_sets` bounds the label sets of HTTP's histograms, and as well of RPC's, of the gauges and of
    /// the sockets' metrics.
    pub fn new(label_sets: usize) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let folded = IntCounter::new(
            "interceptor_metrics_folded_total",
            "Observations whose labels were folded into `other` because there were too many label sets.",
        );
        let folded = register(r, folded)?;
        let sockets = Sockets::new(r, label_sets, folded.clone())?;
        let exemplars = Arc::<Exemplars>::default();
        let rpc = Histograms::new(r, &histograms::RPC, label_sets, folded.clone(), &exemplars)?;
        let inferences = Inferences::new(r, label_sets, folded.clone())?;
        let verdicts = Verdicts::new(r, label_sets, folded.clone())?;
        let http = Histograms::new(r, &histograms::HTTP, label_sets, folded, &exemplars)?;
        let gauges = Gauges::new(r, label_sets)?;
        let build = IntGaugeVec::new(
            Opts::new("interceptor_build_info", "Always 1; the label says which build this is."),
            &["version"],
        );
        register(r, build)?.get_metric_with_label_values(&[env!("CARGO_PKG_VERSION")])?.set(1);
        let started = SystemTime::now();
        let start =
            Gauge::new("process_start_time_seconds", "When this process started, in seconds since the Unix epoch.");
        register(r, start)?.set(started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64());
        Ok(Self {
            http,
            rpc,
            gauges,
            inferences,
            verdicts,
            sockets,
            exchanges: Exchanges::new(r)?,
            anomalies: by_label(
                r,
                "interceptor_anomalies_total",
                "Exchanges, and connections apart from their exchanges, with something odd about them, by what it is.",
                "anomaly",
                Anomaly::ALL.map(Anomaly::name),
            )?,
            flows: Flows::new(r)?,
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
                LossReason::losses().map(LossReason::name),
            )?,
            sampled: Sampled::new(r)?,
            workers: Mutex::default(),
            deliveries: Deliveries::new(r)?,
            sinks: Mutex::default(),
            exemplars,
            started,
            registry,
        })
    }

    /// Includes a worker in what scrapes read.
    pub fn watch(&self, worker: Arc<Worker>) {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
    }

    /// Policies with so many rules are in force now.
    pub fn policy_taken(&self, rules: usize) {
        self.verdicts.taken(rules);
    }

    /// Includes a sink in what scrapes read.
    pub fn watch_sink(&self, sink: Arc<delivery::Counts>) {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).push(sink);
    }

    /// Includes a service map in what scrapes read.
    pub fn show_map(&self, map: Arc<map::Shared>) -> prometheus::Result<()> {
        self.registry.register(Box::new(ServiceGraph::new(map)?))
    }

    /// Includes the inline path in what scrapes read.
    pub fn show_inline(&self, ask: Ask) -> prometheus::Result<()> {
        self.registry.register(Box::new(InlinePath::new(ask)?))
    }

    /// The sinks that are watched, as they stand.
    pub fn sinks(&self) -> Vec<delivery::Standing> {
        self.sinks.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|sink| sink.standing()).collect()
    }

    /// A policy was refused.
    pub fn policy_refused(&self) {
        self.verdicts.refused();
    }

    /// All metrics as they stand, by name.
    pub fn gather(&self) -> Gathered {
        // One at a time: `sample` reads counters and then sets them.
        let workers = self.workers.lock().unwrap_or_else(PoisonError::into_inner);
        self.sampled.sample(&workers, self.http.len() + self.rpc.len());
        self.deliveries.sample(&self.sinks());
        Gathered { families: self.registry.gather(), exemplars: self.exemplars.all() }
    }

    /// All metrics in Prometheus' text format, version 0.0.4.
    pub fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.gather().families)
    }

    /// All metrics in OpenMetrics' text format, version 1.0, with exemplars.
    pub fn open_metrics(&self) -> String {
        openmetrics::text(&self.gather())
    }

    /// When counting began.
    pub const fn started(&self) -> SystemTime {
        self.started
    }

    /// The ledger's totals over all ended connections, by name.
    pub fn ledger(&self) -> serde_json::Value {
        let by_name = |names: &mut dyn Iterator<Item = &'static str>, counters: &[IntCounter]| {
            names.zip(counters).map(|(name, counter)| (name.to_owned(), counter.get().into())).collect()
        };
        let mut ledger: serde_json::Map<String, serde_json::Value> = by_name(&mut STATES.into_iter(), &self.bytes);
        let lost = by_name(&mut LossReason::losses().map(LossReason::name), &self.lost);
        ledger.insert("lost".to_owned(), serde_json::Value::Object(lost));
        ledger.into()
    }

    pub(super) const fn http(&self) -> &Histograms {
        &self.http
    }

    pub(super) const fn rpc(&self) -> &Histograms {
        &self.rpc
    }

    pub(super) const fn inferences(&self) -> &Inferences {
        &self.inferences
    }

    pub(super) const fn verdicts(&self) -> &Verdicts {
        &self.verdicts
    }

    pub(super) const fn exemplars(&self) -> &Arc<Exemplars> {
        &self.exemplars
    }

    pub(super) const fn gauges(&self) -> &Gauges {
        &self.gauges
    }

    pub(super) fn over(&self) -> Over {
        self.exchanges.over()
    }

    pub(super) fn count_exchange(&self, exchange: &Exchange, rpc: Option<&Rpc<'_>>) {
        self.exchanges.count(exchange, rpc);
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
        self.flows.count(flow);
        self.count_anomalies(flow.anomalies);
        for side in Side::BOTH {
            let ledger = flow.ledger.side(side);
            let amounts =
                [ledger.carried, ledger.captured, ledger.parsed, ledger.reported, ledger.duplicate, ledger.skipped()];
            self.bytes.iter().zip(amounts).for_each(|(counter, bytes)| counter.inc_by(bytes));
            for (counter, reason) in self.lost.iter().zip(LossReason::losses()) {
                counter.inc_by(ledger.lost[reason as usize]);
            }
        }
        self.sockets.observe(&flow.flow)
    }
}
