use super::*;
use crate::{
    inspect::testing::plan,
    model::{Sampled, SinkName, UninspectedReason},
    sink::sample,
};

fn options(rules: &str) -> Options {
    let policies = Some(Arc::new(Policies::new(plan(rules))));
    Options { policies, shown: usize::MAX, budget_time: None, ..Options::default() }
}

fn looked(stage: &mut Stage, exchange: Exchange) -> Exchange {
    let mut record = Record::Exchange(Box::new(exchange));
    stage.look.record(&mut record);
    match record {
        Record::Exchange(exchange) => *exchange,
        other => panic!("{other:?}"),
    }
}

fn through(rules: &str, exchange: Exchange) -> Exchange {
    looked(&mut Stage::new(options(rules)), exchange)
}

/// A request of the Open Inference Protocol to a model `tiny`.
fn asked(body: &'static [u8]) -> Exchange {
    let mut exchange = sample::exchange();
    let json = [("Content-Type", "application/json")];
    exchange.request = Some(sample::request("POST", "/v2/models/tiny/infer", &json, body));
    exchange
}

const TENSOR: &[u8] = br#"{"inputs":[{"name":"x","datatype":"FP64","shape":[3],"data":[1,1.5,7]}]}"#;

fn other() -> Exchange {
    let mut exchange = sample::exchange();
    exchange.request = Some(sample::request("GET", "/index.html", &[], b""));
    exchange
}

#[test]
fn without_a_policy_inferences_are_kept_and_read_and_nothing_else() {
    let mut stage = Stage::new(Options { inference: 1000, ..Options::default() });
    assert!(!stage.keep.is_idle());
    assert_eq!(stage.keep.needs(&asked(TENSOR)), Needs::both(1000));
    assert_eq!(stage.keep.needs(&other()), Needs::default());
    let seen = looked(&mut stage, asked(TENSOR));
    assert_eq!(seen.inference.unwrap().model.as_deref(), Some("tiny"));
    assert!(seen.verdict.is_none());
    let mut idle = Stage::new(Options::default());
    assert!(idle.keep.is_idle());
    assert!(looked(&mut idle, asked(TENSOR)).inference.is_none());
}

/// Nobody else reads inferences here.
#[test]
fn a_rule_may_ask_whether_there_is_an_inference() {
    let rules = "    - { name: r, match: 'has(inference.dialect)' }\n";
    let seen = through(rules, asked(TENSOR));
    assert_eq!(&*seen.verdict.unwrap().rules[0].rule, "p/r");
    assert!(through(rules, other()).verdict.unwrap().rules.is_empty());
    let stage = Stage::new(options(rules));
    assert_eq!(stage.keep.needs(&asked(TENSOR)), Needs::default(), "which takes no content");
}

