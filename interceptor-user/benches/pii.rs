//! The search for personal data: MB a second on a core, on prompts, on tensors, and on text full of personal data; precision
//! and recall on the labelled texts. `cargo xtask bench pii` runs it; by hand: `cargo bench -p interceptor-user --bench pii
//! [ROUNDS]`.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

use std::{
    hint::black_box,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use interceptor::{
    inspect::{
        Budget, Inspector as _, Report, Subject,
        pii::{Key, Pii},
    },
    model::{Endpoint, Exchange, Fields, FlowInfo, FlowKey, Head, Part, Peer, Protocol, Timestamp, Version},
    policy::settings,
    protobuf::Registry,
};

#[expect(dead_code, reason = "the page is for the corpus test")]
#[path = "../../tests/corpus/pii.rs"]
mod corpus;

/// Bytes of each text.
const SIZE: usize = 1 << 20;

const PROSE: &str = "You are a helpful assistant. Summarise the following report in three short paragraphs, and keep the \
                     figures: revenue grew by 12% to 4.2 million in 2023, while costs fell; see section 3.1 for details. ";

fn main() {
    let rounds = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(20);
    let texts = [("chat prompts", prompts()), ("tensors of numbers", tensors()), ("dense with personal data", dense())];
    for (name, body) in texts {
        let bytes = body.len();
        let exchange = exchange(body);
        let registry = Registry::builtin();
        let mut inspector =
            Pii::new(&settings::Pii { max_findings: 1 << 20, ..settings::Pii::default() }, Key::new(b"bench"))
                .expect("the default settings");
        let (mut best, mut findings) = (Duration::MAX, 0);
        for _ in 0..rounds {
            let mut report = Report::new("bench/pii".into());
            let started = Instant::now();
            let subject = Subject { exchange: &exchange, inference: None, registry: &registry };
            inspector.inspect(black_box(&subject), &mut Budget::unlimited(), &mut report);
            best = best.min(started.elapsed());
            findings = report.findings.iter().map(|finding| finding.count).sum();
            assert!(report.uninspected.is_empty());
        }
        println!("{name}: {:.0} MB/s, {findings} findings in {bytes} bytes", bytes as f64 / best.as_secs_f64() / 1e6);
    }
    let labelled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/pii/labelled.jsonl");
    let (_, total, texts) = corpus::measure(&labelled).expect("the corpus is part of the repository");
    println!("labelled texts {texts}: precision {:.3}, recall {:.3}", total.precision(), total.recall());
}

/// A request with this content.
fn exchange(body: Vec<u8>) -> Exchange {
    let [client, server] = [2, 1].map(|host| Endpoint::new([192, 0, 2, host].into(), 8080));
    let flow = FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: Peer::new(client),
        server: Peer::new(server),
        start: Timestamp::default(),
        joined: false,
        round_trip: None,
        interface: 0,
    };
    let mut fields = Fields::default();
    fields.push(b"content-type", b"application/json");
    let head = Head::request("POST", "/v1/chat/completions", Version::Http11, fields);
    let size = body.len() as u64;
    let time = Timestamp::default();
    let part =
        Part { body: body.into(), body_size: size, decoded_size: size, ended: true, ..Part::new(head, time, time) };
    Exchange { request: Some(part), ..Exchange::new(Arc::new(flow), 1, Protocol::Http1) }
}

/// Messages of a conversation, with some personal data, as there is.
fn prompts() -> Vec<u8> {
    let message = |number: usize| {
        let said = PROSE.repeat(1 + number % 7);
        let who = if number.is_multiple_of(20) { " Write to jane.doe@example.com.\\n" } else { "" };
        format!(r#"{{"role":"user","content":"{said}{who}","id":"msg_{number}"}}"#)
    };
    let messages: Vec<String> = (0..SIZE / 800).map(message).collect();
    format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(",")).into_bytes()
}

fn tensors() -> Vec<u8> {
    let mut state = 1_u32;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:.8}", f64::from(state) / f64::from(u32::MAX) - 0.5)
    };
    let data: Vec<String> = (0..SIZE / 12).map(|_| number()).collect();
    format!(r#"{{"inputs":[{{"name":"x","shape":[1],"datatype":"FP32","data":[{}]}}]}}"#, data.join(",")).into_bytes()
}

/// A table of customers.
fn dense() -> Vec<u8> {
    let row = |number: usize| {
        format!(
            r#"{{"email":"user{number}@example.com","phone":"+1 212-555-0{:03}","card":"4111 1111 1111 1111","ip":"192.0.2.{}"}}"#,
            number % 1000,
            number % 256
        )
    };
    let rows: Vec<String> = (0..256).map(row).collect();
    format!("[{}]", rows.join(",")).into_bytes()
}
