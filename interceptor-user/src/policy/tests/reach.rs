use crate::policy::Policy;

fn reach(unmatched: &str, rules: &str) -> String {
    let text = format!(
        "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {{name: p}}\nspec:\n  unmatched: {{sinks: [{unmatched}]}}\n  rules:\n{rules}\n"
    );
    Policy::parse(&[("p.yaml", &text)]).unwrap_or_else(|error| panic!("{error}")).reach().to_string()
}

#[test]
fn only_what_some_sink_gets_is_reached() {
    let one = "    - {name: a, match: destination.port == 80}";
    let two = "    - {name: a, match: destination.port == 80}\n    - {name: b, match: destination.port == 90}";
    let other = "    - {name: a, match: destination.port == 80}\n    - {name: b, match: request.method == 'GET'}";
    let silent = "    - {name: a, match: destination.port == 80}\n    - {name: b, sinks: []}";
    for (unmatched, rules, expected) in [
        ("", one, "ports 80"),
        ("", two, "ports 80, 90"),
        ("", other, "all connections"),
        ("", silent, "ports 80"),
        ("", "    - {name: a, sinks: []}", "no connection"),
        ("metrics", one, "all connections"),
        ("lines", one, "all connections"),
    ] {
        assert_eq!(reach(unmatched, rules), expected, "{unmatched}: {rules}");
    }
}

#[test]
fn where_nothing_is_said_of_the_others_all_are_reached() {
    assert!(super::policy("    - {name: a, match: destination.port == 80}").reach().is_all());
}
