//! What we evaluate gives what the `cel` crate gives, for random expressions over constants and a few variables.

use cel::{Context, Program, Value as Theirs};
use proptest::prelude::*;

use super::super::{Expression, Scene, Value};
use crate::sink::sample;

fn leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("request.method".to_owned()),
        Just("response.code".to_owned()),
        Just("number".to_owned()),
        Just("request.headers['host']".to_owned()),
        Just("request.headers.nothing".to_owned()),
        Just("anomalies".to_owned()),
        Just("complete".to_owned()),
        Just("['POST', 'GET']".to_owned()),
        Just("[1, 200]".to_owned()),
        "'[A-Z]{0,4}'",
        (-5_i64..300).prop_map(|n| n.to_string()),
        (0_u64..300).prop_map(|n| format!("{n}u")),
        (-3.0_f64..300.0).prop_map(|n| format!("{n:?}")),
        any::<bool>().prop_map(|b| b.to_string()),
        Just("null".to_owned()),
        Just("duration('1.5s')".to_owned()),
        Just("9223372036854775807".to_owned()),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 32, 3, |inner| {
        let operator =
            prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">=", "&&", "||", "+", "-", "*", "/", "%", "in"]);
        let member = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
        let each = prop::sample::select(vec!["all", "exists", "exists_one", "filter", "map"]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, op, b)| format!("({a} {op} {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            (inner.clone(), member, inner.clone()).prop_map(|(a, name, b)| format!("({a}).{name}({b})")),
            inner.clone().prop_map(|a| format!("size({a})")),
            inner.clone().prop_map(|a| format!("int({a})")),
            inner.clone().prop_map(|a| format!("double({a})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
            (leaf(), each, inner).prop_map(|(a, name, body)| format!("({a}).{name}(x, x == ({body}))")),
        ]
    })
}

fn context() -> Context<'static, 'static> {
    let mut context = Context::default();
    let json = |value: serde_json::Value| cel::to_value(value).expect("a value");
    context.add_variable_from_value(
        "request",
        json(serde_json::json!({"method": "POST", "headers": {"host": "model.default.svc:8000"}})),
    );
    let mut response = std::collections::HashMap::new();
    response.insert("code".to_owned(), Theirs::Int(200));
    context.add_variable_from_value("response", response);
    context.add_variable_from_value("number", 3_i64);
    context.add_variable_from_value("anomalies", Vec::<String>::new());
    context.add_variable_from_value("complete", true);
    context
}

#[expect(clippy::float_cmp, reason = "the same operations on the same numbers")]
fn same(ours: &Value<'_>, theirs: &Theirs) -> bool {
    match (ours, theirs) {
        (Value::Null, Theirs::Null) => true,
        (Value::Bool(a), Theirs::Bool(b)) => a == b,
        (Value::Int(a), Theirs::Int(b)) => a == b,
        (Value::Uint(a), Theirs::UInt(b)) => a == b,
        (Value::Double(a), Theirs::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::String(a), Theirs::String(b)) => **a == ***b,
        (Value::Duration(a), Theirs::Duration(b)) => b.num_nanoseconds() == Some(*a),
        (Value::List(a), Theirs::List(b)) => a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| same(a, b)),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn what_we_evaluate_gives_what_the_crate_gives(text in expression()) {
        // What we refuse, they may evaluate: that is what the check is for.
        if let Ok(ours) = Expression::compile(&text) {
            let exchange = sample::exchange();
            let ours = ours.value(&Scene::of(&exchange, None)).map_err(|fault| fault.to_string());
            let theirs = Program::compile(&text).expect("is CEL").execute(&context()).map_err(|error| error.to_string());
            let agree = match (&ours, &theirs) {
                (Ok(ours), Ok(theirs)) => same(ours, theirs),
                (Err(_), Err(_)) => true,
                _ => false,
            };
            prop_assert!(agree, "{text}\nours: {ours:?}\ntheirs: {theirs:?}");
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,80}") {
        let _ = Expression::compile(&text);
    }

    #[test]
    fn no_text_of_its_words_makes_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "request", ".", "method", "headers", "[", "]", "(", ")", "'a'", "\"", "1", "1u", "1.5", "-", "!", "==", "<", "in", "&&", "||",
        "?", ":", ",", "has", "exists", "x", "duration", "matches", "{", "}", "`", "r'", "b'a'", "\\", "é", "//", "\n",
    ]), 0..25)) {
        if let Err(problem) = Expression::compile(&words.concat()) {
            prop_assert!(!problem.text.is_empty() && problem.offset <= words.concat().chars().count());
        }
    }
}
