//! What became of the records that were offered to sinks that deliver to somewhere else.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{metrics::register, sampled::raise};
use crate::sink::delivery::{Reason, Standing};

pub(super) struct Deliveries {
    offered: IntCounterVec,
    delivered: IntCounterVec,
    dropped: IntCounterVec,
    retries: IntCounterVec,
    queued_records: IntGaugeVec,
    queued_bytes: IntGaugeVec,
    failing: IntGaugeVec,
}

impl Deliveries {
    pub(super) fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge = |name: &str, help: &str| register(registry, IntGaugeVec::new(Opts::new(name, help), &["sink"]));
        Ok(Self {
            offered: counter(
                "interceptor_sink_offered_records_total",
                "Records that were offered to a sink: delivered, dropped or queued by now.",
                &["sink"],
            )?,
            delivered: counter(
                "interceptor_sink_delivered_records_total",
                "Records that a sink delivered.",
                &["sink"],
            )?,
            dropped: counter(
                "interceptor_sink_dropped_records_total",
                "Records that a sink did not deliver and will not, by why.",
                &["sink", "reason"],
            )?,
            retries: counter(
                "interceptor_sink_retries_total",
                "Attempts of a sink to deliver a batch after the first one.",
                &["sink"],
            )?,
            queued_records: gauge("interceptor_sink_queue_records", "Records that wait to be delivered.")?,
            queued_bytes: gauge("interceptor_sink_queue_bytes", "Memory that records hold that wait to be delivered.")?,
            failing: gauge("interceptor_sink_failing", "1 if a sink's last attempt failed, else 0.")?,
        })
    }

    /// Shows them as they stand. One scrape at a time calls this.
    pub(super) fn sample(&self, sinks: &[Standing]) {
        for sink in sinks {
            let label = [sink.name];
            raise(&self.offered.with_label_values(&label), sink.offered);
            raise(&self.delivered.with_label_values(&label), sink.delivered);
            raise(&self.retries.with_label_values(&label), sink.retries);
            for (reason, count) in Reason::ALL.into_iter().zip(sink.dropped) {
                raise(&self.dropped.with_label_values(&[sink.name, reason.name()]), count);
            }
            self.queued_records.with_label_values(&label).set(sink.queued_records.cast_signed());
            self.queued_bytes.with_label_values(&label).set(sink.queued_bytes.cast_signed());
            self.failing.with_label_values(&label).set(sink.failing.into());
        }
    }
}
