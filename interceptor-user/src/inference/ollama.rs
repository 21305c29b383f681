//! Ollama's own API (github.com/ollama/ollama, docs/api.md): lines of JSON, durations in nanoseconds.

use std::time::Duration;

use serde_json::Value;

use super::{
    call::{Asked, Call},
    deltas::{Deltas, Place},
    draft::Draft,
    json::{self, count, items, string},
    timing::Pace,
};
use crate::model::{Inference, Operation, Role};

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    let (_, last) = asked.path.trim_end_matches('/').rsplit_once("/api/")?;
    Some(match (asked.method, last) {
        ("POST", "chat") => Operation::Chat,
        ("POST", "generate") => Operation::TextCompletion,
        ("POST", "embed" | "embeddings") => Operation::Embeddings,
        ("GET" | "HEAD", "tags" | "ps" | "version") | ("POST", "show") => Operation::Metadata,
        ("POST", "pull" | "push" | "create" | "copy") | ("DELETE", "delete") => Operation::Manage,
        _ => return None,
    })
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let mut draft = Draft::new(inference);
    let mut pace = Pace::default();
    if !fits(call, draft.inference.operation) {
        return false;
    }
    if let Some(request) = call.json(Role::Request) {
        asked(&mut draft, request);
    }
    if call.pieces().is_some() {
        streamed(call, &mut draft, &mut pace);
    } else if let Some(answer) = call.json(Role::Response) {
        over(&mut draft, answer);
        for (path, speaker, text) in said(answer) {
            draft.text(Role::Response, speaker, path, text);
        }
        for tool in answer.get("message").map_or(&[][..], |message| items(message, "tool_calls")) {
            let (name, arguments) = function(tool);
            draft.tool(string(tool, "id"), name, arguments);
        }
        if let Some(reason) = string(answer, "done_reason") {
            draft.finish_reason(reason);
        }
    }
    draft.close(call, pace);
    true
}

/// Others have an `/api` too: a request that works names its model, an answer that lists them has these members.
fn fits(call: &Call<'_>, operation: Operation) -> bool {
    let listed = ["models", "version", "error", "details", "model_info", "modelfile"];
    let has = |role, names: &[&str]| {
        let known = call.json(role).map(|value| names.iter().any(|name| value.get(name).is_some()));
        known.unwrap_or_else(|| call.unread(role).is_some())
    };
    match operation {
        Operation::Metadata => has(Role::Response, &listed),
        // `name` is what `model` was in 2023; copy has a `source`.
        Operation::Manage => has(Role::Request, &["model", "name", "source"]),
        _ => has(Role::Request, &["model"]),
    }
}

fn asked(draft: &mut Draft<'_>, request: &Value) {
    draft.model(["model", "name", "source"].iter().find_map(|name| string(request, name)));
    let works = draft.inference.operation.is_work();
    // Answers are streamed where the request does not say otherwise.
    let streams = matches!(draft.inference.operation, Operation::Chat | Operation::TextCompletion | Operation::Manage);
    draft.inference.streamed = request.get("stream").and_then(Value::as_bool).unwrap_or(streams);
    if works {
        super::openai::chat::messages(draft, request);
        let prompt = request.get("prompt").map(|_| 1);
        draft.inference.batch = super::openai::inputs(request.get("input")).or(prompt).or(draft.inference.batch);
        for (name, speaker) in [("system", "system"), ("prompt", ""), ("suffix", ""), ("input", "")] {
            if let Some(content) = request.get(name) {
                draft.content(Role::Request, speaker, &format!("$['{name}']"), content);
            }
        }
    }
    if let Some(members) = request.as_object() {
        let inputs = [
            "model", "name", "messages", "system", "prompt", "suffix", "input", "images", "context", "stream",
            "options",
        ];
        draft.parameters(members, &inputs);
        // `temperature` and the like.
        if let Some(options) = request.get("options").and_then(Value::as_object) {
            draft.parameters(options, &[]);
        }
    }
}

/// Texts of an answer or of a line of one: where, who, what.
fn said(line: &Value) -> impl Iterator<Item = (&'static str, &'static str, &str)> {
    let message = line.get("message").unwrap_or(&Value::Null);
    let texts = [
        ("$['message']['content']", "assistant", string(message, "content")),
        ("$['message']['thinking']", "assistant", string(message, "thinking")),
        ("$['response']", "", string(line, "response")),
        ("$['thinking']", "", string(line, "thinking")),
    ];
    texts.into_iter().filter_map(|(path, speaker, text)| Some((path, speaker, text?)))
}

/// Name and arguments, which are an object here.
fn function(tool: &Value) -> (&str, String) {
    let function = tool.get("function").unwrap_or(&Value::Null);
    let arguments = function.get("arguments").map(Value::to_string).unwrap_or_default();
    (string(function, "name").unwrap_or_default(), arguments)
}

/// The answer's end: counts and times.
fn over(draft: &mut Draft<'_>, answer: &Value) {
    draft.answer(answer);
    let inference = &mut *draft.inference;
    inference.usage.input = count(answer, "prompt_eval_count").or(inference.usage.input);
    inference.usage.output = count(answer, "eval_count").or(inference.usage.output);
    let total = count(answer, "total_duration").map(Duration::from_nanos);
    inference.timing.reported = total.or(inference.timing.reported);
    if inference.operation == Operation::Metadata {
        inference.version = string(answer, "version").map(|version| super::draft::short(version).to_owned());
    }
}

fn streamed(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace) {
    let mut deltas = Deltas::default();
    let mut tools = 0;
    for message in call.streamed().into_iter().flatten() {
        let line = json::parse::<Value>(message.data.as_bytes()).unwrap_or_default();
        over(draft, &line);
        let mut generated = false;
        for (path, _, text) in said(&line) {
            generated |= deltas.text((0, 0, path), Some(text));
        }
        // Each call comes whole.
        for tool in line.get("message").map_or(&[][..], |message| items(message, "tool_calls")) {
            let (name, arguments) = function(tool);
            generated |= deltas.tool((0, tools), string(tool, "id"), Some(name), Some(&arguments));
            tools += 1;
        }
        deltas.finish_reason(0, string(&line, "done_reason"));
        pace.message(&message, generated);
    }
    let speaker = if draft.inference.operation == Operation::Chat { "assistant" } else { "" };
    deltas.finish(draft, speaker, |(_, _, path): Place| path.to_owned());
}
