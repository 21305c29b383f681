use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::*;
use crate::sink::prometheus::exemplars::{Exemplar, Link, Linker};

/// The span id tells the exchange's number, and whose span it is; those with even numbers are not sampled.
fn linker() -> Linker {
    Arc::new(|exchange, side| {
        let span_id = [side as u8, 0, 0, 0, 0, 0, 0, exchange.number as u8];
        (exchange.number % 2 == 1).then_some(Link { trace_id: [7; 16], span_id })
    })
}

/// Takes so many milliseconds.
fn taking(number: u64, millis: u64) -> Exchange {
    let mut exchange = Exchange { number, ..exchange("GET", "/", 200) };
    exchange.response.as_mut().expect("a response").last_byte = Timestamp::from_nanos(millis * MS);
    exchange
}

fn count(sink: &mut Prometheus, exchange: Exchange) {
    sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
}

/// Those of a histogram.
fn exemplars(metrics: &Metrics, name: &str) -> Vec<Exemplar> {
    let gathered = metrics.gather();
    let family = gathered.families.iter().find(|family| family.name() == name).expect("is there");
    family.get_metric().iter().filter_map(|metric| gathered.exemplar(family, metric).copied()).collect()
}

const DURATION: &str = "http_server_request_duration_seconds";

#[test]
fn the_largest_value_with_a_sampled_trace_since_the_last_flush_is_linked() {
    let mut sink = sink(100).with_exemplars(linker());
    for (number, millis) in [(1, 10), (3, 30), (2, 90), (5, 20)] {
        count(&mut sink, taking(number, millis));
    }
    assert_eq!(exemplars(&sink.metrics.clone(), DURATION), []);
    sink.flush().expect("flushed");
    let [exemplar] = exemplars(&sink.metrics, DURATION)[..] else { panic!("not one") };
    assert_eq!((exemplar.value, exemplar.link.span_id), (0.03, [Side::Server as u8, 0, 0, 0, 0, 0, 0, 3]));
    assert_eq!(exemplar.time, Timestamp::from_nanos(30 * MS));
    // Without one since, what was there stays; a smaller one takes its place.
    count(&mut sink, taking(4, 50));
    sink.flush().expect("flushed");
    assert_eq!(exemplars(&sink.metrics, DURATION), [exemplar]);
    count(&mut sink, taking(7, 5));
    sink.flush().expect("flushed");
    assert_eq!(exemplars(&sink.metrics, DURATION)[0].value, 0.005);
}

#[test]
fn each_series_has_its_own_and_each_side() {
    let mut sink = sink(100).with_exemplars(linker());
    for (number, status) in [(1, 200), (3, 500), (5, 404)] {
        let both = Exchange { flow: flow(&[Side::Server, Side::Client]), number, ..exchange("GET", "/", status) };
        count(&mut sink, both);
    }
    sink.flush().expect("flushed");
    for (side, name) in [(Side::Server, "server"), (Side::Client, "client")] {
        let found = exemplars(&sink.metrics, &format!("http_{name}_request_duration_seconds"));
        let mut spans: Vec<_> = found.iter().map(|exemplar| exemplar.link.span_id).collect();
        spans.sort_unstable();
        assert_eq!(spans, [1, 3, 5].map(|number| [side as u8, 0, 0, 0, 0, 0, 0, number]));
    }
    let sizes = exemplars(&sink.metrics, "http_server_response_body_size_bytes");
    assert!(sizes.iter().all(|exemplar| exemplar.value == 5000.0) && sizes.len() == 3, "{sizes:?}");
}

#[test]
fn inferences_are_linked_too() {
    let mut sink = sink(100).with_exemplars(linker());
    for exchange in [sample::chat(), sample::tabular()] {
        count(&mut sink, Exchange { number: 1, ..exchange });
    }
    sink.flush().expect("flushed");
    let gathered = sink.metrics.gather();
    let mut linked = BTreeSet::new();
    for family in &gathered.families {
        for metric in family.get_metric() {
            if gathered.exemplar(family, metric).is_some() {
                linked.insert(family.name().to_owned());
            }
        }
        let histogram = family.get_field_type() == prometheus::proto::MetricType::HISTOGRAM;
        assert!(!histogram || linked.contains(family.name()), "{}", family.name());
    }
    let of = |family: &str| linked.iter().any(|name| name.starts_with(family));
    assert!(of("gen_ai_") && of("inference_"), "{linked:?}");
}

#[test]
fn label_values_cannot_be_taken_for_others() {
    let of = |values: [&'static str; 2]| super::super::exemplars::series(["a", "b"].into_iter().zip(values));
    assert_ne!(of(["1:x", ""]), of(["", "1:x"]));
    assert_ne!(of(["", "0:"]), of(["0:", ""]));
    let other_order = super::super::exemplars::series([("b", "2"), ("a", "1")].into_iter());
    assert_eq!(of(["1", "2"]), other_order);
}

/// Of many values in no order, few are larger than all before them: about the logarithm of their number.
#[test]
fn a_trace_is_looked_for_only_where_its_value_would_be_kept() {
    let asked = Arc::new(AtomicU64::new(0));
    let counting: Linker = {
        let (asked, linker) = (Arc::clone(&asked), linker());
        Arc::new(move |exchange, side| {
            asked.fetch_add(1, Relaxed);
            linker(exchange, side)
        })
    };
    let mut sink = sink(100).with_exemplars(counting);
    let mut random = 7_u64;
    for _ in 0..10_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        count(&mut sink, taking(1, random >> 44));
    }
    let asked = asked.load(Relaxed);
    assert!((2..40).contains(&asked), "{asked}");
}
