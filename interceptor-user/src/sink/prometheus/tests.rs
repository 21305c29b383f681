#![expect(clippy::float_cmp, reason = "counts and sums of few small numbers are exact")]

mod active;
mod exemplars;
mod hostile;
mod models;
mod openmetrics;
mod rpc;
mod service_graph;
mod tcp;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use interceptor_common::{DropCount, DropReason};

use super::{histograms::DURATION_BOUNDS, *};
use crate::model::{
    Anomaly, Endpoint, Fields, FlowEnd, FlowInfo, FlowKey, FlowRecord, Ledger, LossReason, Part, Peer, Protocol,
    SideLedger, SocketFigures, Timestamp, Version,
};
use crate::sink::{delivery, map, sample};

const MS: u64 = 1_000_000;

fn flow(local: &[Side]) -> Arc<FlowInfo> {
    let endpoint = |text: &str| Endpoint::from(text.parse::<SocketAddr>().expect("an address"));
    let (client, server) = (endpoint("10.0.0.1:50000"), endpoint("10.0.0.2:8080"));
    let peer = |side, endpoint| Peer { cookie: local.contains(&side).then_some(7), ..Peer::new(endpoint) };
    Arc::new(FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: peer(Side::Client, client),
        server: peer(Side::Server, server),
        start: Timestamp::default(),
        joined: false,
        round_trip: None,
        interface: 1,
    })
}

fn part(head: Head, body_size: u64, first: u64, last: u64) -> Part {
    let [first, last] = [first, last].map(Timestamp::from_nanos);
    Part { body_size, ended: true, ..Part::new(head, first, last) }
}

fn exchange(method: &str, target: &str, status: u16) -> Exchange {
    let mut fields = Fields::default();
    fields.push(b"Host", b"Models.Example:8080");
    Exchange {
        request: Some(part(Head::request(method, target, Version::Http11, fields), 100, 0, MS)),
        response: Some(part(Head::response(status, Version::Http11, Fields::default()), 5000, 2 * MS, 7 * MS)),
        ..Exchange::new(flow(&[Side::Server]), 1, Protocol::Http1)
    }
}

fn sink(cap: usize) -> Prometheus {
    Prometheus::new(Arc::new(Metrics::new(cap).expect("metrics")), Paths::Template)
}

fn record(sink: &mut Prometheus, exchange: Exchange) {
    sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
    sink.flush().expect("flushed");
}

/// The samples of a scrape: name with labels to value.
fn samples(sink: &Prometheus) -> BTreeMap<String, f64> {
    let text = sink.metrics.text().expect("a scrape");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').expect("a sample");
            (name.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}

fn matching<'a>(samples: &'a BTreeMap<String, f64>, name: &str, labels: &[&str]) -> Vec<(&'a str, f64)> {
    let matches = |key: &str| key.starts_with(&format!("{name}{{")) && labels.iter().all(|label| key.contains(label));
    samples.iter().filter(|(key, _)| matches(key)).map(|(key, value)| (key.as_str(), *value)).collect()
}

#[test]
fn an_exchange_is_observed_under_the_conventions_labels() {
    let mut sink = sink(100);
    record(&mut sink, exchange("POST", "/v2/models/m/versions/3/infer?x", 200));
    let samples = samples(&sink);
    let labels = "{error_type=\"\",http_request_method=\"POST\",http_response_status_code=\"200\",\
                  http_route=\"/v2/models/m/versions/{id}/infer\",network_protocol_version=\"1.1\",\
                  server_address=\"10.0.0.2\",server_port=\"8080\",url_scheme=\"http\"}";
    assert_eq!(samples[&format!("http_server_request_duration_seconds_count{labels}")], 1.0);
    assert_eq!(samples[&format!("http_server_request_duration_seconds_sum{labels}")], 0.007);
    assert_eq!(samples[&format!("http_server_request_body_size_bytes_sum{labels}")], 100.0);
    assert_eq!(samples[&format!("http_server_response_body_size_bytes_sum{labels}")], 5000.0);
    assert_eq!(samples["interceptor_exchanges_total{completeness=\"complete\"}"], 1.0);
    assert!(matching(&samples, "http_client_request_duration_seconds_count", &[]).is_empty());
}

