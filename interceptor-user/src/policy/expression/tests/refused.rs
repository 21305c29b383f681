use std::fmt::Write as _;

use super::super::Expression;

#[test]
fn what_is_wrong_with_an_expression_is_said_with_its_place() {
    let cases = [
        "request.methd == 'GET'",
        "requst.method == 'GET'",
        "request == 'GET'",
        "response.status == 200",
        "inference.usage == 5",
        "inference.usage.inptu > 5",
        "inference.operation == 'chatt'",
        "inference.dialect in ['openai', 'antropic']",
        "'gaps' in anomalies",
        "request.method == 5",
        "request.method && complete",
        "response.code.startsWith('5')",
        "response.code >= '500'",
        "duration > 5",
        "duration > duration('5')",
        "request.time > timestamp('yesterday')",
        "request.url_path.startWith('/v2')",
        "startsWith(request.url_path, '/v2')",
        "request.url_path.matches('(')",
        "request.url_path.matches(request.method)",
        "cidr('10.0.0.1/8').containsIP(source.ip)",
        "anomalies.exists(a, anomalies.exists(b, a == b))",
        "anomalies.exists('x')",
        "has(complete)",
        "has(request.headers)",
        "1 + 1.0 == 2.0",
        "number + 'x' == 'x'",
        "request.method == ",
        "request.method = 'GET'",
        "(request.method == 'GET'",
        "request.method == 'GET",
        "{'a': 1}.a == 1",
        "b'a' == b'a'",
        "request.headers.host.x == 'a'",
        "",
    ];
    let mut all = String::new();
    for text in cases {
        match Expression::compile(text) {
            Ok(_) => write!(all, "{text}\n(is right)\n\n").unwrap(),
            Err(problem) => {
                write!(all, "{text}\n{:>width$} {}\n\n", "^", problem.text, width = problem.offset + 1).unwrap();
            }
        }
    }
    insta::assert_snapshot!(all);
}

#[test]
fn an_expression_has_a_size() {
    let text = ["complete"; 1000].join(" && ");
    assert!(Expression::compile(&text).expect_err("is refused").text.contains("4096"));
    let deep = format!("{}complete{}", "(".repeat(1000), ")".repeat(1000));
    assert!(Expression::compile(&deep).is_err());
    let wide = ["complete"; 300].join(" && ");
    Expression::compile(&wide).expect("is taken");
}
