//! A line per inference.

use super::*;
use crate::model::{DriftRecord, Unread};

fn models() -> Options {
    Options { models: true, ..Options::default() }
}

#[test]
fn a_line_an_inference() {
    let mut estimated = sample::chat();
    estimated.verdict = None;
    let inference = estimated.inference.as_mut().expect("an inference");
    inference.usage.estimated = true;
    inference.usage.input = None;
    inference.timing.per_output_token = None;
    inference.unread = Some(Unread::Cut);
    insta::assert_snapshot!(shown(&[sample::chat(), estimated, sample::tabular()], models()));
}

#[test]
fn without_models_the_target_stands_there_and_the_verdict_too() {
    let line = shown(&[sample::chat()], Options::default());
    assert!(line.contains("/v2/models/tiny/infer") && !line.contains("llama"), "{line}");
    assert!(line.contains("pii:EMAIL_ADDRESS×2") && line.contains("would deny"), "{line}");
}

#[test]
fn a_line_a_window() {
    let mut out = Vec::new();
    let mut sink = TextSink::new(&mut out, models());
    let few = DriftRecord { test: None, score: None, drifted: false, count: 3, ..sample::drift() };
    for drift in [sample::drift(), few] {
        sink.record(&Record::Drift(Box::new(drift))).expect("written");
    }
    sink.flush().expect("written");
    insta::assert_snapshot!(String::from_utf8(out).expect("UTF-8"));
}