#[test]
fn duration_bounds_are_those_of_the_conventions_and_inclusive() {
    let mut sink = sink(100);
    for end in [5 * MS, 5 * MS + 1, 10_000 * MS, 10_001 * MS] {
        let mut one = exchange("GET", "/", 200);
        one.response.as_mut().expect("a response").last_byte = Timestamp::from_nanos(end);
        record(&mut sink, one);
    }
    let samples = samples(&sink);
    let bucket = |bound: &str| {
        let found = matching(&samples, "http_server_request_duration_seconds_bucket", &[&format!("le=\"{bound}\"")]);
        assert_eq!(found.len(), 1, "{bound}");
        found[0].1
    };
    let counts: Vec<f64> = DURATION_BOUNDS.iter().map(|bound| bucket(&bound.to_string())).collect();
    assert_eq!(counts, [1., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 2., 3.]);
    assert_eq!(bucket("+Inf"), 4.0);
}

#[test]
fn the_side_is_that_of_the_local_socket() {
    let cases: [(&[Side], f64, f64); 4] = [
        (&[], 1.0, 0.0),
        (&[Side::Server], 1.0, 0.0),
        (&[Side::Client], 0.0, 1.0),
        (&[Side::Client, Side::Server], 1.0, 1.0),
    ];
    for (local, server, client) in cases {
        let mut sink = sink(100);
        record(&mut sink, Exchange { flow: flow(local), ..exchange("GET", "/", 200) });
        let samples = samples(&sink);
        let count = |side: &str| {
            let name = format!("http_{side}_request_duration_seconds_count");
            matching(&samples, &name, &[]).iter().map(|(_, count)| count).sum::<f64>()
        };
        assert_eq!((count("server"), count("client")), (server, client), "{local:?}");
    }
}

#[test]
fn a_client_names_the_server_as_it_asked_for_it() {
    let mut sink = sink(100);
    record(&mut sink, Exchange { flow: flow(&[Side::Client]), ..exchange("GET", "/", 404) });
    let samples = samples(&sink);
    let name = "http_client_request_duration_seconds_count";
    let labels = ["server_address=\"models.example\"", "server_port=\"8080\"", "error_type=\"404\""];
    assert_eq!(matching(&samples, name, &labels).len(), 1, "{samples:?}");
}

#[test]
fn unknown_methods_are_other_and_failures_have_a_type() {
    type Case = (&'static str, u16, &'static [Anomaly], bool, &'static str, &'static str);
    let cases: [Case; 8] = [
        ("get", 200, &[], true, "_OTHER", ""),
        ("PROPFIND", 207, &[], true, "_OTHER", ""),
        ("GET", 404, &[], true, "GET", ""),
        ("GET", 503, &[], true, "GET", "503"),
        ("GET", 200, &[Anomaly::Reset, Anomaly::Truncated], true, "GET", "reset"),
        ("GET", 200, &[Anomaly::NoResponse], false, "GET", "no_response"),
        ("GET", 200, &[Anomaly::StreamReset], false, "GET", "stream_reset"),
        ("GET", 200, &[Anomaly::Refused, Anomaly::NoResponse], false, "GET", "refused"),
    ];
    for (method, status, anomalies, answered, label, error) in cases {
        let mut sink = sink(100);
        let mut one = exchange(method, "/", status);
        one.anomalies = anomalies.iter().copied().collect();
        one.response = one.response.filter(|_| answered);
        record(&mut sink, one);
        let samples = samples(&sink);
        let labels = [&*format!("method=\"{label}\""), &*format!("error_type=\"{error}\"")];
        let found = matching(&samples, "http_server_request_body_size_bytes_count", &labels);
        assert_eq!(found.len(), 1, "{method} {status}: {samples:?}");
        for anomaly in anomalies {
            assert_eq!(samples[&format!("interceptor_anomalies_total{{anomaly=\"{}\"}}", anomaly.name())], 1.0);
        }
    }
}

#[test]
fn without_a_request_an_exchange_is_counted_and_not_observed() {
    let mut sink = sink(100);
    record(&mut sink, Exchange { request: None, ..exchange("GET", "/", 200) });
    let samples = samples(&sink);
    assert_eq!(samples["interceptor_exchanges_total{completeness=\"no_request\"}"], 1.0);
    assert!(matching(&samples, "http_server_request_duration_seconds_count", &[]).is_empty());
}

