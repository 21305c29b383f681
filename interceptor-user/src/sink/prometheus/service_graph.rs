//! The service map as metrics: the families of Tempo's service graphs, which Grafana draws.
//! (<https://grafana.com/docs/tempo/latest/metrics-from-traces/service_graphs/>)

use std::sync::Arc;

use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, Histogram, Metric, MetricFamily, MetricType},
};

use super::families::Family;
use crate::sink::map::{BOUNDS, Call, Shared, Times};

const LABELS: &[&str] = &["client", "connection_type", "server"];

const FAMILIES: [Family; 5] = [
    Family {
        name: "traces_service_graph_request_total",
        help: "Exchanges between two services, and connections between them that no exchange shows.",
        labels: LABELS,
    },
    Family {
        name: "traces_service_graph_request_failed_total",
        help: "Exchanges between two services that failed.",
        labels: LABELS,
    },
    Family {
        name: "traces_service_graph_request_client_seconds",
        help: "How long exchanges took, as the client's end saw it.",
        labels: LABELS,
    },
    Family {
        name: "traces_service_graph_request_server_seconds",
        help: "How long exchanges took, as the server's end saw it.",
        labels: LABELS,
    },
    Family {
        name: "interceptor_map_folded_total",
        help: "Exchanges and connections of which something on the service map was folded because there was no room.",
        labels: &[],
    },
];

/// Reads the map whenever metrics are read.
pub(super) struct ServiceGraph {
    map: Arc<Shared>,
    descriptions: Vec<Desc>,
}

impl ServiceGraph {
    pub(super) fn new(map: Arc<Shared>) -> prometheus::Result<Self> {
        Ok(Self { map, descriptions: FAMILIES.iter().map(Family::description).collect::<Result<_, _>>()? })
    }
}

impl Collector for ServiceGraph {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let (calls, folded) = self.map.calls();
        let [total, failed, client, server, folds] = FAMILIES;
        let of = |metric: &dyn Fn(&Call) -> Metric| calls.iter().map(metric).collect::<Vec<_>>();
        let counted = |family: Family, count: fn(&Call) -> u64| {
            let metrics = of(&|call| family.counter(&labels(call), count(call)));
            family.of(MetricType::COUNTER, metrics)
        };
        let timed = |family: Family, times: fn(&Call) -> &Times| {
            let metrics = of(&|call| timed(family.metric(&labels(call)), times(call)));
            family.of(MetricType::HISTOGRAM, metrics)
        };
        vec![
            counted(total, |call| call.total),
            counted(failed, |call| call.failed),
            timed(client, |call| &call.times[0]),
            timed(server, |call| &call.times[1]),
            folds.of(MetricType::COUNTER, vec![folds.counter(&[], folded)]),
        ]
    }
}

/// In the order of [`LABELS`].
fn labels(call: &Call) -> [&str; 3] {
    [&call.client, call.connection_type, &call.server]
}

fn timed(mut metric: Metric, times: &Times) -> Metric {
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
    metric.set_histogram(histogram);
    metric
}
