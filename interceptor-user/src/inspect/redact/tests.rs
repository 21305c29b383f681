use std::sync::Arc;

use super::*;
use crate::{
    inspect::pii::{Key, Pii},
    model::{Dialect, Format, Kind, Operation, Tensor, Text, UninspectedReason},
    policy::settings,
    sink::sample,
};

fn redact(headers: &[&str], query: &[&str], paths: &[&str]) -> Redact {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let json_path = paths.iter().map(|path| JsonPath::parse(path).unwrap()).collect();
    Redact { headers: names(headers), query: names(query), json_path, pii: false }
}

fn exchange(body: &'static [u8]) -> Exchange {
    let mut exchange = sample::exchange();
    exchange.request = Some(sample::request("POST", "/a?b=1&c=2&B=3", &[("X-A", "1"), ("X-B", "2")], body));
    exchange
}

#[test]
fn names_are_found_in_any_spelling() {
    let mut exchange = exchange(b"{}");
    apply(&mut exchange, &redact(&["x-a"], &["b"], &[]));
    let request = exchange.request.unwrap();
    assert_eq!(request.head.target(), Some("/a?b=[redacted]&c=2&B=[redacted]"));
    assert_eq!(
        (request.head.fields.get("x-a"), request.head.fields.get("x-b")),
        (Some(&b"[redacted]"[..]), Some(&b"2"[..]))
    );
    assert_eq!(request.head.method(), Some("POST"));
}

