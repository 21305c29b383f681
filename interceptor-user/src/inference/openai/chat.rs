//! `/chat/completions` and `/completions`.

use serde_json::Value;

use super::super::{
    call::Call,
    deltas::{Deltas, Place},
    draft::Draft,
    json::{self, count, items, string},
    timing::Pace,
};
use crate::model::Role;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Chat,
    Completions,
}

/// Texts of an answer's message. What was thought is `reasoning_content` of DeepSeek and vLLM, `reasoning` of OpenRouter,
/// gpt-oss and later vLLM.
const TEXTS: [&str; 4] = ["content", "reasoning", "reasoning_content", "refusal"];

pub(super) fn read(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace, kind: Kind) {
    if let Some(request) = call.json(Role::Request) {
        match kind {
            Kind::Chat => messages(draft, request),
            Kind::Completions => prompts(draft, request),
        }
        if let Some(members) = request.as_object() {
            draft.parameters(members, &["messages", "prompt", "model", "stream"]);
        }
    }
    if call.pieces().is_some() {
        streamed(call, draft, pace, kind);
    } else if let Some(answer) = call.json(Role::Response) {
        draft.answer(answer);
        for (index, choice) in items(answer, "choices").iter().enumerate() {
            whole(draft, index, choice);
        }
    }
}

/// A conversation is one input. Arguments of tools that were called earlier are texts of it.
pub(in super::super) fn messages(draft: &mut Draft<'_>, request: &Value) {
    let messages = items(request, "messages");
    draft.inference.batch = (!messages.is_empty()).then_some(1);
    for (index, message) in messages.iter().enumerate() {
        let speaker = string(message, "role").unwrap_or_default();
        let path = format!("$['messages'][{index}]");
        for name in TEXTS {
            if let Some(content) = message.get(name) {
                draft.content(Role::Request, speaker, &format!("{path}['{name}']"), content);
            }
        }
        for (index, tool) in items(message, "tool_calls").iter().enumerate() {
            if let Some(text) = tool.get("function").and_then(|function| string(function, "arguments")) {
                let path = format!("{path}['tool_calls'][{index}]['function']['arguments']");
                draft.text(Role::Request, speaker, path, text);
            }
        }
    }
}

/// Each prompt is an input: a text, or an array of tokens, which has no text.
fn prompts(draft: &mut Draft<'_>, request: &Value) {
    draft.inference.batch = super::texts::inputs(request.get("prompt"));
    if let Some(prompt) = request.get("prompt") {
        draft.content(Role::Request, "", "$['prompt']", prompt);
    }
}

fn whole(draft: &mut Draft<'_>, index: usize, choice: &Value) {
    let path = format!("$['choices'][{index}]");
    if let Some(text) = string(choice, "text") {
        draft.text(Role::Response, "", format!("{path}['text']"), text);
    }
    if let Some(message) = choice.get("message") {
        let speaker = string(message, "role").unwrap_or("assistant");
        for name in TEXTS {
            if let Some(content) = message.get(name) {
                draft.content(Role::Response, speaker, &format!("{path}['message']['{name}']"), content);
            }
        }
        // `function_call` is what `tool_calls` was in 2023.
        let old = message.get("function_call").filter(|call| call.is_object());
        for tool in items(message, "tool_calls").iter().chain(old) {
            let function = tool.get("function").unwrap_or(tool);
            let arguments = string(function, "arguments").unwrap_or_default();
            draft.tool(string(tool, "id"), string(function, "name").unwrap_or_default(), arguments);
        }
    }
    if let Some(reason) = string(choice, "finish_reason") {
        draft.finish_reason(reason);
    }
}

fn streamed(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace, kind: Kind) {
    let mut deltas = Deltas::default();
    for message in call.streamed().into_iter().flatten() {
        let chunk = json::parse::<Value>(message.data.as_bytes()).unwrap_or_default();
        draft.answer(&chunk);
        let mut generated = false;
        for (at, choice) in items(&chunk, "choices").iter().enumerate() {
            generated |= delta(&mut deltas, count(choice, "index").unwrap_or(at as u64), choice);
        }
        pace.message(&message, generated);
    }
    let speaker = if kind == Kind::Chat { "assistant" } else { "" };
    deltas.finish(draft, speaker, |(choice, _, name): Place| match kind {
        Kind::Chat => format!("$['choices'][{choice}]['message']['{name}']"),
        Kind::Completions => format!("$['choices'][{choice}]['{name}']"),
    });
}

/// Says whether it carries something generated; who speaks is nothing that is.
fn delta(deltas: &mut Deltas, index: u64, choice: &Value) -> bool {
    let mut generated = deltas.text((index, 0, "text"), string(choice, "text"));
    if let Some(delta) = choice.get("delta") {
        for name in TEXTS {
            generated |= deltas.text((index, 0, name), string(delta, name));
        }
        for (at, tool) in items(delta, "tool_calls").iter().enumerate() {
            generated |= deltas.function((index, count(tool, "index").unwrap_or(at as u64)), tool);
        }
        if let Some(old) = delta.get("function_call").filter(|call| call.is_object()) {
            generated |= deltas.function((index, 0), old);
        }
    }
    deltas.finish_reason(index, string(choice, "finish_reason"));
    generated
}
