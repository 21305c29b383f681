//! The service map as metrics: the families of Tempo's service graphs, which Grafana draws.
//! (<https://grafana.com/docs/tempo/latest/metrics-from-traces/service_graphs/>)

use std::{collections::HashMap, sync::Arc};

use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Counter, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use crate::sink::map::{BOUNDS, Call, Shared, Times};

const LABELS: [&str; 3] = ["client", "connection_type", "server"];

/// Name and meaning of each family.
const FAMILIES: [(&str, &str); 5] = [
    (
        "traces_service_graph_request_total",
        "Exchanges between two services, and connections between them that no exchange shows.",
    ),
    ("traces_service_graph_request_failed_total", "Exchanges between two services that failed."),
    ("traces_service_graph_request_client_seconds", "How long exchanges took, as the client's end saw it."),
    ("traces_service_graph_request_server_seconds", "How long exchanges took, as the server's end saw it."),
    (
        "interceptor_map_folded_total",
        "Exchanges and connections of which something on the service map was folded because there was no room.",
    ),
];

/// Reads the map whenever metrics are read.
pub(super) struct ServiceGraph {
    map: Arc<Shared>,
    descriptions: Vec<Desc>,
}

impl ServiceGraph {
    pub(super) fn new(map: Arc<Shared>) -> prometheus::Result<Self> {
        let description = |(name, help): (&str, &str)| {
            let labels: &[&str] = if name.starts_with("interceptor") { &[] } else { &LABELS };
            let labels = labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(name.to_owned(), help.to_owned(), labels, HashMap::new())
        };
        Ok(Self { map, descriptions: FAMILIES.into_iter().map(description).collect::<Result<_, _>>()? })
    }
}

impl Collector for ServiceGraph {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (calls, folded) = self.map.calls();
        let of = |metric: fn(&Call) -> Metric| calls.iter().map(metric).collect::<Vec<_>>();
        let metrics = [
            (MetricType::COUNTER, of(|call| counted(labels(call), call.total))),
            (MetricType::COUNTER, of(|call| counted(labels(call), call.failed))),
            (MetricType::HISTOGRAM, of(|call| timed(labels(call), &call.times[0]))),
            (MetricType::HISTOGRAM, of(|call| timed(labels(call), &call.times[1]))),
            (MetricType::COUNTER, vec![counted(Vec::new(), folded)]),
        ];
        let family = |((name, help), (kind, metrics)): ((&str, &str), (MetricType, Vec<Metric>))| {
            let mut family = MetricFamily::default();
            family.set_name(name.to_owned());
            family.set_help(help.to_owned());
            family.set_field_type(kind);
            family.set_metric(metrics);
            family
        };
        FAMILIES.into_iter().zip(metrics).map(family).collect()
    }
}

/// In the order of their names, as the registry sorts them.
fn labels(call: &Call) -> Vec<LabelPair> {
    let values = [&call.client, call.connection_type, &call.server];
    let pair = |(name, value): (&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name(name.to_owned());
        pair.set_value(value.to_owned());
        pair
    };
    LABELS.into_iter().zip(values).map(pair).collect()
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus' numbers are floating point")]
fn counted(labels: Vec<LabelPair>, value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value as f64);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn timed(labels: Vec<LabelPair>, times: &Times) -> Metric {
    let bucket = |(bound, count): (f64, u64)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    };
    let mut histogram = Histogram::default();
    histogram.set_sample_count(times.count);
    histogram.set_sample_sum(times.sum);
    histogram.set_bucket(BOUNDS.into_iter().zip(times.cumulative).map(bucket).collect());
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
