//! Metrics against the list of the conventions' metrics, with their version: names, units, instruments, labels, boundaries.

use std::collections::{BTreeMap, BTreeSet};

use prometheus::proto::{Bucket, MetricType};

use super::{
    super::names::{attribute, is_up_and_down, metric},
    names::{Row, documented},
    *,
};
use crate::model::Side;

/// Beginnings of names of our own.
const OURS: [&str; 2] = ["interceptor.", "inference."];
/// What is Prometheus' own, and no convention's ("Prometheus client libraries", section "Process metrics").
const PROMETHEUS: &str = "process.start_time";
/// Attributes beyond those that the conventions give a metric, and why we have them.
const MORE: [(&str, &str); 4] = [
    // One route for both sides: `url.template` would have the same value.
    ("http.client.", "http.route"),
    ("http.server.active_requests", "http.route"),
    // Requests of versions 1 and 2 wait in different ways.
    ("http.", "network.protocol.version"),
    // All metrics of inferences have one set of labels.
    ("gen_ai.", "error.type"),
];
/// Attributes that are required and that we do not have, and why.
const MISSING: [(&str, &str); 1] = [
    // The process' user and system time are not told apart.
    ("process.cpu.time", "cpu.mode"),
];

struct Listed<'a> {
    instrument: &'a str,
    unit: &'a str,
    required: BTreeSet<&'a str>,
    attributes: BTreeSet<&'a str>,
    bounds: Vec<f64>,
}

fn listed() -> BTreeMap<&'static str, Listed<'static>> {
    let lines = include_str!("../../../../../../tests/semconv/metrics.txt").lines();
    let listed = lines.filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, instrument, unit, _stability, attributes, bounds] = fields[..] else { panic!("{line}") };
        let some = |list: &'static str| list.split(',').filter(|item| *item != "-");
        let attributes = || some(attributes);
        let listed = Listed {
            instrument,
            unit,
            required: attributes().filter_map(|name| name.strip_suffix('!')).collect(),
            attributes: attributes().map(|name| name.trim_end_matches('!')).collect(),
            bounds: some(bounds).map(|bound| bound.parse().expect("a number")).collect(),
        };
        (name, listed)
    });
    listed.collect()
}

/// After exchanges of all kinds, each between two local sockets.
fn of_all_kinds() -> Gathered {
    let metrics = Arc::new(Metrics::new(20).expect("metrics"));
    let mut sink = Prometheus::new(Arc::clone(&metrics), Paths::Template);
    let kinds = [sample::exchange(), sample::call(), sample::chat(), sample::tabular()].map(|exchange| {
        let mut flow = (*exchange.flow).clone();
        (flow.client.cookie, flow.server.cookie) = (Some(1), Some(2));
        assert_eq!(Side::BOTH.map(|side| flow.peer(side).cookie.is_some()), [true; 2]);
        Exchange { flow: Arc::new(flow), ..exchange }
    });
    sink.open(&mut kinds.iter()).expect("shown");
    for exchange in kinds {
        sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
    }
    sink.flush().expect("flushed");
    metrics.gather()
}

/// Those of a row; a word in their place stands for those that several metrics have.
fn attributes(row: &Row, gathered: &Gathered) -> BTreeSet<String> {
    if !matches!(&row.labels[..], [one] if ["HTTP", "RPC", "inference"].contains(&&**one)) {
        return row.labels.iter().map(|label| attribute(label)).collect();
    }
    let family = gathered.families.iter().find(|family| family.name() == row.name);
    let family = family.unwrap_or_else(|| panic!("{} is not exported", row.name));
    family.get_metric()[0].get_label().iter().map(|label| attribute(label.name())).collect()
}

/// What Grafana's service graph reads has the names that Tempo gave it.
const TEMPO: &str = "traces_service_graph_";

fn is_ours(name: &str) -> bool {
    OURS.iter().any(|prefix| name.starts_with(prefix)) || name.starts_with(TEMPO)
}

/// `docs/metrics.md` has every metric and every label: another test holds it against what is exported.
#[test]
fn metrics_are_those_of_the_conventions_or_ours() {
    let (listed, gathered) = (listed(), of_all_kinds());
    let mut found = 0;
    for row in documented() {
        let name = metric(&row.name, row.kind);
        if is_ours(&name.name) || name.name == PROMETHEUS {
            continue;
        }
        found += 1;
        let of = listed.get(&*name.name).unwrap_or_else(|| panic!("{} is no name of the conventions", name.name));
        assert_eq!(name.unit, of.unit, "{}", name.name);
        let instrument = match row.kind {
            MetricType::COUNTER => "counter",
            MetricType::HISTOGRAM => "histogram",
            _ if is_up_and_down(&name.name) => "updowncounter",
            _ => "gauge",
        };
        assert_eq!(instrument, of.instrument, "{}", name.name);
        let attributes = attributes(&row, &gathered);
        let is = |allowed: &(&str, &str), attribute: &str| name.name.starts_with(allowed.0) && allowed.1 == attribute;
        for attribute in &attributes {
            let known = of.attributes.contains(&**attribute) || MORE.iter().any(|more| is(more, attribute));
            assert!(known, "{} has no attribute {attribute} in the conventions", name.name);
        }
        for attribute in &of.required {
            let had = attributes.contains(*attribute) || MISSING.iter().any(|missing| is(missing, attribute));
            assert!(had, "{} has to have {attribute}", name.name);
        }
    }
    assert!(found >= 15, "{found}");
}

/// Labels of our own metrics, too: what looks like an attribute of the conventions is one.
#[test]
fn labels_are_attributes_of_the_conventions_or_ours() {
    let gathered = of_all_kinds();
    let listed: BTreeSet<&str> = include_str!("../../../../../../tests/semconv/attributes.txt")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    for row in documented() {
        let ours = is_ours(&metric(&row.name, row.kind).name);
        for attribute in attributes(&row, &gathered) {
            // Words of one part are labels of our own metrics only.
            let plain = ours && !attribute.contains('.');
            assert!(
                plain || is_ours(&attribute) || listed.contains(&*attribute),
                "{}: {attribute} is no name of the conventions",
                row.name
            );
        }
    }
}

#[test]
fn boundaries_are_those_of_the_conventions() {
    let listed = listed();
    let mut compared = 0;
    for family in &of_all_kinds().families {
        let Some(first) = family.get_metric().first() else { continue };
        let name = metric(family.name(), family.get_field_type()).name;
        let Some(of) = listed.get(&*name).filter(|of| !of.bounds.is_empty()) else { continue };
        let buckets = first.get_histogram().get_bucket().iter();
        let bounds: Vec<f64> = buckets.map(Bucket::upper_bound).filter(|bound| bound.is_finite()).collect();
        assert_eq!(bounds, of.bounds, "{name}");
        compared += 1;
    }
    assert!(compared >= 7, "{compared}");
}
