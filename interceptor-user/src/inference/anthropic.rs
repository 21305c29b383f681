//! Anthropic's Messages (docs.anthropic.com/en/api/messages), as others serve them too: `messages`,
//! `messages/count_tokens`, `models`.

use serde_json::Value;

use super::{
    call::{Asked, Call},
    deltas::{Deltas, Place},
    draft::{Draft, short},
    json::{self, count, items, string},
    timing::Pace,
};
use crate::model::{Inference, Operation, Role, Usage};

/// Field that every client of this API sends.
const VERSION: &str = "anthropic-version";

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    let path = asked.path.trim_end_matches('/');
    let ours = |path: &str| {
        path.ends_with("/v1/messages") || path.ends_with("/messages") && asked.head.fields.get(VERSION).is_some()
    };
    match asked.method {
        "POST" if ours(path) => Some(Operation::Chat),
        "POST" if path.strip_suffix("/count_tokens").is_some_and(ours) => Some(Operation::Tokenize),
        // OpenAI's has the same path.
        "GET" if asked.head.fields.get(VERSION).is_some() => {
            let (prefix, last) = path.rsplit_once('/')?;
            (last == "models" || prefix.ends_with("/models")).then_some(Operation::Metadata)
        }
        _ => None,
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let mut draft = Draft::new(inference);
    let mut pace = Pace::default();
    let operation = draft.inference.operation;
    if let Some(request) = call.json(Role::Request).filter(|_| operation != Operation::Metadata) {
        if request.get("messages").is_none() && call.unread(Role::Request).is_none() {
            return false;
        }
        asked(&mut draft, request);
    }
    if call.pieces().is_some() {
        streamed(call, &mut draft, &mut pace);
    } else if let Some(message) = call.json(Role::Response) {
        match operation {
            Operation::Tokenize => draft.inference.usage.input = count(message, "input_tokens"),
            Operation::Metadata => {}
            _ => whole(&mut draft, message),
        }
        draft.error(message);
    }
    if operation == Operation::Metadata {
        draft.model(call.asked.path.split_once("/models/").map(|(_, name)| name));
    }
    draft.close(call, pace);
    true
}

fn asked(draft: &mut Draft<'_>, request: &Value) {
    draft.model(string(request, "model"));
    draft.inference.streamed = request.get("stream").and_then(Value::as_bool) == Some(true);
    draft.inference.batch = Some(1);
    if let Some(system) = request.get("system") {
        draft.content(Role::Request, "system", "$['system']", system);
    }
    for (index, message) in items(request, "messages").iter().enumerate() {
        if let Some(content) = message.get("content") {
            let speaker = string(message, "role").unwrap_or_default();
            draft.content(Role::Request, speaker, &format!("$['messages'][{index}]['content']"), content);
        }
    }
    if let Some(members) = request.as_object() {
        draft.parameters(members, &["messages", "system", "model", "stream"]);
    }
}

fn whole(draft: &mut Draft<'_>, message: &Value) {
    begun(draft, message);
    for (index, block) in items(message, "content").iter().enumerate() {
        for name in ["text", "thinking"] {
            if let Some(text) = string(block, name) {
                draft.text(Role::Response, "assistant", format!("$['content'][{index}]['{name}']"), text);
            }
        }
        if is_tool(block) {
            let arguments = block.get("input").map(Value::to_string).unwrap_or_default();
            draft.tool(string(block, "id"), string(block, "name").unwrap_or_default(), arguments);
        }
    }
    if let Some(reason) = string(message, "stop_reason") {
        draft.finish_reason(reason);
    }
}

/// Tools that the client is to call, or that the server calls itself.
fn is_tool(block: &Value) -> bool {
    matches!(string(block, "type"), Some("tool_use" | "server_tool_use" | "mcp_tool_use"))
}

/// What a message and a stream's `message_start` share. Usage is spelled otherwise than `OpenAI`'s.
fn begun(draft: &mut Draft<'_>, message: &Value) {
    draft.error(message);
    for (field, name) in [("model", &mut draft.inference.response_model), ("id", &mut draft.inference.id)] {
        *name = string(message, field).map(short).map(Into::into).or_else(|| name.take());
    }
    if let Some(counts) = message.get("usage") {
        usage(counts, &mut draft.inference.usage);
    }
}

/// `input_tokens` leaves out what was read from a cache and what was written to it. In a stream the counts grow.
fn usage(counts: &Value, usage: &mut Usage) {
    usage.cached = count(counts, "cache_read_input_tokens").or(usage.cached);
    usage.cache_creation = count(counts, "cache_creation_input_tokens").or(usage.cache_creation);
    if let Some(input) = count(counts, "input_tokens") {
        let cached = usage.cached.unwrap_or_default().saturating_add(usage.cache_creation.unwrap_or_default());
        usage.input = Some(input.saturating_add(cached));
    }
    usage.output = count(counts, "output_tokens").or(usage.output);
}

fn streamed(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace) {
    let mut deltas = Deltas::default();
    for message in call.streamed().into_iter().flatten() {
        let event = json::parse::<Value>(message.data.as_bytes()).unwrap_or_default();
        let generated = match string(&event, "type").or(message.event) {
            Some("message_start") => {
                begun(draft, event.get("message").unwrap_or(&Value::Null));
                false
            }
            Some("content_block_start") => block_begins(&mut deltas, &event),
            Some("content_block_delta") => delta(&mut deltas, &event),
            Some("message_delta") => {
                begun(draft, &event);
                deltas.finish_reason(0, event.get("delta").and_then(|delta| string(delta, "stop_reason")));
                false
            }
            _ => {
                draft.error(&event);
                false
            }
        };
        pace.message(&message, generated);
    }
    deltas.finish(draft, "assistant", |(block, _, name): Place| format!("$['content'][{block}]['{name}']"));
}

fn block_begins(deltas: &mut Deltas, event: &Value) -> bool {
    let index = count(event, "index").unwrap_or_default();
    let Some(block) = event.get("content_block") else { return false };
    if is_tool(block) {
        return deltas.tool((index, 0), string(block, "id"), string(block, "name"), None);
    }
    let text = deltas.text((index, 0, "text"), string(block, "text"));
    deltas.text((index, 0, "thinking"), string(block, "thinking")) || text
}

fn delta(deltas: &mut Deltas, event: &Value) -> bool {
    let index = count(event, "index").unwrap_or_default();
    let Some(delta) = event.get("delta") else { return false };
    match string(delta, "type") {
        Some("text_delta") => deltas.text((index, 0, "text"), string(delta, "text")),
        Some("thinking_delta") => deltas.text((index, 0, "thinking"), string(delta, "thinking")),
        Some("input_json_delta") => match string(delta, "partial_json") {
            Some(more) if !more.is_empty() => deltas.tool((index, 0), None, None, Some(more)),
            _ => false,
        },
        _ => false,
    }
}