#[test]
fn inspectors_look_for_the_rules_that_match_and_are_in_their_sample() {
    let mail = || asked(br#"{"id":"ann.smith@example.com"}"#);
    let rules = "    - { name: all, inspect: { pii: {} } }\n    \
                 - { name: none, match: 'request.method == \"PUT\"', inspect: { pii: {} } }\n    \
                 - { name: out, sample: { rate: 0.000000001 }, inspect: { pii: {} } }\n";
    let verdict = through(rules, mail()).verdict.unwrap();
    let said: Vec<_> = verdict.rules.iter().map(|rule| (&*rule.rule, rule.sampled)).collect();
    assert_eq!(said, [("p/all", Sampled::All), ("p/out", Sampled::Out)]);
    assert_eq!(verdict.findings.len(), 1);
    assert_eq!((&*verdict.findings[0].kind, &*verdict.findings[0].rule), ("EMAIL_ADDRESS", "p/all"));
    let place = &verdict.findings[0].place;
    assert_eq!(place, "$['id']");
}

#[test]
fn what_is_found_is_in_the_verdict_and_taken_out_of_what_is_shown() {
    let rules = "    - { name: r, inspect: { pii: {} }, redact: { pii: true }, tenant: { header: X-Tenant } }\n";
    let mut exchange = asked(br#"{"id":"ann.smith@example.com"}"#);
    let request = exchange.request.as_mut().unwrap();
    let fields = sample::fields(&[("X-Tenant", "acme"), ("Content-Type", "application/json")]);
    request.head = crate::model::Head::request("POST", "/v2/models/tiny/infer", request.head.version, fields);
    let seen = through(rules, exchange);
    let verdict = seen.verdict.unwrap();
    assert_eq!((verdict.findings.len(), verdict.tenant.as_deref()), (1, Some("acme")));
    assert_eq!(&*seen.request.unwrap().body, br#"{"id":"<EMAIL_ADDRESS>"}"#);
}

/// What a rule counts only is not shown either.
#[test]
fn what_is_out_of_the_sample_is_redacted_too() {
    let rules = "    - { name: r, sample: { rate: 0.000000001 }, inspect: { pii: {} }, redact: { pii: true, headers: [accept] } }\n";
    let mut exchange = asked(br#"{"id":"ann.smith@example.com"}"#);
    exchange.response = sample::exchange().response;
    let seen = through(rules, exchange);
    assert!(seen.verdict.as_ref().unwrap().findings.is_empty());
    assert!(!format!("{seen:?}").contains("ann.smith"), "{seen:?}");
}

#[test]
fn what_the_budget_does_not_allow_is_said() {
    let rules = "    - { name: r, inspect: { pii: {} } }\n";
    let mut stage = Stage::new(Options { budget_bytes: 0, ..options(rules) });
    let verdict = looked(&mut stage, asked(br#"{"id":"ann.smith@example.com"}"#)).verdict.unwrap();
    assert!(verdict.findings.is_empty());
    assert!(verdict.uninspected.iter().any(|skipped| skipped.reason == UninspectedReason::Bytes), "{verdict:?}");
}

#[test]
fn windows_end_with_time_with_the_capture_and_with_their_policy() {
    let rules =
        "    - { name: r, inspect: { drift: { baseline: baseline.json, minimum: 1, window: { time: 1s } } } }\n";
    let counts = |stage: &mut Stage| {
        stage.look.take_drift().iter().map(|drift| (drift.feature.to_string(), drift.count)).collect::<Vec<_>>()
    };
    let one = || [("x".to_owned(), 3)].to_vec();
    let mut stage = Stage::new(options(rules));
    looked(&mut stage, asked(TENSOR));
    stage.tick(sample::at(500_000_000), false);
    assert_eq!(counts(&mut stage), []);
    stage.tick(sample::at(2_000_000_000), false);
    assert_eq!(counts(&mut stage), one());
    looked(&mut stage, asked(TENSOR));
    stage.tick(Timestamp::default(), true);
    assert_eq!(counts(&mut stage), one());
    looked(&mut stage, asked(TENSOR));
    stage.look.options.policies.as_ref().unwrap().replace(plan("    - { name: other }\n"));
    assert!(!stage.renew(), "it wants nothing of contents");
    assert_eq!(counts(&mut stage), one());
    stage.tick(Timestamp::default(), true);
    assert_eq!(counts(&mut stage), []);
}

#[test]
fn another_policy_takes_force_when_it_is_asked_for() {
    let mut stage = Stage::new(options("    - { name: a }\n"));
    let rule = |stage: &mut Stage| looked(stage, other()).verdict.unwrap().rules[0].rule.to_string();
    let policies = Arc::clone(stage.look.options.policies.as_ref().unwrap());
    policies.replace(plan("    - { name: b, extract: [{ name: v, jsonPath: $.v }] }\n"));
    assert_eq!((rule(&mut stage), stage.keep.needs(&asked(TENSOR))), ("p/a".to_owned(), Needs::default()));
    assert!(stage.renew(), "it wants contents");
    assert!(!stage.renew(), "it is in force");
    assert_eq!(rule(&mut stage), "p/b");
    assert_ne!(stage.keep.needs(&asked(TENSOR)), Needs::default());
}

#[test]
fn messages_of_exchanges_that_go_on_are_redacted_where_a_rule_may_match() {
    let shown = |condition: &str| {
        let rules = format!(
            "    - {{ name: r, match: '{condition}', redact: {{ headers: [content-type], jsonPath: [$.a] }} }}\n"
        );
        let stage = &mut Stage::new(options(&rules));
        let mut message = sample::messages().remove(0);
        message.exchange.response = None;
        let mut record = Record::Message(Box::new(message));
        stage.look.record(&mut record);
        let Record::Message(message) = record else { panic!("{record:?}") };
        let request = message.exchange.request.unwrap();
        (request.messages().count() > 0, request.head.fields.get("content-type") == Some(b"application/grpc"))
    };
    assert_eq!(shown("request.method == \"POST\""), (false, false));
    assert_eq!(shown("response.code == 200"), (false, false), "that is not known yet");
    assert_eq!(shown("request.method == \"GET\""), (true, true));
}

/// What is kept to be read is not for sinks, but its size stays what was sent.
#[test]
fn sinks_get_no_more_of_contents_than_was_asked_for_them() {
    let mut stage = Stage::new(Options { shown: 3, ..options("    - { name: r, inspect: { pii: {} } }\n") });
    assert!(stage.most > 0, "memory for what rules keep");
    let seen = looked(&mut stage, asked(br#"{"id":"ann.smith@example.com"}"#));
    let request = seen.request.unwrap();
    assert_eq!((request.body.len(), request.content_size(), request.body_cut()), (3, 30, true));
    assert_eq!(seen.verdict.unwrap().findings.len(), 1);
}

/// A sink with contents gets what the rules keep that send it there, and no rule that only reads adds to it.
#[test]
fn sinks_with_contents_get_what_rules_keep_for_them() {
    let payloads = Sinks::only(SinkName::Payloads);
    let shown = |contents: Sinks, rules: &str, exchange: Exchange| {
        let mut stage = Stage::new(Options { shown: 0, contents, ..options(rules) });
        let needs = stage.keep.needs(&exchange);
        let request = looked(&mut stage, exchange).request.unwrap();
        (needs.request, request.body.len())
    };
    let named = "    - { name: r, sinks: [payloads], keep: { request: 20 } }\n";
    let custom = || Exchange { request: Some(sample::request("POST", "/x", &[], TENSOR)), ..sample::exchange() };
    assert_eq!(shown(payloads, named, asked(TENSOR)), (20, 20));
    assert_eq!(shown(payloads, named, custom()), (20, 20), "it is not only for servers that we know");
    assert_eq!(shown(Sinks::NONE, named, asked(TENSOR)), (0, 0), "there is no such sink");
    assert_eq!(shown(Sinks::only(SinkName::Kafka), named, asked(TENSOR)), (0, 0), "nor the right one");
    let reads = "    - { name: s, sinks: [lines], inspect: { pii: {} }, keep: { request: 60 } }\n";
    let (needs, body) = shown(payloads, &format!("{named}{reads}"), asked(TENSOR));
    assert_eq!((needs, body), (60, 20), "what is kept to be read is not for it");
    let any = "    - { name: r, inspect: { inference: {} }, keep: { request: 20 } }\n";
    assert_eq!(shown(payloads, any, asked(TENSOR)), (20, 20));
    assert_eq!(shown(payloads, any, custom()), (0, 0), "nobody named the sink, and it asks nothing of a model");
    let sampled = "    - { name: r, sinks: [payloads], sample: { rate: 0.000000001 }, keep: { request: 20 } }\n";
    assert_eq!(shown(payloads, sampled, asked(TENSOR)), (0, 0));
    let without = Options { inference: 30, shown: 0, contents: payloads, ..Options::default() };
    assert_eq!(looked(&mut Stage::new(without), asked(TENSOR)).request.unwrap().body.len(), 30);
}

#[test]
fn whoever_looks_by_himself_gets_what_was_kept() {
    let rules = "    - { name: r, inspect: { pii: {} } }\n";
    let mut stage = Stage::new(Options { keep_only: true, ..options(rules) });
    assert_ne!(stage.keep.needs(&asked(TENSOR)), Needs::default());
    let seen = looked(&mut stage, asked(TENSOR));
    assert!(seen.verdict.is_none() && seen.inference.is_none());
}
