//! Hugging Face Text Embeddings Inference (huggingface.github.io/text-embeddings-inference).

use std::time::Duration;

use serde_json::Value;

use super::{
    call::{Asked, Call},
    draft::{Draft, short},
    json::{items, string},
    openai::inputs,
    timing::Pace,
};
use crate::model::{Head, Inference, Operation, Role};

/// Fields of a response: tokens that were worked on, and how long that took, in milliseconds.
const TOKENS: &str = "x-compute-tokens";
const TOTAL_TIME: &str = "x-total-time";
/// Members of a request that are no parameters.
const INPUTS: [&str; 4] = ["inputs", "query", "texts", "ids"];

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    let path = asked.path.trim_end_matches('/');
    let (prefix, last) = path.rsplit_once('/').unwrap_or(("", ""));
    if prefix.ends_with("/api") || prefix.contains("/v1") || prefix.contains("/v2") {
        return None;
    }
    Some(match (asked.method, last) {
        ("POST", "embed" | "embed_all" | "embed_sparse") => Operation::Embeddings,
        ("POST", "rerank") => Operation::Rerank,
        ("POST", "predict" | "similarity") => Operation::Classify,
        ("POST", "tokenize" | "decode") => Operation::Tokenize,
        ("POST", "") if path.is_empty() => Operation::Embeddings,
        ("GET", "info") => Operation::Metadata,
        _ => return None,
    })
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    if !fits(call, inference.operation) {
        return false;
    }
    let mut draft = Draft::new(inference);
    if let Some(request) = call.json(Role::Request) {
        asked(&mut draft, request);
    }
    if let Some(answer) = call.json(Role::Response) {
        draft.error(answer);
        if draft.inference.operation == Operation::Metadata {
            draft.inference.response_model = string(answer, "model_id").map(short).map(str::to_owned);
            draft.inference.version = string(answer, "model_sha").map(short).map(str::to_owned);
        }
        // With `return_text` rerank sends the texts back.
        for (index, text) in answer.as_array().into_iter().flatten().enumerate() {
            if let Some(text) = string(text, "text").filter(|_| draft.inference.operation == Operation::Rerank) {
                draft.text(Role::Response, "", format!("$[{index}]['text']"), text);
            }
        }
    }
    if let Some(part) = call.exchange.response.as_ref() {
        draft.inference.usage.input = number(&part.head, TOKENS);
        draft.inference.timing.reported = number(&part.head, TOTAL_TIME).map(Duration::from_millis);
    }
    draft.close(call, Pace::default());
    true
}

/// What `/info` of this server tells, and that of no other.
pub(super) fn is_info(answer: &Value) -> bool {
    answer.get("model_id").is_some() && answer.get("model_type").is_some_and(Value::is_object)
}

/// Many servers have these paths. Its own fields prove it; else a request has to be of its form, on the paths that others
/// share together with an answer that is.
fn fits(call: &Call<'_>, operation: Operation) -> bool {
    let answered = call.exchange.response.as_ref();
    if answered.is_some_and(|part| part.head.fields.get(TOKENS).is_some()) {
        return true;
    }
    let path = call.asked.path.trim_end_matches('/');
    let answer = call.json(Role::Response);
    let array = answer.is_some_and(Value::is_array);
    let failed = answer.is_some_and(|answer| answer.get("error").is_some() && answer.get("error_type").is_some());
    let Some(request) = call.json(Role::Request) else {
        return match operation {
            Operation::Metadata => answer.is_some_and(is_info),
            // Nobody else has these.
            _ => {
                call.unread(Role::Request).is_some()
                    && ["/embed", "/embed_all", "/embed_sparse"].iter().any(|own| path.ends_with(own))
            }
        };
    };
    let has = |name| request.get(name).is_some();
    match operation {
        Operation::Metadata => answer.is_some_and(is_info),
        Operation::Rerank => has("query") && has("texts"),
        Operation::Tokenize => has("inputs") || has("ids"),
        _ if path.is_empty() => false,
        _ if path.ends_with("/predict") => has("inputs") && (array || failed),
        _ => has("inputs"),
    }
}

fn asked(draft: &mut Draft<'_>, request: &Value) {
    let source = request.get("inputs");
    // Similarity: one sentence against each of the others.
    let others = source.map_or(&[][..], |inputs| items(inputs, "sentences"));
    draft.inference.batch = match others.len() {
        0 => inputs(request.get("texts").or(source)),
        count => Some(count as u64),
    };
    for name in ["query", "texts"] {
        if let Some(texts) = request.get(name) {
            draft.content(Role::Request, "", &format!("$['{name}']"), texts);
        }
    }
    match source {
        Some(Value::Object(members)) => {
            for (name, texts) in
                members.iter().filter(|(name, _)| matches!(name.as_str(), "source_sentence" | "sentences"))
            {
                draft.content(Role::Request, "", &format!("$['inputs']['{name}']"), texts);
            }
        }
        Some(Value::Array(several)) => {
            // Predict: pairs of texts, each in an array of its own.
            for (index, one) in several.iter().enumerate() {
                draft.content(Role::Request, "", &format!("$['inputs'][{index}]"), one);
            }
        }
        Some(one) => draft.content(Role::Request, "", "$['inputs']", one),
        None => {}
    }
    if let Some(members) = request.as_object() {
        draft.parameters(members, &INPUTS);
    }
}

fn number(head: &Head, name: &str) -> Option<u64> {
    str::from_utf8(head.fields.get(name)?).ok()?.trim().parse().ok()
}