#[test]
fn sizes_that_are_not_known_are_not_observed() {
    let mut sink = sink(100);
    let mut one = exchange("GET", "/", 200);
    one.response.as_mut().expect("a response").ended = false;
    one.request.as_mut().expect("a request").body_missing = 11;
    record(&mut sink, one);
    let samples = samples(&sink);
    assert_eq!(matching(&samples, "http_server_response_body_size_bytes_count", &[])[0].1, 0.0);
    assert_eq!(matching(&samples, "http_server_request_body_size_bytes_sum", &[])[0].1, 111.0);
    assert_eq!(samples["interceptor_exchanges_total{completeness=\"partial\"}"], 1.0);
}

#[test]
fn label_sets_are_capped_and_what_is_folded_is_counted() {
    let mut sink = sink(20);
    for number in 0..100 {
        record(&mut sink, exchange("GET", &format!("/word{}", "x".repeat(number % 60)), 200));
    }
    for status in 200..300 {
        record(&mut sink, exchange("GET", &format!("/new{}", "y".repeat(usize::from(status) % 50)), status));
    }
    let samples = samples(&sink);
    let sets = matching(&samples, "http_server_request_duration_seconds_count", &[]);
    // 18 as they are, 2 without their route, and one for everything else.
    assert_eq!(sets.len(), 21);
    assert_eq!(samples["interceptor_metrics_label_sets"], 21.0);
    assert_eq!(sets.iter().map(|(_, count)| count).sum::<f64>(), 200.0, "every exchange is observed once");
    let without_route =
        matching(&samples, "http_server_request_duration_seconds_count", &["http_route=\"other\"", "method=\"GET\""]);
    assert_eq!(without_route.len(), 2);
    let rest = matching(&samples, "http_server_request_duration_seconds_count", &["server_address=\"other\""]);
    assert_eq!(rest.len(), 1);
    let folded = without_route.iter().chain(&rest).map(|(_, count)| count).sum::<f64>();
    assert_eq!(samples["interceptor_metrics_folded_total"], folded);
}

#[test]
fn what_is_observed_is_scraped_after_a_flush_and_once() {
    let mut sink = sink(10);
    let count = "http_server_request_duration_seconds_count";
    let total = |sink: &Prometheus| {
        samples(sink).iter().filter(|(name, _)| name.starts_with(count)).map(|(_, value)| value).sum::<f64>()
    };
    for _ in 0..2 {
        sink.record(&Record::Exchange(Box::new(exchange("GET", "/a", 200)))).expect("recorded");
    }
    assert_eq!(total(&sink), 0.0);
    sink.flush().expect("flushed");
    sink.flush().expect("flushed");
    assert_eq!(total(&sink), 2.0);
}

#[test]
fn workers_share_label_sets_and_the_cap() {
    let metrics = Arc::new(Metrics::new(10).expect("metrics"));
    let mut sinks = [(); 2].map(|()| Prometheus::new(Arc::clone(&metrics), Paths::Template));
    for word in ["a", "b", "c", "d", "e", "f"] {
        for sink in &mut sinks {
            record(sink, exchange("GET", &format!("/{word}"), 200));
        }
    }
    let samples = samples(&sinks[0]);
    let counts = matching(&samples, "http_server_request_duration_seconds_count", &[]);
    assert_eq!(counts.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [2.0; 6]);
    assert_eq!(samples["interceptor_metrics_folded_total"], 0.0);
}

fn ended_flow() -> FlowRecord {
    let mut client = SideLedger { carried: 100, captured: 90, parsed: 85, reported: 5, ..SideLedger::default() };
    client.lose(LossReason::RingFull, 10);
    let server = SideLedger { carried: 1000, captured: 1000, parsed: 1000, duplicate: 7, ..SideLedger::default() };
    FlowRecord {
        flow: flow(&[]),
        end: FlowEnd::Reset,
        time: Timestamp::default(),
        protocol: Protocol::Http1,
        tls: None,
        ledger: Ledger { client, server },
        exchanges: 1,
        anomalies: [Anomaly::Skipped].into_iter().collect(),
    }
}

