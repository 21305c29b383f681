//! Metrics as they are gathered to requests of OTLP.

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    metrics::v1::{
        AggregationTemporality, Exemplar, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, exemplar, metric::Data, number_data_point,
    },
    resource::v1::Resource,
};
use prometheus::proto::{self, MetricFamily, MetricType};

use super::names;
use crate::sink::prometheus::{self as ours, Gathered};

/// Data points of a request at the most, but for those of one metric: a point takes about half a kilobyte, and receivers
/// of gRPC refuse messages of more than 4 MiB.
const POINTS_MAX: usize = 2_000;

/// When counting began and when it was read: nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) start: u64,
    pub(super) now: u64,
}

/// A request, and the data points in it.
pub(super) struct Export {
    pub(super) request: ExportMetricsServiceRequest,
    pub(super) points: u64,
}

/// Everything, in as many requests as it takes.
pub(super) fn exports(gathered: &Gathered, resource: &Resource, span: Span) -> Vec<Export> {
    let mut exports = Vec::new();
    let (mut metrics, mut points) = (Vec::new(), 0);
    for family in &gathered.families {
        let more = family.get_metric().len();
        if points > 0 && points + more > POINTS_MAX {
            exports.push(export(std::mem::take(&mut metrics), std::mem::take(&mut points), resource));
        }
        if let Some(metric) = metric(family, gathered, span) {
            metrics.push(metric);
            points += more;
        }
    }
    if points > 0 {
        exports.push(export(metrics, points, resource));
    }
    exports
}

fn export(metrics: Vec<Metric>, points: usize, resource: &Resource) -> Export {
    let scope = InstrumentationScope {
        name: "interceptor".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() }];
    let resource = Some(resource.clone());
    let resource_metrics = vec![ResourceMetrics { resource, scope_metrics, ..ResourceMetrics::default() }];
    Export { request: ExportMetricsServiceRequest { resource_metrics }, points: points as u64 }
}

/// None for kinds that we do not have.
fn metric(family: &MetricFamily, gathered: &Gathered, span: Span) -> Option<Metric> {
    let kind = family.get_field_type();
    let names::Name { name, unit } = names::metric(family.name(), kind);
    let metrics = family.get_metric().iter();
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match kind {
        MetricType::COUNTER => Data::Sum(Sum {
            data_points: metrics.map(|metric| number(metric, metric.get_counter().get_value(), span)).collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        MetricType::GAUGE => {
            let data_points = metrics.map(|metric| number(metric, metric.get_gauge().get_value(), span)).collect();
            if names::is_up_and_down(&name) {
                Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: false })
            } else {
                Data::Gauge(Gauge { data_points })
            }
        }
        MetricType::HISTOGRAM => Data::Histogram(Histogram {
            data_points: metrics.map(|metric| histogram(metric, gathered.exemplar(family, metric), span)).collect(),
            aggregation_temporality: cumulative,
        }),
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let (description, unit) = (family.help().to_owned(), unit.to_owned());
    Some(Metric { name, description, unit, data: Some(data), ..Metric::default() })
}

fn number(metric: &proto::Metric, value: f64, span: Span) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        value: Some(number_data_point::Value::AsDouble(value)),
        ..NumberDataPoint::default()
    }
}

fn histogram(metric: &proto::Metric, exemplar: Option<&ours::Exemplar>, span: Span) -> HistogramDataPoint {
    let histogram = metric.get_histogram();
    let buckets = || histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite());
    let count = histogram.get_sample_count();
    // Each of Prometheus' buckets has what is in those before it, too; OTLP's last one has no bound.
    let upto = buckets().map(proto::Bucket::cumulative_count).chain([count]);
    let before = [0].into_iter().chain(buckets().map(proto::Bucket::cumulative_count));
    HistogramDataPoint {
        attributes: attributes(metric),
        start_time_unix_nano: span.start,
        time_unix_nano: span.now,
        count,
        sum: Some(histogram.get_sample_sum()),
        bucket_counts: upto.zip(before).map(|(upto, before)| upto.saturating_sub(before)).collect(),
        explicit_bounds: buckets().map(proto::Bucket::upper_bound).collect(),
        exemplars: exemplar.map(to_otlp).into_iter().collect(),
        ..HistogramDataPoint::default()
    }
}

fn to_otlp(exemplar: &ours::Exemplar) -> Exemplar {
    Exemplar {
        time_unix_nano: exemplar.time.as_nanos(),
        span_id: exemplar.link.span_id.to_vec(),
        trace_id: exemplar.link.trace_id.to_vec(),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..Exemplar::default()
    }
}

/// An empty label is none.
fn attributes(metric: &proto::Metric) -> Vec<KeyValue> {
    let labels = metric.get_label().iter().filter(|label| !label.value().is_empty());
    labels
        .map(|label| {
            let name = names::attribute(label.name());
            let number = names::is_number(&name).then(|| label.value().parse().ok()).flatten();
            let value = number.map_or_else(|| Value::StringValue(label.value().to_owned()), Value::IntValue);
            attribute(&name, value)
        })
        .collect()
}

/// With this value.
pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
