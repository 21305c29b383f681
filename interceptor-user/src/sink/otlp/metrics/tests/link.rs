use super::*;
use crate::{
    config::{Otlp, OtlpEndpoint, OtlpSignal},
    model::{Side, SinkName, Sinks, Verdict},
    sink::otlp::trace::ids::Trace,
};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn settings(signals: &[OtlpSignal]) -> Settings {
    let endpoint = OtlpEndpoint("http://c:4317".to_owned());
    Settings::new(&Otlp { endpoint, signals: signals.to_vec(), ..Otlp::default() }, &|_| None)
}

fn asked(traceparent: Option<&str>) -> Exchange {
    let mut exchange = sample::exchange();
    let lines: Vec<_> = traceparent.map(|text| ("traceparent", text)).into_iter().collect();
    exchange.request = Some(sample::request("GET", "/", &lines, b""));
    exchange
}

#[test]
fn without_traces_of_ours_the_span_on_the_wire_is_named_if_it_is_sampled() {
    let linker = linker(&settings(&[OtlpSignal::Metrics]));
    let link = linker(&asked(Some(SAMPLED)), Side::Client).expect("a link");
    assert_eq!(link.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(link.span_id, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
    assert_eq!(linker(&asked(Some(UNSAMPLED)), Side::Client), None);
    assert_eq!(linker(&asked(None), Side::Client), None);
    assert_eq!(linker(&Exchange { request: None, ..asked(None) }, Side::Client), None);
}

#[test]
fn with_them_it_is_the_span_that_is_sent() {
    let linker = linker(&settings(&[OtlpSignal::Metrics, OtlpSignal::Traces]));
    for traceparent in [Some(SAMPLED), None] {
        let exchange = asked(traceparent);
        let trace = Trace::of(&exchange).expect("a trace");
        let spans = Side::BOTH.map(|side| linker(&exchange, side).expect("a link"));
        for (link, side) in spans.into_iter().zip(Side::BOTH) {
            assert_eq!(link, Link { trace_id: trace.id, span_id: trace.span(side) });
        }
        assert_ne!(spans[0], spans[1]);
    }
    assert_eq!(linker(&asked(Some(UNSAMPLED)), Side::Client), None);
}

#[test]
fn what_the_policy_keeps_from_traces_is_named_by_the_span_on_the_wire() {
    let linker = linker(&settings(&[OtlpSignal::Traces]));
    let sinks = Sinks::only(SinkName::Metrics);
    let exchange =
        Exchange { verdict: Some(Box::new(Verdict { sinks, ..Verdict::default() })), ..asked(Some(SAMPLED)) };
    assert_eq!(linker(&exchange, Side::Client).map(|link| link.span_id[0]), Some(0xb7));
}
