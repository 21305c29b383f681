//! How many values a second drift takes: collecting them in windows, and comparing these with the baseline.
//! `cargo xtask bench drift` runs it; by hand: `cargo bench -p interceptor-user --bench drift [ROUNDS]`.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "counts of a benchmark are far below 2^52"
)]

use std::{
    hint::black_box,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use interceptor::{
    inspect::{
        Budget, Inspector as _, Report, Subject,
        drift::{
            Drift,
            baseline::{Baseline, Learner},
        },
    },
    model::{
        Dialect, Exchange, FlowInfo, FlowKey, Head, Inference, Operation, Part, Peer, Protocol, Role, Tensor,
        Timestamp, Values, Version,
    },
    policy::settings,
    protobuf::Registry,
};

const FEATURES: usize = 8;
const VALUES: usize = 800_000;

/// What is measured.
struct Case {
    name: &'static str,
    /// Rows of a request.
    rows: usize,
    /// Values of each feature in the baseline.
    reference: usize,
    /// Values of a window.
    window: usize,
    categories: bool,
}

const CASES: [Case; 5] = [
    Case { name: "a row a request", rows: 1, reference: 1_000, window: 1_000, categories: false },
    Case { name: "64 rows a request", rows: 64, reference: 1_000, window: 1_000, categories: false },
    Case { name: "64 rows, large baseline", rows: 64, reference: 100_000, window: 1_000, categories: false },
    Case { name: "64 rows, large windows", rows: 64, reference: 100_000, window: 50_000, categories: false },
    Case { name: "64 rows of categories", rows: 64, reference: 1_000, window: 1_000, categories: true },
];

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(5);
    let mut best = [Duration::MAX; CASES.len()];
    for _ in 0..rounds {
        for (case, best) in CASES.iter().zip(&mut best) {
            *best = run(case).min(*best);
        }
    }
    println!("features {FEATURES} values {VALUES} rounds {rounds}");
    for (case, best) in CASES.iter().zip(&best) {
        println!("{}: {:.2} million values a second", case.name, VALUES as f64 / best.as_secs_f64() / 1e6);
    }
}

/// Numbers about normally distributed, the same each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..4 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            sum += (self.0 >> 11) as f64 / (1_u64 << 53) as f64;
        }
        sum
    }
}

fn category(number: f64) -> String {
    format!("category {}", (number * 5.0) as u32)
}

fn baseline(case: &Case, random: &mut Random) -> Baseline {
    let mut learner = Learner::default();
    for _ in 0..case.reference {
        for feature in 0..FEATURES {
            let (name, number) = (format!("x{feature}"), random.next());
            if case.categories {
                learner.text(None, Role::Request, &name, Some(&category(number)));
            } else {
                learner.number(None, Role::Request, &name, number);
            }
        }
    }
    learner.finish()
}

fn inference(case: &Case, random: &mut Random) -> Inference {
    let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
    for feature in 0..FEATURES {
        let numbers: Vec<f64> = (0..case.rows).map(|_| random.next()).collect();
        let values = if case.categories {
            Values::Strings(numbers.into_iter().map(|number| Some(category(number))).collect())
        } else {
            Values::Numbers(numbers)
        };
        let name = format!("x{feature}").into();
        inference.inputs.push(Tensor { name, shape: vec![case.rows as i64], values, ..Tensor::default() });
    }
    inference
}

fn exchange() -> Exchange {
    let peer = |text: &str| Peer::new(text.parse::<SocketAddr>().expect("an address").into());
    let (client, server) = (peer("10.0.0.2:40000"), peer("10.0.0.1:8000"));
    let key = FlowKey::new(0, client.endpoint, server.endpoint);
    let info = FlowInfo {
        id: 1,
        key,
        client,
        server,
        start: Timestamp::default(),
        joined: false,
        round_trip: None,
        interface: 2,
    };
    let head = Head::request("POST", "/", Version::Http11, interceptor::model::Fields::EMPTY);
    let request = Some(Part::new(head, Timestamp::default(), Timestamp::default()));
    Exchange { request, ..Exchange::new(Arc::new(info), 1, Protocol::Http1) }
}

fn run(case: &Case) -> Duration {
    let mut random = Random(7);
    let baseline = baseline(case, &mut random);
    let settings = format!(r#"{{"baseline": "x", "window": {{"count": {}, "time": "24h"}}}}"#, case.window);
    let settings: settings::Drift = serde_json::from_str(&settings).expect("settings");
    let mut drift = Drift::new(&settings, &baseline).expect("tests that fit");
    // Some requests, over and over: no two windows alike would take as much memory as there are values.
    let requests: Vec<Inference> = (0..997).map(|_| inference(case, &mut random)).collect();
    let (exchange, registry) = (exchange(), Registry::default());
    let mut report = Report::new("bench/drift".into());
    let mut left = VALUES / FEATURES / case.rows;
    let started = Instant::now();
    for inference in requests.iter().cycle() {
        if left == 0 {
            break;
        }
        left -= 1;
        let subject = Subject { exchange: &exchange, inference: Some(inference), registry: &registry };
        drift.inspect(&subject, &mut Budget::unlimited(), &mut report);
        black_box(&report.drift);
        report.drift.clear();
    }
    drift.tick(Timestamp::default(), true, &mut report);
    started.elapsed()
}