#[test]
fn ended_flows_add_their_ledger() {
    let mut sink = sink(10);
    sink.record(&Record::Flow(Box::new(ended_flow()))).expect("recorded");
    let samples = samples(&sink);
    let states = [("carried", 1100.), ("captured", 1090.), ("parsed", 1085.), ("reported", 5.), ("duplicate", 7.)];
    for (state, bytes) in states {
        assert_eq!(samples[&format!("interceptor_flow_bytes_total{{state=\"{state}\"}}")], bytes, "{state}");
    }
    assert_eq!(samples["interceptor_lost_bytes_total{reason=\"ring_full\"}"], 10.0);
    assert_eq!(samples["interceptor_lost_bytes_total{reason=\"not_seen\"}"], 0.0);
    assert_eq!(samples["interceptor_flows_ended_total{reason=\"reset\"}"], 1.0);
    assert_eq!(samples["interceptor_flows_unbalanced_total"], 0.0);
    assert_eq!(samples["interceptor_anomalies_total{anomaly=\"skipped\"}"], 1.0);
    assert_eq!(samples["interceptor_flow_protocols_total{protocol=\"http\"}"], 1.0);
    assert_eq!(samples["interceptor_flow_protocols_total{protocol=\"silent\"}"], 0.0);
}

#[test]
fn a_ledger_that_does_not_balance_is_counted() {
    let mut sink = sink(10);
    let mut flow = ended_flow();
    flow.ledger.client.parsed += 1;
    sink.record(&Record::Flow(Box::new(flow))).expect("recorded");
    assert_eq!(samples(&sink)["interceptor_flows_unbalanced_total"], 1.0);
}

#[test]
fn scrapes_read_the_workers() {
    let sink = sink(10);
    for number in 1..=2 {
        let totals = move || {
            let mut totals = Totals {
                open_exchanges: number,
                open_flows: 10 * number,
                flows_opened: 100 * number,
                ring_size: 8192,
                taken: DropCount { packets: 5, bytes: 50 },
                ..Totals::default()
            };
            let counts = crate::model::Counts::default();
            counts.strangers.store(number, std::sync::atomic::Ordering::Relaxed);
            counts.beyond_end_bytes.store(10 * number, std::sync::atomic::Ordering::Relaxed);
            totals.set_aside = counts.set_aside();
            totals.dropped = vec![Default::default(); 3];
            totals.dropped[1][DropReason::Oversized as usize] = DropCount { packets: number, bytes: 1000 * number };
            totals
        };
        let name = String::new();
        sink.metrics.watch(Arc::new(Worker { name, attachments: Box::new(Vec::new), totals: Box::new(totals) }));
    }
    for _ in 0..2 {
        let samples = samples(&sink);
        assert_eq!(samples["interceptor_open_exchanges"], 3.0);
        assert_eq!(samples["interceptor_flows_open"], 30.0);
        assert_eq!(samples["interceptor_flows_opened_total"], 300.0, "a second scrape must not count twice");
        assert_eq!(samples["interceptor_set_aside_segments_total{reason=\"stranger\"}"], 3.0);
        assert_eq!(samples["interceptor_set_aside_bytes_total{reason=\"beyond_end\"}"], 30.0);
        assert_eq!(samples["interceptor_set_aside_bytes_total{reason=\"lost_unattributed\"}"], 0.0);
        let dropped = |what, cpu, reason| {
            samples
                .get(&format!("interceptor_kernel_dropped_{what}_total{{cpu=\"{cpu}\",reason=\"{reason}\"}}"))
                .copied()
        };
        assert_eq!(dropped("packets", 1, "oversized"), Some(3.0));
        assert_eq!(dropped("bytes", 1, "oversized"), Some(3000.0));
        assert_eq!(dropped("packets", 0, "oversized"), Some(0.0), "every reason is there from the start");
        assert_eq!(dropped("packets", 1, "fragment"), None, "zeros of other CPUs are not");
        assert_eq!(dropped("packets", 2, "oversized"), None);
        assert_eq!(samples["interceptor_kernel_taken_packets_total"], 10.0);
        assert_eq!(samples["interceptor_kernel_taken_bytes_total"], 100.0);
        assert_eq!(samples["interceptor_ring_size_bytes"], 16384.0);
        assert!(samples["process_resident_memory_bytes"] > 1e6);
        assert!(samples["process_cpu_seconds_total"] > 0.0);
    }
}

