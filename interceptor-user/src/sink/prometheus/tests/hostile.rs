//! A client that invents everything that it can name: paths, models, hosts, methods, statuses, calls, errors; policies that name
//! ever more rules and entities. The page stays as long as `metrics.max_label_sets` allows, and nothing is left out.

use std::collections::HashMap;

use prometheus::proto::Metric;

use super::*;
use crate::model::{Dialect, DriftRecord, DriftTest, Finding, InspectorName, ModelError, Operation, Role, Would};

/// `metrics.max_label_sets` here.
const CAP: usize = 50;
/// Much more than the cap, so that every kind of folding is reached.
const MANY: usize = if cfg!(miri) { 1_000 } else { 100_000 };

/// How many series a family may have at the most, as docs/metrics.md says it.
fn bound(family: &str) -> usize {
    let closed = Operation::ALL.len() * Dialect::ALL.len();
    match family {
        "gen_ai_client_token_usage" => 2 * (CAP + closed),
        name if name.starts_with("gen_ai_") => CAP + closed,
        name if name.starts_with("inference_drift_windows") => 2 * (CAP + 1),
        name if name.starts_with("inference_drift_score") => 2 * DriftTest::ALL.len() * (CAP + 1),
        name if name.starts_with("inference_drift_") => 2 * (CAP + 1),
        name if name.starts_with("inference_") => CAP + closed,
        // Inspectors, directions, reasons.
        "interceptor_findings_total" => 4 * 3 * (CAP + 1),
        "interceptor_uninspected_total" => 4 * 3 * 6 * (CAP + 1),
        "interceptor_policy_matches_total" | "interceptor_policy_would_total" => 4 * (CAP + 1),
        name if name.starts_with("interceptor_tcp_") => CAP + 2,
        name if name.starts_with("http_") || name.contains("rpc_") => CAP + 1,
        // What nobody outside can name: reasons, kinds of anomalies.
        _ => 100,
    }
}

/// The longest a value may be: sixteen segments of a path.
const VALUE_MAX: usize = 1_100;

/// Something that looks like nothing before it, and is no number that would become a placeholder.
fn word(mut number: usize) -> String {
    let mut word = String::new();
    while number > 0 {
        word.push(char::from(b'g' + (number % 16) as u8));
        number /= 16;
    }
    word
}

fn invented(number: usize) -> Exchange {
    let word = word(number);
    let sides: &[Side] = [&[Side::Server], &[Side::Client], &Side::BOTH[..]][number % 3];
    let mut exchange = match number % 4 {
        0 => rpc::call(&format!("/{word}.S/{word}"), Some(&(number % 1_000).to_string())),
        _ => exchange(
            &word.to_uppercase(),
            &format!("/{word}/{}", "long/".repeat(number % 40)),
            (number % 65_536) as u16,
        ),
    };
    let mut fields = Fields::default();
    fields.push(b"Host", format!("{word}.example:{}", number % 65_536).as_bytes());
    if let Some(part) = &mut exchange.request
        && !number.is_multiple_of(4)
    {
        let version = [Version::Http10, Version::Http11, Version::Http2][number % 3];
        part.head = Head::request(&word.to_uppercase(), &format!("/{word}"), version, fields);
    }
    let mut of = FlowInfo::clone(&flow(sides));
    let server: SocketAddr =
        SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 8_000 + (number % 50_000) as u16));
    of.server = Peer { endpoint: Endpoint::from(server), ..of.server };
    exchange.flow = Arc::new(of);
    let mut said = if number.is_multiple_of(2) { sample::chat() } else { sample::tabular() };
    let inference = said.inference.as_mut().expect("an inference");
    inference.operation = Operation::ALL[number % Operation::ALL.len()];
    inference.dialect = Dialect::ALL[number % Dialect::ALL.len()];
    inference.model = Some(format!("{word}{}", "x".repeat(number % 200)));
    inference.response_model = Some(word.clone());
    inference.batch = Some(number as u64);
    if number.is_multiple_of(3) {
        inference.error = Some(ModelError { kind: Some(word.clone()), message: word.clone() });
    }
    exchange.inference = said.inference;
    let mut verdict = sample::chat().verdict.expect("a verdict");
    verdict.tenant = Some(word.clone());
    for (index, rule) in verdict.rules.iter_mut().enumerate() {
        rule.rule = format!("policy{word}/{index}").into();
        rule.would = Some(Would { action: ["deny", "route"][number % 2], detail: word.clone(), done: false });
    }
    verdict.findings.push(Finding { kind: word.clone().into(), ..verdict.findings[0].clone() });
    for finding in &mut verdict.findings {
        finding.inspector = InspectorName::Pii;
        finding.rule = format!("policy{word}/0").into();
    }
    for skipped in &mut verdict.uninspected {
        skipped.rule = format!("policy{word}/1").into();
    }
    exchange.verdict = Some(verdict);
    exchange
}

