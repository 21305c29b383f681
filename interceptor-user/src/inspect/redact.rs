//! What is taken out of an exchange before any sink sees it.
//!
//! What cannot be redacted with certainty (a content that is cut, or divided into messages, where places in one JSON text are
//! named) is not shown at all.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;
use serde_json_path::{JsonPath, NormalizedPath};

use super::pii::{Pii, Replacement, Scanner};
use crate::{
    model::{Exchange, Fields, Finding, Head, Inference, InspectorName, Part, Role, StartLine},
    policy::Redact,
};

/// What stands in the place of what is redacted.
const REDACTED: &str = "[redacted]";

/// Takes out what this rule names.
pub(super) fn apply(exchange: &mut Exchange, redact: &Redact) {
    for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        redact_head(part, redact);
        if !redact.json_path.is_empty() {
            redact_places(part, &redact.json_path);
        }
    }
    if let Some(inference) = &mut exchange.inference
        && !redact.json_path.is_empty()
    {
        forget_contents(inference);
    }
}

/// The same, of an exchange that goes on, of which one message is shown: whether what is named is in it is not known before all
/// is there.
pub(super) fn apply_to_message(exchange: &mut Exchange, redact: &Redact) {
    let contents = !redact.json_path.is_empty() || redact.pii;
    for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        redact_head(part, redact);
        if contents {
            part.hide_body();
        }
    }
}

/// Takes out what `pii` finds. Where it has looked already, it has found `findings`.
pub(super) fn apply_pii(exchange: &mut Exchange, pii: &Pii, findings: Option<&[Finding]>) {
    let scanner = pii.scanner();
    let found = |role| {
        let of_role = |finding: &Finding| finding.inspector == InspectorName::Pii && finding.role == Some(role);
        findings.is_none_or(|findings| findings.iter().any(of_role))
    };
    for (role, part) in [(Role::Request, &mut exchange.request), (Role::Response, &mut exchange.response)] {
        let Some(part) = part.as_mut().filter(|_| found(role)) else { continue };
        rewrite_head(part, |name, value| scanner.redact(value, name, Replacement::Entity));
        if part.pieces.is_some() {
            // A value may be spread over several messages, and a message may be binary.
            part.hide_body();
        } else if str::from_utf8(&part.body).is_err() {
            part.hide_body();
        } else if let Some(body) = scanner.redact_json(&part.body, Replacement::Entity) {
            part.replace_body(Bytes::from(body));
        }
    }
    if let Some(inference) = &mut exchange.inference {
        redact_inference(inference, scanner);
    }
}

fn redact_inference(inference: &mut Inference, scanner: &Scanner) {
    let redact = |text: &mut String| {
        if let Some(clean) = scanner.redact_json(text.as_bytes(), Replacement::Entity) {
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    };
    inference.texts.iter_mut().for_each(|text| redact(&mut text.text));
    inference.tool_calls.iter_mut().for_each(|call| redact(&mut call.arguments));
    inference.error.iter_mut().for_each(|error| redact(&mut error.message));
    for (_, value) in &mut inference.parameters {
        let clean = serde_json::to_vec(value).ok().and_then(|text| scanner.redact_json(&text, Replacement::Entity));
        if let Some(clean) = clean {
            *value = serde_json::from_slice(&clean).unwrap_or_else(|_| Value::String(REDACTED.to_owned()));
        }
    }
}

/// What was read from contents may be what is named.
fn forget_contents(inference: &mut Inference) {
    inference.texts.clear();
    inference.parameters.clear();
    inference.tool_calls.iter_mut().for_each(|call| REDACTED.clone_into(&mut call.arguments));
    if let Some(error) = &mut inference.error {
        REDACTED.clone_into(&mut error.message);
    }
}

fn redact_head(part: &mut Part, redact: &Redact) {
    rewrite_head(part, |name, value| {
        if name == TARGET {
            return redact_query(str::from_utf8(value).ok()?, &redact.query).map(String::into_bytes);
        }
        is_named(name, &redact.headers).then(|| REDACTED.as_bytes().to_vec())
    });
}

/// Stands for the request's target where fields have their names; no field can be called so.
const TARGET: &str = "";

/// Replaces the target and the values of fields by what `clean` makes of them, if it makes something.
fn rewrite_head(part: &mut Part, clean: impl Fn(&str, &[u8]) -> Option<Vec<u8>>) {
    let fields = rewritten(&part.head.fields, &clean);
    let target = part.head.target().and_then(|target| clean(TARGET, target.as_bytes()));
    if fields.is_some() || target.is_some() {
        let fields = fields.unwrap_or_else(|| part.head.fields.clone());
        let target = target.as_deref().map(String::from_utf8_lossy);
        part.head = match part.head.start_line() {
            StartLine::Request { method, target: sent } => {
                Head::request(method, &target.unwrap_or(Cow::Borrowed(sent)), part.head.version, fields)
            }
            StartLine::Response { status } => Head::response(status, part.head.version, fields),
        };
    }
    if let Some(trailers) = rewritten(&part.trailers, &clean) {
        part.trailers = trailers;
    }
}

fn is_named(name: &str, names: &[String]) -> bool {
    names.iter().any(|named| named.eq_ignore_ascii_case(name))
}

/// The fields with other values; None where none is another.
fn rewritten(fields: &Fields, clean: &impl Fn(&str, &[u8]) -> Option<Vec<u8>>) -> Option<Fields> {
    let values: Vec<Option<Vec<u8>>> = fields.iter().map(|(name, value)| clean(name, value)).collect();
    if values.iter().all(Option::is_none) {
        return None;
    }
    let mut rewritten = Fields::default();
    for ((name, value), clean) in fields.iter().zip(&values) {
        rewritten.push(name.as_bytes(), clean.as_deref().unwrap_or(value));
    }
    Some(rewritten)
}

/// The target with the values of these parameters taken out; None where it has none of them.
fn redact_query(target: &str, names: &[String]) -> Option<String> {
    let (before, query) = target.split_once('?')?;
    let mut found = false;
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((name, _)) if is_named(name, names) => {
                found = true;
                format!("{name}={REDACTED}")
            }
            _ => parameter.to_owned(),
        })
        .collect();
    found.then(|| format!("{before}?{}", parameters.join("&")))
}

fn redact_places(part: &mut Part, paths: &[JsonPath]) {
    if part.body.is_empty() && part.tail.is_none() {
        return;
    }
    let whole = !part.body_cut() && part.pieces.is_none();
    let json = whole.then(|| serde_json::from_slice::<Value>(&part.body).ok()).flatten();
    let Some(mut json) = json else { return part.hide_body() };
    let pointers: Vec<String> = paths
        .iter()
        .flat_map(|path| path.query_located(&json).locations().map(NormalizedPath::to_json_pointer).collect::<Vec<_>>())
        .collect();
    if pointers.is_empty() {
        return;
    }
    for pointer in pointers {
        // A place within one that was taken out is gone with it.
        if let Some(value) = json.pointer_mut(&pointer) {
            *value = Value::String(REDACTED.to_owned());
        }
    }
    match serde_json::to_vec(&json) {
        Ok(body) => part.replace_body(Bytes::from(body)),
        Err(_) => part.hide_body(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Format, Kind},
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
}
