mod conventions;
mod link;
mod names;
mod push;

use std::sync::Arc;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;

use super::*;
use crate::{
    config::Paths,
    model::{Exchange, Record},
    sink::{
        Sink as _,
        prometheus::{Gathered, Link, Prometheus},
        sample,
    },
};

const LINK: Link = Link { trace_id: [0xab; 16], span_id: [0xcd; 8] };
const SPAN: points::Span = points::Span { start: 1_000_000_000, now: 61_000_000_000 };

/// After this exchange.
fn counted(exchange: Exchange) -> (Arc<Metrics>, Prometheus) {
    let metrics = Arc::new(Metrics::new(10).expect("metrics"));
    let mut sink = Prometheus::new(Arc::clone(&metrics), Paths::Template).with_exemplars(Arc::new(|_, _| Some(LINK)));
    sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
    sink.flush().expect("flushed");
    (metrics, sink)
}

fn only(mut gathered: Gathered, names: &[&str]) -> Gathered {
    gathered.families.retain(|family| names.contains(&family.name()));
    assert_eq!(gathered.families.len(), names.len());
    gathered
}

fn exports(gathered: &Gathered) -> Vec<points::Export> {
    let resource = Resource {
        attributes: vec![attribute("service.name", Value::StringValue("interceptor".to_owned()))],
        ..Resource::default()
    };
    points::exports(gathered, &resource, SPAN)
}

#[test]
fn what_is_gathered_becomes_points_of_the_conventions_metrics() {
    let families = [
        "http_client_request_duration_seconds",
        "http_client_active_requests",
        "interceptor_flows_open",
        "interceptor_polls_total",
    ];
    let (metrics, mut active) = counted(sample::exchange());
    active.open(&mut [&sample::exchange()].into_iter()).expect("shown");
    let mut exports = exports(&only(metrics.gather(), &families));
    let export = exports.pop().expect("one request");
    assert!(exports.is_empty());
    assert_eq!(export.points, 4);
    let shown = format!("{:#?}", export.request).replace(env!("CARGO_PKG_VERSION"), "VERSION");
    insta::assert_snapshot!(shown);
}

#[test]
fn buckets_are_each_for_themselves_and_count_all() {
    let gathered = counted(sample::exchange()).0.gather();
    let mut histograms = 0;
    for export in exports(&gathered) {
        for metric in export.request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics[0].metrics) {
            let Some(Data::Histogram(histogram)) = &metric.data else { continue };
            for point in &histogram.data_points {
                histograms += 1;
                assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "{}", metric.name);
                assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count, "{}", metric.name);
                let exemplar = point.exemplars.first().expect("an exemplar");
                assert_eq!((&*exemplar.trace_id, &*exemplar.span_id), (&LINK.trace_id[..], &LINK.span_id[..]));
            }
        }
    }
    assert_eq!(histograms, 3);
}

#[test]
fn no_request_holds_more_points_than_it_may_and_all_are_sent() {
    let metrics = Arc::new(Metrics::new(3_000).expect("metrics"));
    let mut sink = Prometheus::new(Arc::clone(&metrics), Paths::Keep);
    for number in 0..1_500 {
        let mut exchange = sample::exchange();
        let path = format!("/{number}");
        exchange.request = Some(sample::request("GET", &path, &[], b""));
        sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
    }
    sink.flush().expect("flushed");
    let gathered = metrics.gather();
    let all: usize = gathered.families.iter().map(|family| family.get_metric().len()).sum();
    let exports = exports(&gathered);
    assert!(exports.len() > 2, "{}", exports.len());
    assert!(exports.iter().all(|export| export.points <= 2_000));
    assert_eq!(exports.iter().map(|export| export.points).sum::<u64>(), all as u64);
}
