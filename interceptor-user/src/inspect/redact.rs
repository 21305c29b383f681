//! What is taken out of an exchange before any sink sees it.
//!
//! What cannot be redacted with certainty (a content that is cut, or divided into messages, where places in one JSON text are
//! named) is not shown at all.

use bytes::Bytes;
use serde_json::Value;
use serde_json_path::JsonPath;

use crate::{
    model::{Exchange, Fields, Head, Inference, Part, StartLine},
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
    let names = |fields: &Fields| fields.iter().any(|(name, _)| is_named(name, &redact.headers));
    let target = part.head.target().and_then(|target| redact_query(target, &redact.query));
    if target.is_some() || names(&part.head.fields) {
        let fields = redact_fields(&part.head.fields, &redact.headers);
        part.head = match part.head.start_line() {
            StartLine::Request { method, target: sent } => {
                Head::request(method, target.as_deref().unwrap_or(sent), part.head.version, fields)
            }
            StartLine::Response { status } => Head::response(status, part.head.version, fields),
        };
    }
    if names(&part.trailers) {
        part.trailers = redact_fields(&part.trailers, &redact.headers);
    }
}

fn is_named(name: &str, names: &[String]) -> bool {
    names.iter().any(|named| named.eq_ignore_ascii_case(name))
}

fn redact_fields(fields: &Fields, names: &[String]) -> Fields {
    let mut redacted = Fields::default();
    for (name, value) in fields.iter() {
        let value = if is_named(name, names) { REDACTED.as_bytes() } else { value };
        redacted.push(name.as_bytes(), value);
    }
    redacted
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
        .flat_map(|path| path.query_located(&json).locations().map(|at| at.to_json_pointer()).collect::<Vec<_>>())
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
