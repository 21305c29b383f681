//! Metrics that are made of what others count, at the time they are read.

use std::collections::HashMap;

use prometheus::{
    core::Desc,
    proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType},
};

/// Name, meaning and labels of a family.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    /// In order.
    pub(super) labels: &'static [&'static str],
}

impl Family {
    pub(super) fn description(&self) -> prometheus::Result<Desc> {
        let labels = self.labels.iter().map(|label| (*label).to_owned()).collect();
        Desc::new(self.name.to_owned(), self.help.to_owned(), labels, HashMap::new())
    }

    pub(super) fn of(&self, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        family
    }

    /// A metric without a value yet; `values` are those of its labels.
    pub(super) fn metric(&self, values: &[&str]) -> Metric {
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        };
        Metric::from_label(self.labels.iter().zip(values).map(pair).collect())
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are floating point")]
    pub(super) fn counter(&self, values: &[&str], value: u64) -> Metric {
        let mut counter = Counter::default();
        counter.set_value(value as f64);
        let mut metric = self.metric(values);
        metric.set_counter(counter);
        metric
    }

    pub(super) fn gauge(&self, value: u64) -> Metric {
        self.gauge_of(&[], value)
    }

    #[expect(clippy::cast_precision_loss, reason = "as above")]
    pub(super) fn gauge_of(&self, values: &[&str], value: u64) -> Metric {
        let mut gauge = Gauge::default();
        gauge.set_value(value as f64);
        let mut metric = self.metric(values);
        metric.set_gauge(gauge);
        metric
    }
}
