//! Hugging Face Text Generation Inference (huggingface.github.io/text-generation-inference): `/`, `/generate`,
//! `/generate_stream`, `/info`, `/chat_tokenize`. Its OpenAI endpoints are `openai`'s.

use std::time::Duration;

use serde_json::Value;

use super::{
    call::{Asked, Call},
    deltas::{Deltas, Place},
    draft::{Draft, short},
    json::{self, count, items, string},
    timing::Pace,
};
use crate::model::{Inference, Operation, Role};

/// Fields of a response: the server's own counts, and how long it worked, in milliseconds.
const PROMPT_TOKENS: &str = "x-prompt-tokens";
const GENERATED_TOKENS: &str = "x-generated-tokens";
const TOTAL_TIME: &str = "x-total-time";

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    let path = asked.path.trim_end_matches('/');
    let (prefix, last) = path.rsplit_once('/').unwrap_or(("", ""));
    // Triton's is `/v2/models/NAME/generate`, Ollama's `/api/generate`.
    let ours = !prefix.contains("/models/") && !prefix.ends_with("/api");
    match (asked.method, last) {
        ("POST", "generate" | "generate_stream") if ours => Some(Operation::TextCompletion),
        ("POST", "") if path.is_empty() => Some(Operation::TextCompletion),
        ("POST", "chat_tokenize") if ours => Some(Operation::Tokenize),
        ("GET", "info") if ours => Some(Operation::Metadata),
        _ => None,
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let mut draft = Draft::new(inference);
    let mut pace = Pace::default();
    if !fits(call, draft.inference.operation) {
        return false;
    }
    if let Some(request) = call.json(Role::Request) {
        asked(&mut draft, call, request);
    }
    if call.pieces().is_some() {
        streamed(call, &mut draft, &mut pace);
    } else if let Some(answer) = call.json(Role::Response) {
        match draft.inference.operation {
            Operation::Metadata => info(&mut draft, answer),
            Operation::Tokenize => {}
            _ => whole(&mut draft, answer),
        }
        draft.error(answer);
    }
    fields(call, draft.inference);
    draft.close(call, pace);
    true
}

/// Others have these paths too: a prompt is `inputs`, a text, here.
fn fits(call: &Call<'_>, operation: Operation) -> bool {
    let bare = call.asked.path == "/";
    match (operation, call.json(Role::Request)) {
        (Operation::Metadata, _) => call.json(Role::Response).is_some_and(|answer| {
            let ours = ["max_input_tokens", "max_input_length", "max_total_tokens", "max_best_of"];
            answer.get("model_id").is_some()
                && ours.iter().any(|name| answer.get(name).is_some())
                && !super::tei::is_info(answer)
        }),
        (Operation::Tokenize, request) => request.is_none_or(|request| request.get("messages").is_some()),
        (_, Some(request)) => {
            let text = request.get("inputs").is_some_and(Value::is_string);
            // On `/` pipelines of every kind take `inputs`; only the answer tells.
            text && (!bare || generates(call))
                || !bare && request.get("inputs").is_none() && call.unread(Role::Request).is_some()
        }
        (_, None) => !bare && call.unread(Role::Request).is_some(),
    }
}

fn generates(call: &Call<'_>) -> bool {
    let field = |name| call.exchange.response.as_ref().is_some_and(|part| part.head.fields.get(name).is_some());
    let answer = call.json(Role::Response);
    let generated = |answer: &Value| {
        answer.get("generated_text").is_some()
            || answer.get(0).is_some_and(|first| first.get("generated_text").is_some())
    };
    field(GENERATED_TOKENS) || call.pieces().is_some() || answer.is_some_and(generated)
}

fn asked(draft: &mut Draft<'_>, call: &Call<'_>, request: &Value) {
    super::openai::chat::messages(draft, request);
    let asks = request.get("stream").and_then(Value::as_bool) == Some(true);
    draft.inference.streamed = asks || call.asked.path.trim_end_matches('/').ends_with("/generate_stream");
    if let Some(text) = string(request, "inputs") {
        draft.text(Role::Request, "", "$['inputs']", text);
        draft.inference.batch = Some(1);
    }
    if let Some(parameters) = request.get("parameters").and_then(Value::as_object) {
        draft.parameters(parameters, &[]);
    }
}

fn whole(draft: &mut Draft<'_>, answer: &Value) {
    let one = std::slice::from_ref(answer);
    let several = answer.as_array();
    for (index, answer) in several.map_or(one, Vec::as_slice).iter().enumerate() {
        let path =
            if several.is_some() { format!("$[{index}]['generated_text']") } else { "$['generated_text']".to_owned() };
        draft.text(Role::Response, "", path, string(answer, "generated_text").unwrap_or_default());
        details(draft, answer);
        // With `best_of` the others follow.
        let others = answer.get("details").map_or(&[][..], |details| items(details, "best_of_sequences"));
        for (index, other) in others.iter().enumerate() {
            let path = format!("$['details']['best_of_sequences'][{index}]['generated_text']");
            draft.text(Role::Response, "", path, string(other, "generated_text").unwrap_or_default());
        }
    }
}

fn details(draft: &mut Draft<'_>, answer: &Value) {
    let Some(details) = answer.get("details").filter(|details| details.is_object()) else { return };
    if let Some(reason) = string(details, "finish_reason") {
        draft.finish_reason(reason);
    }
    let usage = &mut draft.inference.usage;
    usage.output = count(details, "generated_tokens").or(usage.output);
    let prefill = Some(items(details, "prefill").len() as u64).filter(|count| *count > 0);
    usage.input = count(details, "input_length").or(prefill).or(usage.input);
}

fn info(draft: &mut Draft<'_>, answer: &Value) {
    let name = |field| string(answer, field).map(short).map(str::to_owned);
    draft.inference.response_model = name("model_id");
    draft.inference.version = name("model_sha");
}

fn fields(call: &Call<'_>, inference: &mut Inference) {
    let Some(part) = call.exchange.response.as_ref() else { return };
    let number = |name| str::from_utf8(part.head.fields.get(name)?).ok()?.trim().parse::<u64>().ok();
    inference.usage.input = inference.usage.input.or_else(|| number(PROMPT_TOKENS));
    inference.usage.output = inference.usage.output.or_else(|| number(GENERATED_TOKENS));
    inference.timing.reported = number(TOTAL_TIME).map(Duration::from_millis);
}

/// A token an event; the last one has the whole text beside its own.
fn streamed(call: &Call<'_>, draft: &mut Draft<'_>, pace: &mut Pace) {
    let mut deltas = Deltas::default();
    let mut text = None;
    for message in call.streamed().into_iter().flatten() {
        let event = json::parse::<Value>(message.data.as_bytes()).unwrap_or_default();
        draft.error(&event);
        let token = event.get("token").filter(|token| token.is_object());
        // The token that ends a text is not part of it, but was generated.
        let special = token.and_then(|token| token.get("special")).and_then(Value::as_bool) == Some(true);
        let shown = token.filter(|_| !special).and_then(|token| string(token, "text"));
        deltas.text((0, 0, "generated_text"), shown);
        pace.message(&message, token.is_some());
        if let Some(whole) = string(&event, "generated_text") {
            text = Some(whole.to_owned());
        }
        details(draft, &event);
    }
    match text {
        Some(text) => draft.text(Role::Response, "", "$['generated_text']", text),
        None => deltas.finish(draft, "", |(_, _, name): Place| format!("$['{name}']")),
    }
}
