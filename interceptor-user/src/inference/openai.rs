//! OpenAI's API (platform.openai.com/docs/api-reference) as OpenAI, Azure, vLLM, SGLang, llama.cpp, `LiteLLM` and many
//! others serve it, under any prefix; with vLLM's extras (pooling, score, classify, tokenize) and the rerank of Jina and
//! Cohere, which those serve too.

pub(super) mod chat;
mod responses;
mod texts;

pub(super) use self::texts::inputs;
use serde_json::Value;

use super::{
    call::{Asked, Call},
    draft::Draft,
    json::string,
    timing::Pace,
};
use crate::model::{Inference, Operation, Role, Unread};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Rerank,
    Score,
    Classify,
    Tokenize,
    Models,
}

impl Endpoint {
    /// What many servers call their own things is OpenAI's only where a prefix says so.
    fn of(asked: &Asked<'_>) -> Option<Self> {
        let path = asked.path.trim_end_matches('/');
        let (prefix, last) = path.rsplit_once('/')?;
        let known = matches!(prefix, "" | "/api") || prefix.ends_with("/v1") || prefix.contains("/openai");
        match (asked.method, last) {
            ("POST", "completions") if prefix.ends_with("/chat") => Some(Self::Chat),
            ("POST", "completions") => Some(Self::Completions),
            ("POST", "responses") if known => Some(Self::Responses),
            ("POST", "embeddings") => Some(Self::Embeddings),
            ("POST", "pooling") if known => Some(Self::Embeddings),
            ("POST", "rerank") if known || prefix.ends_with("/v2") => Some(Self::Rerank),
            ("POST", "score") if known => Some(Self::Score),
            ("POST", "classify" | "moderations") if known => Some(Self::Classify),
            ("POST", "tokenize" | "detokenize") if known => Some(Self::Tokenize),
            ("GET", "models") if known => Some(Self::Models),
            // Names of models have slashes: `/v1/models/ORGANISATION/NAME`.
            ("GET", _) if path.contains("/v1/models/") || path.contains("/openai/models/") => Some(Self::Models),
            _ => None,
        }
    }

    const fn operation(self) -> Operation {
        match self {
            Self::Chat | Self::Responses => Operation::Chat,
            Self::Completions => Operation::TextCompletion,
            Self::Embeddings => Operation::Embeddings,
            Self::Rerank => Operation::Rerank,
            Self::Score | Self::Classify => Operation::Classify,
            Self::Tokenize => Operation::Tokenize,
            Self::Models => Operation::Metadata,
        }
    }

    /// Members of which a request has one at least.
    const fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Chat => &["messages"],
            Self::Completions => &["prompt", "prompt_embeds", "suffix", "model"],
            Self::Responses => &["input", "instructions", "prompt", "model"],
            Self::Embeddings | Self::Classify => &["input", "messages"],
            Self::Rerank => &["documents"],
            Self::Score => &["text_1", "queries", "data_1"],
            Self::Tokenize => &["prompt", "messages", "tokens"],
            Self::Models => &[],
        }
    }
}

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    Some(Endpoint::of(asked)?.operation())
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let Some(endpoint) = Endpoint::of(&call.asked) else { return false };
    let request = call.json(Role::Request);
    let whole = call.unread(Role::Request).is_none();
    if endpoint == Endpoint::Models {
        return models(call, inference);
    }
    // A path is proof enough where the content says nothing of it, but not against what the content says.
    if whole && request.is_none() && !matches!(endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings)
    {
        return false;
    }
    if whole && request.is_some_and(|request| !endpoint.inputs().iter().any(|name| request.get(name).is_some())) {
        return false;
    }
    let mut draft = Draft::new(inference);
    draft.model(deployment(call.asked.path));
    draft.model(request.and_then(|request| string(request, "model")));
    draft.inference.streamed = request.and_then(|request| request.get("stream")).and_then(Value::as_bool) == Some(true);
    let mut pace = Pace::default();
    match endpoint {
        Endpoint::Chat => chat::read(call, &mut draft, &mut pace, chat::Kind::Chat),
        Endpoint::Completions => chat::read(call, &mut draft, &mut pace, chat::Kind::Completions),
        Endpoint::Responses => responses::read(call, &mut draft, &mut pace),
        _ => texts::read(call, &mut draft, endpoint.inputs()),
    }
    draft.close(call, pace);
    true
}

/// Azure names the model in the path: `/openai/deployments/NAME/chat/completions`.
fn deployment(path: &str) -> Option<&str> {
    path.split_once("/deployments/")?.1.split('/').next()
}

/// Which models there are, or what one is.
fn models(call: &Call<'_>, inference: &mut Inference) -> bool {
    let failed =
        call.exchange.response.as_ref().and_then(|part| part.head.status()).is_some_and(|status| status >= 400);
    let listed =
        |answer: &Value| matches!(string(answer, "object"), Some("list" | "model")) || answer.get("error").is_some();
    let known = call.asked.path.trim_end_matches('/').ends_with("/v1/models");
    let fits = match call.json(Role::Response) {
        Some(answer) => listed(answer) || failed && known,
        // Nothing tells: of all who have this path, this dialect is the most common.
        None => known && (failed || call.unread(Role::Response).is_some()),
    };
    if !fits {
        return false;
    }
    let mut draft = Draft::new(inference);
    let one = call.asked.path.split_once("/models/").map(|(_, name)| name.trim_end_matches('/'));
    draft.model(one);
    if let Some(answer) = call.json(Role::Response) {
        draft.error(answer);
        if one.is_some()
            && let Some(id) = string(answer, "id")
        {
            draft.inference.response_model = Some(super::draft::short(id).into());
        }
    }
    if draft.inference.unread.is_none() {
        draft.inference.unread = call.unread(Role::Response).filter(|unread| *unread != Unread::NotKept);
    }
    draft.close(call, Pace::default());
    true
}
