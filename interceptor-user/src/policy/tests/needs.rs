use super::policy;
use crate::{
    model::{Dialect, Needs, Operation, Sinks},
    policy::Scene,
    sink::sample,
};

const MIB: usize = 1 << 20;
const BOTH: Needs = Needs { request: MIB, response: MIB };
const REQUEST: Needs = Needs { request: MIB, response: 0 };
const NONE: Needs = Needs { request: 0, response: 0 };

/// At the request's head, and at the response's; of a request that asks nothing of a model server, and of one that does.
#[test]
fn content_is_kept_while_a_rule_may_need_it() {
    let exchange = sample::exchange();
    let response = Scene { over: None, ..Scene::of(&exchange, None) };
    let request = Scene { response: None, ..response };
    let recognised = Some((Dialect::OpenInference, Operation::Infer));
    for (rule, plain, asked) in [
        ("", [NONE; 2], [NONE; 2]),
        ("match: response.code == 200", [NONE; 2], [NONE; 2]),
        ("inspect: {inference: }", [NONE; 2], [BOTH; 2]),
        ("inspect: {transport: {}}", [NONE; 2], [NONE; 2]),
        ("match: inference.operation == 'infer', inspect: {inference: }", [NONE; 2], [BOTH; 2]),
        ("match: inference.operation == 'chat', inspect: {inference: }", [NONE; 2], [NONE; 2]),
        ("match: inference.model == 'x'", [NONE; 2], [BOTH; 2]),
        ("match: response.code == 500, inspect: {inference: }", [NONE; 2], [BOTH, NONE]),
        ("match: request.method == 'GET', inspect: {inference: }", [NONE; 2], [NONE; 2]),
        ("extract: [{name: x, header: a}]", [NONE; 2], [NONE; 2]),
        ("extract: [{name: x, tensor: t}]", [NONE; 2], [BOTH; 2]),
        ("extract: [{name: x, jsonPath: $.a}]", [REQUEST; 2], [REQUEST; 2]),
        ("inspect: {inference: }, keep: {response: 0}", [NONE; 2], [REQUEST; 2]),
        ("inspect: {inference: }, sample: {rate: 0.0000001}", [NONE; 2], [NONE; 2]),
        ("inspect: {inference: }, sample: {rate: 0.0000001, always: duration > duration('1s')}", [NONE; 2], [BOTH; 2]),
        ("inspect: {inference: }, sample: {rate: 0.0000001, always: response.code == 500}", [NONE; 2], [BOTH, NONE]),
    ] {
        let quoted = rule.replace("match: ", "match: \"").replace("', insp", "'\", insp");
        let policy = policy(&format!("  - {{name: r{}{}}}", if rule.is_empty() { "" } else { ", " }, close(&quoted)));
        let at = |recognised| {
            [request, response].map(|scene| policy.needs(&Scene { recognised, ..scene }, &[], Sinks::NONE))
        };
        assert_eq!(at(None), plain, "no inference: {rule}");
        assert_eq!(at(recognised), asked, "an inference: {rule}");
    }
}

/// A condition ends where the next key begins.
fn close(rule: &str) -> String {
    match rule.strip_prefix("match: \"") {
        Some(rest) if !rest.contains('"') => {
            let (condition, after) = rest
                .split_once(", inspect")
                .map_or((rest, String::new()), |(condition, after)| (condition, format!(", inspect{after}")));
            format!("match: \"{condition}\"{after}")
        }
        _ => rule.to_owned(),
    }
}

#[test]
fn what_inspectors_need_is_kept_up_to_the_rules_bound() {
    let exchange = sample::exchange();
    let request = Scene { over: None, response: None, ..Scene::of(&exchange, None) };
    let policy = policy("  - {name: a, inspect: {pii: {}}, keep: {request: 1KiB, response: 0}}\n  - {name: b}");
    assert_eq!(policy.needs(&request, &[], Sinks::NONE), NONE);
    assert_eq!(policy.needs(&request, &[BOTH], Sinks::NONE), Needs { request: 1024, response: 0 });
    assert_eq!(policy.needs(&request, &[BOTH, REQUEST], Sinks::NONE), Needs { request: 1024, response: 0 });
}