#[test]
fn places_are_taken_out_of_json() {
    let mut exchange = exchange(br#"{"user":{"name":"ann","id":7},"list":[{"name":"bob"},3]}"#);
    apply(&mut exchange, &redact(&[], &[], &["$..name", "$.user", "$.nothing"]));
    let request = exchange.request.unwrap();
    assert_eq!(&*request.body, br#"{"list":[{"name":"[redacted]"},3],"user":"[redacted]"}"#);
    assert!(!request.body_cut() && request.content_size() == 56, "its size is what was sent");
}

#[test]
fn what_cannot_be_redacted_is_not_shown() {
    let paths = redact(&[], &[], &["$.name"]);
    let mut cut = exchange(br#"{"name":"ann","#);
    cut.request.as_mut().unwrap().body_size += 10;
    let mut streamed = exchange(b"");
    let request = streamed.request.take().unwrap();
    streamed.request = Some(sample::framed(request, Format::JsonLines, &[(Kind::Data, br#"{"name":"ann"}"#)]));
    for mut exchange in [cut, streamed] {
        apply(&mut exchange, &paths);
        let request = exchange.request.unwrap();
        assert!(request.body.is_empty() && request.body_cut() && request.messages().count() == 0, "{request:?}");
    }
    let mut other = exchange(b"{\"other\":1}");
    apply(&mut other, &paths);
    assert_eq!(&*other.request.unwrap().body, b"{\"other\":1}");
}

const MAIL: &str = "ann.smith@example.com";

fn pii() -> Pii {
    Pii::new(&settings::Pii::default(), Key::new(b"k")).unwrap()
}

/// With an address wherever one can be.
fn personal() -> Exchange {
    let mut exchange = sample::exchange();
    let body = br#"{"to":"ann.smith@example.com","n":[1,{"cc":["ann.smith@example.com"]}]}"#;
    let target = "/a?email=ann.smith@example.com&b=1";
    exchange.request = Some(sample::request("POST", target, &[("X-User", MAIL), ("X-B", "2")], body));
    exchange.response = Some(sample::response(200, &[], b"write to ann.smith@example.com now"));
    exchange.response.as_mut().unwrap().trailers = sample::fields(&[("x-trailer", MAIL)]);
    let mut inference = Inference::new(Dialect::Openai, Operation::Chat);
    let text = format!("I am {MAIL}");
    inference.texts = vec![Text { role: Role::Request, speaker: "user".into(), path: "$".into(), text }];
    inference.parameters = vec![("user".into(), MAIL.into()), ("temperature".into(), 0.5.into())];
    inference.tool_calls =
        vec![crate::model::ToolCall { id: None, name: "mail".into(), arguments: format!("{{\"to\":\"{MAIL}\"}}") }];
    inference.error = Some(crate::model::ModelError { kind: None, message: format!("no {MAIL}") });
    exchange.inference = Some(Box::new(inference));
    exchange
}

fn finding(role: Role) -> Finding {
    let mut finding = sample::chat().verdict.unwrap().findings.remove(0);
    finding.role = Some(role);
    finding
}

#[test]
fn personal_data_is_taken_out_wherever_it_is() {
    let mut exchange = personal();
    apply_pii(&mut exchange, Search { pii: &pii(), seen: None });
    let told = format!("{exchange:?}");
    assert!(!told.contains("ann.smith"), "{told}");
    let request = exchange.request.unwrap();
    let body: Value = serde_json::from_slice(&request.body).expect("still JSON");
    assert_eq!(body, serde_json::json!({"to": "<EMAIL_ADDRESS>", "n": [1, {"cc": ["<EMAIL_ADDRESS>"]}]}));
    assert_eq!(request.head.fields.get("x-b"), Some(&b"2"[..]), "what is none stays");
    assert!(request.head.target().is_some_and(|target| target.ends_with("&b=1")), "{request:?}");
    assert!(exchange.inference.unwrap().parameters.contains(&("temperature".into(), 0.5.into())));
    assert_eq!(&*exchange.response.unwrap().body, b"write to <EMAIL_ADDRESS> now");
}

/// Heads are searched anyway: it costs little, and not all of them is inspected.
#[test]
fn only_contents_in_which_something_was_found_are_searched() {
    let mut exchange = personal();
    exchange.inference = None;
    apply_pii(&mut exchange, Search { pii: &pii(), seen: Some((&[finding(Role::Response)], &[])) });
    let request = exchange.request.unwrap();
    assert!(!request.redacted && request.head.fields.get("x-user") == Some(b"<EMAIL_ADDRESS>"), "{request:?}");
    assert!(exchange.response.unwrap().redacted);
}

#[test]
fn contents_of_which_nothing_is_certain_are_hidden() {
    let mut binary = personal();
    binary.response.as_mut().unwrap().body = Bytes::from_static(b"\xff\xfe ann.smith@example.com");
    let mut streamed = personal();
    let response = streamed.response.take().unwrap();
    streamed.response =
        Some(sample::framed(response, Format::JsonLines, &[(Kind::Data, b"ann.smith@exam"), (Kind::Data, b"ple.com")]));
    for mut exchange in [binary, streamed] {
        apply_pii(&mut exchange, Search { pii: &pii(), seen: None });
        let response = exchange.response.unwrap();
        assert!(response.body.is_empty() && response.redacted && response.messages().count() == 0, "{response:?}");
    }
}

#[test]
fn of_an_exchange_that_goes_on_no_content_is_shown_that_may_have_to_be_taken_out() {
    let hides = |redact: &Redact| {
        let mut exchange = personal();
        apply_to_message(&mut exchange, redact, None);
        exchange.request.unwrap().body.is_empty()
    };
    assert!(!hides(&redact(&["x-user"], &[], &[])));
    assert!(hides(&redact(&[], &[], &["$.to"])));
    assert!(hides(&Redact { pii: true, ..Redact::default() }));
    let mut exchange = personal();
    apply_to_message(&mut exchange, &redact(&["x-user"], &["email"], &[]), None);
    let request = exchange.request.unwrap();
    assert_eq!(request.head.fields.get("x-user"), Some(&b"[redacted]"[..]));
    assert_eq!(request.head.target(), Some("/a?email=[redacted]&b=1"));
}

#[test]
fn encoded_forms_names_and_fields_of_inferences_are_searched_too() {
    let mut exchange = sample::exchange();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let target = "/u/jane%40example.com/x?q=a+jane%40example.com&%65mail=jane%40example.com";
    exchange.request = Some(sample::request("POST", target, &form, b"a=1&m=jane%40example.com"));
    let mut inference = Inference::new(Dialect::Openai, Operation::Chat);
    inference.model = Some("jane@example.com".into());
    inference.parameters = vec![("jane@example.com".into(), "jane@example.com".into())];
    inference.inputs = vec![Tensor { name: "jane@example.com".into(), ..Tensor::default() }];
    exchange.inference = Some(Box::new(inference));
    apply(&mut exchange, &redact(&[], &["email"], &[]));
    apply_pii(&mut exchange, Search { pii: &pii(), seen: Some((&[finding(Role::Request)], &[])) });
    let request = exchange.request.as_ref().unwrap();
    assert_eq!(&*request.body, b"a=1&m=<EMAIL_ADDRESS>");
    assert_eq!(request.head.target(), Some("/u/<EMAIL_ADDRESS>/x?q=a <EMAIL_ADDRESS>&%65mail=[redacted]"));
    assert!(!format!("{exchange:?}").contains("jane"), "{exchange:?}");
}

#[test]
fn what_was_not_looked_at_to_the_end_is_not_shown() {
    let left = |role| {
        let rule = Arc::from("a/b");
        Uninspected { inspector: InspectorName::Pii, role: Some(role), reason: UninspectedReason::Bytes, rule }
    };
    let mut exchange = sample::exchange();
    let seen = Some((&[][..], &[left(Role::Request)][..]));
    apply_pii(&mut exchange, Search { pii: &pii(), seen });
    assert!(exchange.request.unwrap().body.is_empty());
    assert!(!exchange.response.unwrap().body.is_empty());
}
