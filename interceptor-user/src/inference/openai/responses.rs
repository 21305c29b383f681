//! `/responses`. Its stream's last event holds the whole answer; only without it the deltas are put together.

use serde_json::Value;

use super::super::{
    call::Call,
    deltas::{Deltas, Place},
    draft::Draft,
    json::{self, count, items, string},
    timing::Pace,
};
use crate::model::Role;

pub(super) fn read(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace) {
    if let Some(request) = call.json(Role::Request) {
        asked(draft, request);
    }
    if call.pieces().is_some() {
        streamed(call, draft, pace);
    } else if let Some(answer) = call.json(Role::Response) {
        whole(draft, answer);
    }
}

fn asked(draft: &mut Draft<'_>, request: &Value) {
    draft.inference.batch = Some(1);
    if let Some(text) = string(request, "instructions") {
        draft.text(Role::Request, "system", "$['instructions']", text);
    }
    match request.get("input") {
        Some(Value::String(text)) => draft.text(Role::Request, "user", "$['input']", text),
        Some(Value::Array(items)) => {
            for (index, item) in items.iter().enumerate() {
                let speaker = match string(item, "type") {
                    Some("function_call_output" | "custom_tool_call_output") => "tool",
                    Some("function_call" | "custom_tool_call" | "reasoning") => "assistant",
                    _ => string(item, "role").unwrap_or_default(),
                };
                for name in ["content", "output", "arguments", "summary"] {
                    if let Some(content) = item.get(name) {
                        draft.content(Role::Request, speaker, &format!("$['input'][{index}]['{name}']"), content);
                    }
                }
            }
        }
        _ => {}
    }
    if let Some(members) = request.as_object() {
        draft.parameters(members, &["input", "instructions", "model", "stream"]);
    }
}

fn whole(draft: &mut Draft<'_>, answer: &Value) {
    draft.answer(answer);
    for (index, item) in items(answer, "output").iter().enumerate() {
        let speaker = string(item, "role").unwrap_or("assistant");
        for name in ["content", "summary"] {
            if let Some(content) = item.get(name) {
                draft.content(Role::Response, speaker, &format!("$['output'][{index}]['{name}']"), content);
            }
        }
        let arguments = match string(item, "type") {
            Some("function_call") => string(item, "arguments"),
            Some("custom_tool_call") => string(item, "input"),
            _ => None,
        };
        if let Some(arguments) = arguments {
            draft.tool(string(item, "call_id"), string(item, "name").unwrap_or_default(), arguments);
        }
    }
    let why = answer.get("incomplete_details").and_then(|details| string(details, "reason"));
    let over = string(answer, "status")
        .filter(|status| matches!(*status, "completed" | "incomplete" | "failed" | "cancelled"));
    if let Some(reason) = why.or(over) {
        draft.finish_reason(reason);
    }
}

fn streamed(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace) {
    let mut deltas = Deltas::default();
    let mut last = None;
    for message in call.streamed().into_iter().flatten() {
        let mut event = json::parse::<Value>(message.data.as_bytes()).unwrap_or_default();
        let kind = string(&event, "type").or(message.event).unwrap_or_default().to_owned();
        let generated = delta(&mut deltas, &kind, &event);
        pace.message(&message, generated);
        if let Some(answer) = event.get_mut("response").map(Value::take) {
            draft.answer(&answer);
            if matches!(kind.as_str(), "response.completed" | "response.incomplete" | "response.failed") {
                last = Some(answer);
            }
        } else if kind == "error" || event.get("error").is_some() {
            draft.error(&event);
        }
    }
    if let Some(answer) = last.as_ref().filter(|answer| !items(answer, "output").is_empty()) {
        return whole(draft, answer);
    }
    deltas.finish(draft, "assistant", |(output, part, name): Place| {
        format!(
            "$['output'][{output}]['{}'][{part}]['{}']",
            if name == "summary" { name } else { "content" },
            text(name)
        )
    });
    if let Some(answer) = last {
        whole(draft, &answer);
    }
}

/// The member that holds the text of such a part.
fn text(name: &str) -> &str {
    if name == "refusal" { name } else { "text" }
}

/// Says whether it carries something generated.
fn delta(deltas: &mut Deltas, kind: &str, event: &Value) -> bool {
    let output = count(event, "output_index").unwrap_or_default();
    let part = |name| count(event, name).unwrap_or_default();
    let more = string(event, "delta");
    match kind {
        "response.output_text.delta" | "response.reasoning_text.delta" => {
            deltas.text((output, part("content_index"), "text"), more)
        }
        "response.refusal.delta" => deltas.text((output, part("content_index"), "refusal"), more),
        "response.reasoning_summary_text.delta" => deltas.text((output, part("summary_index"), "summary"), more),
        "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
            deltas.tool((output, 0), None, None, more)
        }
        "response.output_item.added" => event.get("item").is_some_and(|item| {
            let call = matches!(string(item, "type"), Some("function_call" | "custom_tool_call"));
            call && deltas.tool((output, 0), string(item, "call_id"), string(item, "name"), None)
        }),
        _ => false,
    }
}
