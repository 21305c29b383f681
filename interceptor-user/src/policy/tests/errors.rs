use std::fmt::Write as _;

use super::parse;
use crate::policy::Policy;

#[test]
fn errors_say_what_where_and_how_to_fix_it() {
    let cases = [
        "  - {name: r, mtach: 'true'}",
        "  - {match: 'true'}",
        "  - {name: Rule_1}",
        "  - {name: r}\n  - {name: r}",
        "  - name: r\n    match: request.methd == 'GET'",
        "  - name: r\n    match: \"request.method == 'GET' && response.cod == 200\"",
        "  - name: r\n    match: >-\n      request.method == 'GET'\n      && response.cod == 200",
        "  - name: r\n    match: |\n      request.method == 'GET' &&\n\n        response.cod == 200",
        "  - name: r\n    match: request.method ==",
        "  - name: r\n    match: request.method",
        "  - name: r\n    match: true",
        "  - name: r\n    match: [a]",
        "  - {name: r, sample: {rate: 0}}",
        "  - {name: r, sample: {rate: 0.1, key: response.code}}",
        "  - {name: r, sample: {rate: 1, always: complete}}",
        "  - {name: r, sample: {key: request.id}}",
        "  - {name: r, extract: [{name: a}]}",
        "  - {name: r, extract: [{name: a, header: x, query: y}]}",
        "  - {name: r, extract: [{name: a, header: x}, {name: a, header: y}]}",
        "  - {name: r, extract: [{name: a, header: 'a b'}]}",
        "  - {name: r, extract: [{name: a, from: respons, header: x}]}",
        "  - {name: r, extract: [{name: a, from: response, query: x}]}",
        "  - {name: r, extract: [{name: a, jsonPath: 'a.b'}]}",
        "  - name: r\n    extract:\n    - name: a\n      jsonPath: \"$.a[?@.b ==]\"",
        "  - {name: r, extract: [{name: a, jsonPath: '$..a..b'}]}",
        "  - {name: r, extract: [{name: a, protobuf: 'a[x]'}]}",
        "  - {name: r, extract: [{name: a, jsonPath: $.a}], keep: {request: 0}}",
        "  - {name: r, inspect: {pi: {}}}",
        "  - {name: r, inspect: {drift: }}",
        "  - {name: r, redact: {pii: true}}",
        "  - {name: r, sinks: [line]}",
        "  - {name: r, sinks: [], inspect: {transport: {}}}",
        "  - {name: r, keep: {request: 1MiB}}",
        "  - {name: r, inspect: {inference: {}}, keep: {request: 1GiB}}",
        "  - {name: r, inspect: {inference: {}}, keep: {request: lots}}",
        "  - {name: r, tenant: {header: a, jwtClaim: b}}",
        "  - {name: r, tenant: {}}",
        "  - {name: r, action: {}}",
        "  - {name: r, action: {deny: {}, route: {backendRefs: [{name: a}]}}}",
        "  - {name: r, action: {deny: {status: 200}}}",
        "  - {name: r, action: {route: {backendRefs: []}}}",
        "  - {name: r, action: {rewrite: {}}}",
        "  - {name: r, action: {rewrite: {urlRewrite: {path: {type: ReplacePath}}}}}",
        "  - {name: r, action: {break: {interval: 5}}}",
    ];
    let errors: String = cases
        .iter()
        .map(|rules| match parse(rules) {
            Ok(_) => format!("{rules}\n(is right)\n\n"),
            Err(error) => format!("{error}\n\n"),
        })
        .collect();
    insta::assert_snapshot!(errors);
}

#[test]
fn errors_of_what_is_steered() {
    let many = (0..17).fold(String::new(), |many, index| many + &format!("\n  - {{name: s{index}}}"));
    let cases = [
        "[]",
        "[{ports: [80]}]",
        "[{name: a}, {name: a}]",
        "[{name: a, direction: both}]",
        "[{name: a, ports: [http]}]",
        "[{name: a, ports: [1-3000]}]",
        "[{name: a, networks: [10.0.0.0/33]}]",
        "[{name: a, direction: inbound, cgroups: [pods]}]",
        "[{name: a, onFailure: close}]",
        "[{name: a, tenants: []}]",
        "[{name: a, tenants: [other]}]",
        "[{name: a, tenants: [nets]}]",
        "[{name: a, tenants: [groups], direction: inbound}]",
        "[{name: a}]\n  tenants: [{name: x}, {name: x}]",
        "[{name: a}]\n  tenants: [{name: X}]",
        &many,
    ];
    let text = |steer: &str| {
        let head = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: p}";
        let tenants = "  tenants: [{name: nets, networks: [10.0.0.0/8]}, {name: groups, cgroups: [a]}]\n";
        format!("{head}\nspec:\n  steer: {steer}\n{}", if steer.contains("tenants: [{") { "" } else { tenants })
    };
    let errors: String = cases
        .iter()
        .map(|steer| match Policy::parse(&[("p.yaml", &text(steer))]) {
            Ok(_) => format!("{steer}\n(is right)\n\n"),
            Err(error) => format!("{error}\n\n"),
        })
        .collect();
    insta::assert_snapshot!(errors);
}

#[test]
fn errors_of_whole_documents() {
    let rest = "\nmetadata: {name: p}\nspec: {rules: [{name: r}]}\n";
    let good = format!("apiVersion: interceptor/v1alpha1\nkind: Policy{rest}");
    let cases = [
        format!("apiVersion: interceptor/v1\nkind: Policy{rest}"),
        format!("apiVersion: interceptor/v1alpha1\nkind: Polcy{rest}"),
        format!("kind: Policy{rest}"),
        "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: p}\n".to_owned(),
        format!("{good}---\n{good}"),
        format!("{good}---\nkind: [\n"),
        good.replace("name: p", "name: p, nmespace: x"),
        good.replace("rules:", "enabled: perhaps, rules:"),
        good.replace("kind: Policy", "kind: Policy\nkind: Policy"),
        good.replace("[{name: r}]", "[]"),
        format!("# {}", "x".repeat(1 << 20)),
    ];
    let mut all = String::new();
    for text in cases {
        let error = Policy::parse(&[("p.yaml", &text)]).expect_err(&text);
        write!(all, "{error}\n\n").unwrap();
    }
    insta::assert_snapshot!(all);
}

/// What is refused in one file is refused of all, and the file is named.
#[test]
fn a_policy_is_refused_whole() {
    let good = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: p}\nspec: {rules: [{name: r}]}\n";
    let bad = good.replace("name: p", "name: q").replace("{name: r}", "{name: r, match: x}");
    let error = Policy::parse(&[("good.yaml", good), ("bad.yaml", &bad)]).expect_err("is refused").to_string();
    assert!(error.starts_with("bad.yaml:4:33: unknown variable `x`"), "{error}");
    let twice = Policy::parse(&[("a.yaml", good), ("b.yaml", good)]).expect_err("is refused").to_string();
    assert!(twice.starts_with("b.yaml:3:18: there is another policy"), "{twice}");
    let empty = Policy::parse(&[("empty.yaml", "# nothing\n")]).expect_err("is refused").to_string();
    assert!(empty.starts_with("empty.yaml:1:1: there is no policy in it"), "{empty}");
    let off = good.replace("rules:", "enabled: false, rules:");
    let off = Policy::parse(&[("off.yaml", &off)]).expect("is right");
    assert_eq!((off.rules().len(), off.disabled().len()), (0, 1));
}