/// Name, type and labels of every metric, as a scrape shows them.
fn exported() -> BTreeSet<(String, String, String)> {
    let mut sink = sink(10);
    let both = Exchange { flow: flow(&Side::BOTH), ..rpc::call("/p.S/M", Some("0")) };
    sink.open(&mut [&both].into_iter()).expect("shown");
    record(&mut sink, both);
    for said in [sample::chat(), sample::tabular()] {
        let Exchange { inference, mut verdict, .. } = said;
        record(&mut sink, Exchange { flow: flow(&Side::BOTH), verdict: verdict.clone(), ..exchange("POST", "/", 200) });
        let rules = verdict.iter_mut().flat_map(|verdict| &mut verdict.rules);
        rules.filter_map(|rule| rule.would.as_mut()).for_each(|would| would.done = true);
        record(&mut sink, Exchange { flow: flow(&Side::BOTH), inference, verdict, ..exchange("POST", "/", 200) });
    }
    sink.record(&Record::Drift(Box::new(sample::drift()))).expect("recorded");
    let mut ended = ended_flow();
    Arc::make_mut(&mut ended.flow).client.figures = Some(SocketFigures { srtt: None, retransmits: 0 });
    sink.record(&Record::Flow(Box::new(ended))).expect("recorded");
    sink.metrics.watch_sink(Arc::new(delivery::Counts::new("lines")));
    let map = Arc::new(map::Shared::new(map::Limits::default(), None));
    map.record(&Record::Exchange(Box::new(exchange("GET", "/", 200))));
    sink.metrics.show_map(map).expect("shown");
    let steered = vec![("p/models".into(), "outbound", "steered", 7)];
    let ask = move || Inline {
        open: 1,
        accepted: 9,
        failed: [("stray", 1), ("unreachable", 2), ("unanswered", 3), ("unresolved", 4)],
        unread: [("forwarded", 1), ("refused", 2)],
        held: [("whole", 1), ("too_large", 2), ("no_room", 3)],
        steered: steered.clone(),
        upstream: InlineUpstream {
            connections: [("active", 1), ("idle", 2)],
            retries: [("connect", 1), ("closed", 2), ("refused", 3), ("status", 4), ("reset", 5)],
            timeouts: [("connect", 1), ("response", 2), ("idle", 3)],
            out: [("ejected", 1), ("unhealthy", 2)],
            limited: [("all", 1), ("upstream", 2)],
            ..InlineUpstream::default()
        },
        ..Inline::default()
    };
    sink.metrics.show_inline(Box::new(ask)).expect("shown");
    let text = sink.metrics.text().expect("a scrape");
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types
        .map(|(name, kind)| {
            let labels = |line: &str| {
                let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map(|(labels, _)| labels);
                let names = labels.unwrap_or_default().split("\",").filter_map(|label| label.split_once("=\""));
                names.map(|(name, _)| name).filter(|name| *name != "le").collect::<Vec<_>>().join(", ")
            };
            let sample = text.lines().find(|line| line.starts_with(name)).expect("a sample");
            (name.to_owned(), kind.to_owned(), labels(sample))
        })
        .collect()
}

#[test]
fn the_documentation_lists_every_metric_and_no_other() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let page = std::fs::read_to_string(page).expect("docs/metrics.md is there");
    let cell = |cell: &str| cell.replace('`', "").trim().to_owned();
    let documented: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .filter_map(|row| {
            let cells: Vec<String> = row.split('|').map(cell).collect();
            // The table of labels has two columns.
            let [name, kind, _unit, labels, _meaning, ..] = &cells[..] else { return None };
            let labels = match labels.as_str() {
                "HTTP" => sorted(&super::labels::NAMES),
                "RPC" => sorted(&super::rpc::NAMES),
                "inference" => sorted(&super::inferences::LABELS),
                _ => labels.clone(),
            };
            Some((name.clone(), kind.clone(), labels))
        })
        .collect();
    let exported = exported();
    assert_eq!(exported.difference(&documented).collect::<Vec<_>>(), Vec::<&_>::new(), "missing in docs/metrics.md");
    assert_eq!(documented.difference(&exported).collect::<Vec<_>>(), Vec::<&_>::new(), "not exported");
    for label in super::labels::NAMES.iter().chain(&super::rpc::NAMES).chain(&super::inferences::LABELS) {
        assert!(page.contains(&format!("`{label}`")), "docs/metrics.md does not explain {label}");
    }
}

fn sorted(labels: &[&str]) -> String {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels.join(", ")
}
