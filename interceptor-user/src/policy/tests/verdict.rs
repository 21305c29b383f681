use crate::{model::Sinks, policy::Policy, protobuf::Registry, sink::sample};

fn policy(rules: &str) -> Policy {
    let text =
        format!("apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  rules:\n{rules}");
    Policy::parse(&[("p.yaml", &text)]).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_rule_that_matches_says_what_was_asked_for() {
    let policy = policy("  - {name: r, match: \"response.code == 200\", extract: [{name: host, header: Host}]}\n");
    let verdict = policy.verdict(&sample::exchange(), None, &Registry::builtin());
    assert_eq!(verdict.rules.len(), 1);
    assert_eq!(verdict.sinks, Sinks::ALL);
    assert_eq!(verdict.rules[0].extracted[0].1, "model.default.svc:8000");
}
