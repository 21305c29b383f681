//! What is asked of texts and answered with numbers: embeddings, pooling, rerank, score, classify, tokenize.

use serde_json::Value;

use super::super::{
    call::Call,
    draft::Draft,
    json::{count, items, string},
};
use crate::model::Role;

/// Members that hold texts, beside a conversation.
const TEXTS: [&str; 9] = ["input", "query", "documents", "prompt", "text_1", "text_2", "queries", "data_1", "data_2"];

/// `batch` names the members of which the first that is there is worked on one by one.
pub(super) fn read(call: &Call<'_>, draft: &mut Draft<'_>, batch: &[&str]) {
    if let Some(request) = call.json(Role::Request) {
        super::chat::messages(draft, request);
        let several = batch.iter().filter(|name| **name != "messages").find_map(|name| inputs(request.get(name)));
        // Score: one text against each of the others, or pairs.
        let others = ["text_2", "documents", "data_2"].iter().filter_map(|name| inputs(request.get(name))).max();
        draft.inference.batch = several.max(others).or(draft.inference.batch);
        for name in TEXTS {
            if let Some(value) = request.get(name) {
                draft.content(Role::Request, "", &format!("$['{name}']"), value);
            }
        }
        if let Some(members) = request.as_object() {
            let except = TEXTS.iter().chain(&["messages", "model", "tokens", "stream"]).copied().collect::<Vec<_>>();
            draft.parameters(members, &except);
        }
    }
    if let Some(answer) = call.json(Role::Response) {
        draft.answer(answer);
        cohere(draft, answer);
        // Detokenize.
        if let Some(text) = string(answer, "prompt") {
            draft.text(Role::Response, "", "$['prompt']", text);
        }
        // With `return_documents` rerank sends them back.
        for (index, result) in items(answer, "results").iter().enumerate() {
            if let Some(text) = result.get("document").and_then(|document| string(document, "text")) {
                draft.text(Role::Response, "", format!("$['results'][{index}]['document']['text']"), text);
            }
        }
    }
}

/// Cohere counts elsewhere: what was paid, or what was worked on.
fn cohere(draft: &mut Draft<'_>, answer: &Value) {
    let counted = ["tokens", "billed_units"].into_iter().filter_map(|name| answer.get("meta")?.get(name));
    for counts in counted {
        let usage = &mut draft.inference.usage;
        usage.input = usage.input.or_else(|| count(counts, "input_tokens"));
        usage.output = usage.output.or_else(|| count(counts, "output_tokens"));
    }
}

/// How many inputs these are: an array of tokens is one.
pub(in super::super) fn inputs(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Array(items) if items.first().is_some_and(Value::is_number) => Some(1),
        Value::Array(items) => Some(items.len() as u64),
        Value::Null => None,
        _ => Some(1),
    }
}
