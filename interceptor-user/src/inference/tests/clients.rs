//! Captures of public clients (tests/corpus/recorder/inference.py), against what each of them told its caller.

use std::{
    fs,
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use super::*;
use crate::{capture::pcap::PcapSource, model::Record, pipeline, sink::Sink};

#[derive(Default)]
struct Exchanges(Vec<Exchange>);

impl Sink for Exchanges {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Exchange(exchange) = record {
            self.0.push((**exchange).clone());
        }
        Ok(())
    }
}

fn exchanges(capture: &Path) -> Vec<Exchange> {
    let mut options = pipeline::Options::default();
    options.session.body = 1 << 20;
    let mut pipeline = pipeline::Pipeline::new(options, Exchanges::default());
    let stop = Arc::new(AtomicBool::new(false));
    let mut source = PcapSource::open(capture, &stop).expect("the corpus is part of the repository");
    pipeline.run(&mut source, &stop).expect("a capture");
    pipeline.finish().expect("its end");
    std::mem::take(&mut pipeline.sink_mut().0)
}

/// What we read, in the words of the log.
fn told(name: &str, got: &Inference) -> Value {
    match name {
        "model" => got.response_model.clone().into(),
        "id" => got.id.clone().into(),
        "batch" => got.batch.into(),
        "text" => texts(got, Role::Response).iter().map(|(_, _, text)| *text).collect::<String>().into(),
        "calls" => got.tool_calls.iter().map(|call| vec![call.name.clone(), call.arguments.clone()]).collect(),
        "finish_reasons" => got.finish_reasons.clone().into(),
        "usage" => vec![got.usage.input, got.usage.output, got.usage.cached].into(),
        "error" => got.error.iter().flat_map(|error| [error.kind.clone(), Some(error.message.clone())]).collect(),
        other => panic!("a log has no {other:?}"),
    }
}

#[test]
fn what_public_clients_told_their_callers_is_what_is_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/corpus/llm");
    for case in ["openai", "anthropic", "ollama"] {
        let log = fs::read(corpus.join(case).with_extension("log.json")).expect("a log");
        let log = serde_json::from_slice::<Vec<Value>>(&log).expect("a log");
        let exchanges = exchanges(&corpus.join(case).with_extension("pcap"));
        assert_eq!(exchanges.len(), log.len(), "{case}");
        for (entry, exchange) in log.iter().zip(&exchanges) {
            let got = meaning(exchange);
            assert_eq!((got.model.is_some(), got.unread), (true, None), "{entry}");
            for (name, logged) in entry["inference"].as_object().into_iter().flatten() {
                assert_eq!(&told(name, &got), logged, "{case}: {name}");
            }
            assert_eq!(got.streamed, got.timing.first_token.is_some(), "{entry}");
        }
    }
}
