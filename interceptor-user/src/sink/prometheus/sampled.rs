//! Metrics that are kept elsewhere and read when a scrape asks.

use std::sync::Arc;

use interceptor_common::{DropCount, DropReason};
use prometheus::{Counter, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::{metrics::register, process};
use crate::model::{Counts, SetAside};

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
    /// Bytes that decoding keeps.
    pub session_bytes: u64,
    /// Parts of messages that decoding had no room for so far.
    pub session_given_up: u64,
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
    pub attachments: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Asks for the current numbers.
    pub totals: Box<dyn Fn() -> Totals + Send + Sync>,
}

/// Metrics that are read from elsewhere when a scrape asks.
pub(super) struct Sampled {
    open_exchanges: IntGauge,
    flows_open: IntGauge,
    flows_opened: IntCounter,
    polls: IntCounter,
    session_bytes: IntGauge,
    session_given_up: IntCounter,
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

impl Sampled {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
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
            session_bytes: gauge(
                "interceptor_session_bytes",
                "Memory that decoding takes for heads, content and open exchanges, of all followed connections.",
            )?,
            session_given_up: counter(
                "interceptor_session_given_up_total",
                "Parts of HTTP messages that were not kept because decoding had no memory left.",
            )?,
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

    pub(super) fn sample(&self, workers: &[Arc<Worker>], label_sets: usize) {
        let totals: Vec<Totals> = workers.iter().map(|worker| (worker.totals)()).collect();
        let sum = |read: fn(&Totals) -> u64| totals.iter().map(read).sum::<u64>();
        self.open_exchanges.set(signed(sum(|totals| totals.open_exchanges)));
        self.flows_open.set(signed(sum(|totals| totals.open_flows)));
        raise(&self.flows_opened, sum(|totals| totals.flows_opened));
        raise(&self.polls, sum(|totals| totals.polls));
        self.session_bytes.set(signed(sum(|totals| totals.session_bytes)));
        raise(&self.session_given_up, sum(|totals| totals.session_given_up));
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
pub(super) fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
