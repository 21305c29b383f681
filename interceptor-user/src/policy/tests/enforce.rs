use super::policy;
use crate::{
    model::{Dialect, Inference, Operation},
    policy::{Asked, Scene},
    sink::sample,
};

/// What is waited for at the head, and which rules are done then; and with the whole request.
#[test]
fn a_rule_that_asks_for_a_content_waits_for_it() {
    let exchange = sample::exchange();
    let recognised = Some((Dialect::OpenInference, Operation::Infer));
    let head = Scene { recognised, over: None, response: None, ..Scene::of(&exchange, None) };
    let mut inference = Inference::new(Dialect::OpenInference, Operation::Infer);
    inference.model = Some("iris".to_owned());
    let whole = Scene { asked: Some(Asked { exchange: &exchange, inference: Some(&inference) }), ..head };
    let set = "rewrite: {requestHeaderModifier: {set: [{name: a, value: b}]}}";
    for (rules, awaits, at_head, at_end) in [
        // Known by the head.
        (vec![("request.method == 'POST'", set)], None, vec!["p/0"], vec!["p/0"]),
        (vec![("inference.operation == 'infer'", set)], None, vec!["p/0"], vec!["p/0"]),
        (vec![("request.method == 'GET' && inference.model == 'iris'", set)], None, vec![], vec![]),
        // By the content.
        (vec![("inference.model == 'iris'", set)], Some(0), vec![], vec!["p/0"]),
        (vec![("inference.model == 'other'", set)], Some(0), vec![], vec![]),
        (vec![("inference.batch > 2", set)], Some(0), vec![], vec![]),
        (vec![("request.size >= 0", set), ("inference.model == 'iris'", set)], Some(1), vec![], vec!["p/0", "p/1"]),
        // One that is certain does not wait, but all that is done is done at once.
        (vec![("inference.model == 'iris'", set), ("true", "deny: {}")], None, vec!["p/1"], vec!["p/1"]),
        (vec![("true", set), ("inference.model == 'iris'", "deny: {}")], Some(1), vec!["p/0"], vec!["p/1"]),
        // By the response, or at the end only: nobody waits.
        (vec![("response.code == 200", set)], None, vec![], vec![]),
        (vec![("inference.model == 'iris' && response.code == 200", set)], None, vec![], vec![]),
        (vec![("inference.finish_reasons.size() > 0", set)], None, vec![], vec![]),
        (vec![("complete", set)], None, vec![], vec![]),
        // Nothing is done.
        (vec![("inference.model == 'iris'", "break: {consecutive5xxErrors: 1}")], None, vec![], vec![]),
    ] {
        let each = rules.iter().enumerate().map(|(number, (condition, action))| {
            let asks = ["model", "batch", "size >"].iter().any(|content| condition.contains(content));
            let keep = if asks { format!("keep: {{request: {}KiB}}, ", number + 1) } else { String::new() };
            format!("  - {{name: '{number}', match: \"{condition}\", {keep}action: {{{action}}}}}\n")
        });
        let policy = policy(&each.collect::<String>());
        let names = |scene: &Scene<'_>| -> Vec<String> {
            policy.enforce(scene).rules.iter().map(ToString::to_string).collect()
        };
        let most: Option<usize> = awaits.map(|rule: usize| (rule + 1) << 10);
        assert_eq!(policy.enforce(&head).awaits, most, "{rules:?}");
        assert_eq!(names(&head), at_head, "{rules:?}");
        assert_eq!(policy.enforce(&whole).awaits, None, "{rules:?}");
        assert_eq!(names(&whole), at_end, "{rules:?}");
    }
}

#[test]
fn what_the_sample_leaves_out_is_not_waited_for() {
    let exchange = sample::exchange();
    let head = Scene { over: None, response: None, ..Scene::of(&exchange, None) };
    let rule =
        |rate| format!("  - {{name: a, match: request.size > 1, sample: {{rate: {rate}}}, action: {{deny: {{}}}}}}");
    assert_eq!(policy(&rule("0.0000001")).enforce(&head).awaits, None);
    assert_eq!(policy(&rule("1.0")).enforce(&head).awaits, Some(1 << 20));
}
