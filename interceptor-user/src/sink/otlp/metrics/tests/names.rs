use std::collections::BTreeSet;

use prometheus::proto::MetricType;

use super::super::names::{self, Name};

/// A row of a table of `docs/metrics.md`: name, type, unit, labels, convention.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) kind: MetricType,
    unit: String,
    pub(super) labels: Vec<String>,
    convention: String,
}

pub(super) fn documented() -> Vec<Row> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(page).expect("docs/metrics.md is there");
    let cell = |cell: &str| cell.replace('`', "").trim().to_owned();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|row| {
        let cells: Vec<String> = row.split('|').map(cell).collect();
        let [name, kind, unit, labels, _meaning, rest @ ..] = &cells[..] else { return None };
        let kind = match kind.as_str() {
            "counter" => MetricType::COUNTER,
            "gauge" => MetricType::GAUGE,
            "histogram" => MetricType::HISTOGRAM,
            kind => panic!("{kind}"),
        };
        let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned).collect();
        let convention = rest.first().cloned().unwrap_or_default();
        Some(Row { name: name.clone(), kind, unit: unit.clone(), labels, convention })
    });
    rows.collect()
}

/// What a receiver that follows the specification makes of it ("Prometheus and OpenMetrics compatibility").
fn to_prometheus(Name { name, unit }: &Name, kind: MetricType) -> String {
    let mut back = name.replace('.', "_");
    let suffix = match *unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" if kind == MetricType::GAUGE => "_ratio",
        _ => "",
    };
    if !back.ends_with(suffix) {
        back.push_str(suffix);
    }
    if kind == MetricType::COUNTER {
        back.push_str("_total");
    }
    back
}

#[test]
fn every_metric_has_a_name_that_leads_back_to_it() {
    let rows = documented();
    assert!(rows.len() > 60, "{}", rows.len());
    let mut names = BTreeSet::new();
    for row in &rows {
        let name = names::metric(&row.name, row.kind);
        let back = to_prometheus(&name, row.kind);
        match row.name.as_str() {
            "process_cpu_seconds_total" => assert_eq!(back, "process_cpu_time_seconds_total"),
            "process_resident_memory_bytes" => assert_eq!(back, "process_memory_usage_bytes"),
            ours => assert_eq!(back, ours, "{name:?}"),
        }
        assert!(names.insert(name.name.clone()), "twice: {name:?}");
        // Units that the page gives, but for plain numbers, of which OTLP says what they are numbers of.
        if row.unit != "1" {
            assert_eq!(name.unit, row.unit, "{name:?}");
        }
        if !row.convention.is_empty() {
            assert_eq!(name.name, row.convention);
        }
    }
    // No name is the namespace of another ("General naming considerations").
    for name in &names {
        let below = format!("{name}.");
        let clash: Vec<_> = names.iter().filter(|other| other.starts_with(&below)).collect();
        assert!(clash.is_empty(), "{name} is the namespace of {clash:?}");
    }
}

#[test]
fn labels_become_attributes_and_lead_back() {
    let expected = [
        ("error_type", "error.type"),
        ("gen_ai_operation_name", "gen_ai.operation.name"),
        ("gen_ai_token_type", "gen_ai.token.type"),
        ("http_request_method", "http.request.method"),
        ("http_response_status_code", "http.response.status_code"),
        ("http_route", "http.route"),
        ("network_protocol_version", "network.protocol.version"),
        ("rpc_response_status_code", "rpc.response.status_code"),
        ("rpc_system_name", "rpc.system.name"),
        ("server_address", "server.address"),
        ("url_scheme", "url.scheme"),
    ];
    for (label, attribute) in expected {
        assert_eq!(names::attribute(label), attribute);
    }
    for label in documented().iter().flat_map(|row| &row.labels) {
        assert_eq!(names::attribute(label).replace('.', "_"), *label);
    }
}

#[test]
fn odd_names_have_an_end() {
    for (name, dotted) in [("", ""), ("_", "."), ("__a", "..a"), ("gen_aix_b", "gen.aix.b"), ("a_gen_ai", "a.gen_ai")] {
        assert_eq!(names::attribute(name), dotted);
    }
}
