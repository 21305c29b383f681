//! What contents mean, as JSON. It says as much as the contents themselves, so it is there only where they are there as a
//! whole: policies keep both or none.

use serde_json::{Map, Value, json as value};

use super::cell::{Cell, json};
use crate::model::{Exchange, Finding, Part, Role, RuleVerdict, Tensor, Text, ToolCall, Values};

/// Is the content of this message there, whole?
fn is_there(exchange: &Exchange, role: Role) -> bool {
    exchange.part(role).is_some_and(|part| !part.body.is_empty() && !part.body_cut())
}

fn list(values: impl Iterator<Item = Value>) -> Cell<'static> {
    let values: Vec<Value> = values.collect();
    if values.is_empty() { Cell::Null } else { json(&values) }
}

pub(super) fn message_sizes(part: Option<&Part>) -> Cell<'static> {
    let sizes = part.into_iter().flat_map(Part::messages).map(|(_, bytes)| bytes.len().into());
    list(sizes)
}

pub(super) fn tensors(exchange: &Exchange, role: Role) -> Cell<'static> {
    let Some(inference) = exchange.inference.as_ref().filter(|_| is_there(exchange, role)) else { return Cell::Null };
    list(inference.tensors(role).iter().map(tensor))
}

/// As the Open Inference Protocol writes it, flat and in row-major order.
fn tensor(tensor: &Tensor) -> Value {
    let Tensor { name, datatype, shape, values, cut } = tensor;
    // What is missing, or no number, has none in JSON: null.
    let data = match values {
        Values::Unread => Value::Null,
        Values::Numbers(numbers) => numbers.iter().map(|number| Value::from(*number)).collect(),
        Values::Strings(strings) => strings.iter().map(|text| Value::from(text.clone())).collect(),
    };
    let mut object =
        value!({ "name": name, "datatype": datatype.map(crate::model::Datatype::name), "shape": shape, "data": data });
    if let (true, Some(object)) = (*cut, object.as_object_mut()) {
        object.insert("cut".to_owned(), true.into());
    }
    object
}

pub(super) fn texts(exchange: &Exchange, role: Role) -> Cell<'static> {
    let Some(inference) = exchange.inference.as_ref().filter(|_| is_there(exchange, role)) else { return Cell::Null };
    let said = |Text { speaker, path, text, .. }: &Text| value!({ "role": speaker, "path": path, "text": text });
    list(inference.texts.iter().filter(|text| text.role == role).map(said))
}

pub(super) fn parameters(exchange: &Exchange) -> Cell<'static> {
    let there = is_there(exchange, Role::Request);
    match &exchange.inference {
        Some(inference) if there && !inference.parameters.is_empty() => {
            json(&inference.parameters.iter().cloned().collect::<Map<_, _>>())
        }
        _ => Cell::Null,
    }
}

pub(super) fn tool_calls(exchange: &Exchange) -> Cell<'static> {
    let there = is_there(exchange, Role::Response);
    let Some(inference) = exchange.inference.as_ref().filter(|_| there) else { return Cell::Null };
    let call = |ToolCall { id, name, arguments }: &ToolCall| value!({ "id": id, "name": name, "arguments": arguments });
    list(inference.tool_calls.iter().map(call))
}

/// Those that have it in their sample.
fn said(exchange: &Exchange) -> impl Iterator<Item = &RuleVerdict> {
    exchange.verdict.iter().flat_map(|verdict| &verdict.rules).filter(|rule| rule.sampled.is_in())
}

pub(super) fn rules(exchange: &Exchange) -> Cell<'static> {
    list(said(exchange).map(|rule| Value::from(&*rule.rule)))
}

pub(super) fn extracted(exchange: &Exchange) -> Cell<'static> {
    let of_rule = |rule: &RuleVerdict| {
        let values = rule.extracted.iter().map(|(name, value)| (name.to_string(), value.clone()));
        (rule.rule.to_string(), Value::Object(values.collect()))
    };
    let all: Map<_, _> = said(exchange).filter(|rule| !rule.extracted.is_empty()).map(of_rule).collect();
    if all.is_empty() { Cell::Null } else { json(&all) }
}

pub(super) fn findings(exchange: &Exchange) -> Cell<'static> {
    let found = exchange.verdict.iter().flat_map(|verdict| &verdict.findings);
    list(found.map(finding))
}

fn finding(finding: &Finding) -> Value {
    value!({
        "inspector": finding.inspector.name(),
        "kind": finding.kind,
        "direction": finding.role.map(Role::name),
        "place": finding.place,
        "score": finding.score,
        "masked": finding.value.as_ref().map(|value| &value.masked),
        "hash": finding.value.as_ref().map(|value| &value.hash),
        "text": finding.text,
        "count": finding.count,
        "rule": &*finding.rule,
    })
}
