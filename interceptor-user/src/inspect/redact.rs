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
    model::{
        Exchange, Fields, Finding, Head, Inference, InspectorName, Part, Role, StartLine, Uninspected, Values,
        percent_decoded,
    },
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
pub(super) fn apply_to_message(exchange: &mut Exchange, redact: &Redact, pii: Option<&Pii>) {
    let contents = !redact.json_path.is_empty() || redact.pii;
    for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        redact_head(part, redact);
        if let Some(pii) = pii {
            clean_head(part, pii.scanner());
        }
        if contents {
            part.hide_body();
        }
    }
}

/// What is to be taken out besides what has a name: what a search finds.
#[derive(Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) pii: &'a Pii,
    /// What it has found already, and what it has not looked at; None where it has not looked.
    pub(super) seen: Option<(&'a [Finding], &'a [Uninspected])>,
}

impl Search<'_> {
    /// Was something found in the content of this role? And was all of it looked at?
    fn of(self, role: Role) -> (bool, bool) {
        let Some((findings, uninspected)) = self.seen else { return (true, true) };
        let found = |finding: &Finding| finding.inspector == InspectorName::Pii && finding.role == Some(role);
        let left = |left: &Uninspected| left.inspector == InspectorName::Pii && left.role.is_none_or(|of| of == role);
        (findings.iter().any(found), !uninspected.iter().any(left))
    }
}

/// Takes out what is searched for: from heads and from what was read of contents in any case, from contents where something was
/// found.
pub(super) fn apply_pii(exchange: &mut Exchange, search: Search<'_>) {
    let scanner = search.pii.scanner();
    for (role, part) in [(Role::Request, &mut exchange.request), (Role::Response, &mut exchange.response)] {
        let Some(part) = part else { continue };
        clean_head(part, scanner);
        let (found, all) = search.of(role);
        let empty = part.body.is_empty() && part.tail.is_none();
        if empty || (!found && all) {
            continue;
        }
        // A value may be cut, or spread over several messages, or in what is not text.
        if !all || part.pieces.is_some() || part.body_cut() || str::from_utf8(&part.body).is_err() {
            part.hide_body();
        } else if let Some(body) = clean_body(part, scanner) {
            part.replace_body(Bytes::from(body));
        }
    }
    if let Some(inference) = &mut exchange.inference {
        clean_inference(inference, scanner);
    }
}

/// From a head only: of an exchange that goes on.
fn clean_head(part: &mut Part, scanner: &Scanner) {
    rewrite_head(part, |name, value| {
        if name == TARGET {
            return clean_target(str::from_utf8(value).ok()?, scanner).map(String::into_bytes);
        }
        scanner.redact(value, name, Replacement::Entity)
    });
}

fn clean_body(part: &Part, scanner: &Scanner) -> Option<Vec<u8>> {
    let kind = part.head.fields.get("content-type").unwrap_or_default();
    if kind.to_ascii_lowercase().starts_with(b"application/x-www-form-urlencoded") {
        return clean_pairs(str::from_utf8(&part.body).ok()?, scanner).map(String::into_bytes);
    }
    scanner.redact_json(&part.body, Replacement::Entity)
}

fn clean_target(target: &str, scanner: &Scanner) -> Option<String> {
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let clean_path = clean_encoded(path, "", scanner);
    let clean_query = query.and_then(|query| clean_pairs(query, scanner));
    if clean_path.is_none() && clean_query.is_none() {
        return None;
    }
    let mut clean = clean_path.unwrap_or_else(|| path.to_owned());
    if let Some(query) = clean_query.as_deref().or(query) {
        clean.push('?');
        clean.push_str(query);
    }
    Some(clean)
}

/// `name=value&name=value`, of a query or a form.
fn clean_pairs(pairs: &str, scanner: &Scanner) -> Option<String> {
    let mut found = false;
    let clean = pairs.split('&').map(|pair| {
        let (name, value) = pair.split_once('=').map_or((pair, None), |(name, value)| (name, Some(value)));
        let clean_name = clean_encoded(name, "", scanner);
        let clean_value = value.and_then(|value| clean_encoded(value, &decoded(name), scanner));
        found |= clean_name.is_some() || clean_value.is_some();
        let name = clean_name.as_deref().unwrap_or(name);
        value.map_or_else(|| name.to_owned(), |value| format!("{name}={}", clean_value.as_deref().unwrap_or(value)))
    });
    let clean = clean.collect::<Vec<_>>().join("&");
    found.then_some(clean)
}

/// A text that may be percent-encoded (RFC 3986 section 2.1). What is found in it may be so only once that is undone; then the text
/// is shown undone.
fn clean_encoded(text: &str, name: &str, scanner: &Scanner) -> Option<String> {
    let clean = |text: &str| {
        let clean = scanner.redact(text.as_bytes(), name, Replacement::Entity)?;
        Some(String::from_utf8_lossy(&clean).into_owned())
    };
    let plain = decoded(text);
    if plain == text { clean(text) } else { clean(&plain) }
}

/// Percent-encoding undone, and `+` for a space, as in forms (WHATWG URL, section 5.1).
fn decoded(text: &str) -> String {
    percent_decoded(text.replace('+', " ").as_bytes())
}

fn clean_inference(inference: &mut Inference, scanner: &Scanner) {
    let clean = |text: &mut String| {
        if let Some(clean) = scanner.redact_json(text.as_bytes(), Replacement::Entity) {
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    };
    let Inference { model, version, response_model, id, tenant, error, .. } = inference;
    [model, version, response_model, id, tenant].into_iter().flatten().for_each(clean);
    inference.texts.iter_mut().for_each(|text| clean(&mut text.text));
    inference.finish_reasons.iter_mut().for_each(clean);
    for call in &mut inference.tool_calls {
        [&mut call.name, &mut call.arguments].into_iter().chain(&mut call.id).for_each(clean);
    }
    if let Some(error) = error {
        [&mut error.message].into_iter().chain(&mut error.kind).for_each(clean);
    }
    for tensor in inference.inputs.iter_mut().chain(&mut inference.outputs) {
        let mut name = tensor.name.to_string();
        clean(&mut name);
        tensor.name = name.into();
        if let Values::Strings(values) = &mut tensor.values {
            values.iter_mut().flatten().for_each(clean);
        }
    }
    for (name, value) in &mut inference.parameters {
        clean(name);
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
            Some((name, _)) if is_named(&decoded(name), names) => {
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
mod tests;