fn drifted(number: usize) -> DriftRecord {
    DriftRecord {
        rule: format!("policy{}/d", word(number)).into(),
        model: Some(word(number).into()),
        feature: word(number).into(),
        role: [Role::Request, Role::Response][number % 2],
        test: Some(DriftTest::ALL[number % DriftTest::ALL.len()]),
        drifted: number.is_multiple_of(2),
        ..sample::drift()
    }
}

/// Series of each family, and the bytes of the page.
fn page(sink: &Prometheus) -> (BTreeMap<String, usize>, usize) {
    let gathered = sink.metrics.gather();
    for family in &gathered.families {
        for label in family.get_metric().iter().flat_map(Metric::get_label) {
            assert!(label.value().len() <= VALUE_MAX, "{} {} is long", family.name(), label.name());
        }
    }
    let sizes = gathered.families.iter().map(|family| (family.name().to_owned(), family.get_metric().len())).collect();
    (sizes, sink.metrics.text().expect("a scrape").len())
}

#[test]
fn the_page_does_not_grow_with_what_a_client_invents() {
    for paths in [Paths::Template, Paths::Keep] {
        let link = Link { trace_id: [1; 16], span_id: [2; 8] };
        let mut sink = Prometheus::new(Arc::new(Metrics::new(CAP).expect("metrics")), paths)
            .with_exemplars(Arc::new(move |_, _| Some(link)));
        let mut early = None;
        let many = if paths == Paths::Keep { MANY / 10 } else { MANY };
        for number in 0..many {
            let exchange = invented(number);
            if number % 11 == 0 {
                sink.open(&mut [&exchange].into_iter()).expect("shown");
            }
            if number % 10 == 0 {
                let mut flow = ended_flow();
                flow.flow = Arc::clone(&exchange.flow);
                let figures = Some(SocketFigures { srtt: Some(std::time::Duration::from_millis(1)), retransmits: 1 });
                let info = Arc::make_mut(&mut flow.flow);
                (info.client.figures, info.server.figures) = (figures, figures);
                sink.record(&Record::Flow(Box::new(flow))).expect("recorded");
                sink.record(&Record::Drift(Box::new(drifted(number)))).expect("recorded");
            }
            sink.record(&Record::Exchange(Box::new(exchange))).expect("recorded");
            if number % 1_000 == 999 {
                sink.flush().expect("flushed");
            }
            if number == many / 5 {
                sink.flush().expect("flushed");
                early = Some(page(&sink));
            }
        }
        sink.flush().expect("flushed");
        let (sizes, bytes) = page(&sink);
        for (family, size) in &sizes {
            assert!(*size <= bound(family), "{family} has {size} series, at the most {} are allowed", bound(family));
        }
        let (early_sizes, early_bytes) = early.expect("looked at in between");
        assert_eq!(early_sizes, sizes, "what is full stays as it is");
        assert!(bytes < early_bytes * 11 / 10, "{early_bytes} to {bytes}");
        let samples = samples(&sink);
        let seen = |name: &str| matching(&samples, name, &[]).iter().map(|(_, count)| count).sum::<f64>();
        assert_eq!(seen("interceptor_exchanges_total"), f64::from(many as u32));
        // A third is seen from both sides.
        let both = (0..many).filter(|number| number % 3 == 2).count();
        let http =
            seen("http_server_request_duration_seconds_count") + seen("http_client_request_duration_seconds_count");
        assert_eq!(http, f64::from((many + both) as u32), "each is observed, folded or not");
        assert!(samples["interceptor_metrics_folded_total"] > f64::from(many as u32));
        let kept: usize = sink.metrics.exemplars().all().values().map(HashMap::len).sum();
        assert!(kept <= 25 * (CAP + 110), "{kept} exemplars");
    }
}
