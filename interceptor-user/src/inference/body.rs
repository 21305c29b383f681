//! Contents of the dialects that send one JSON text each way, and what went wrong by them.

use super::{
    call::Call,
    draft::message,
    tree::{Room, Tree},
};
use crate::model::{Inference, ModelError, Role, Unread};

/// This side's content, if it is JSON; why not all of it was read is noted.
pub(super) fn json(call: &Call<'_>, role: Role, inference: &mut Inference, room: &Room) -> Option<Tree> {
    let body = &call.exchange.part(role)?.body;
    note(inference, call.unread(role));
    if body.trim_ascii().is_empty() {
        return None;
    }
    // What is whole is read without a tree of every number; of a beginning there is less.
    let tree = Tree::parse(body, room).or_else(|| Tree::of(call.json(role)?, room));
    if tree.is_none() {
        note(inference, Some(Unread::Malformed));
    }
    tree
}

/// The first reason is told.
pub(super) fn note(inference: &mut Inference, unread: Option<Unread>) {
    inference.unread = inference.unread.or(unread);
}

/// At the end: was there more than is read?
pub(super) fn close(inference: &mut Inference, room: &Room) {
    let cut = inference.inputs.iter().chain(&inference.outputs).any(|tensor| tensor.cut);
    if room.is_over() || cut {
        note(inference, Some(Unread::TooMuch));
    }
}

/// Was the request refused, by the response's status?
pub(super) fn refused(call: &Call<'_>) -> bool {
    call.exchange.response.as_ref().and_then(|part| part.head.status()).is_some_and(|status| status >= 400)
}

/// The error that a response tells: `error` (a text, or an object with a message), `error_code` and `message` (MLflow),
/// `code`, `type` and `message` (TorchServe), and where the status says so too, `detail` (FastAPI).
pub(super) fn error(response: &Tree, refused: bool) -> Option<ModelError> {
    // Of validation errors (FastAPI's) what is said, and not what was sent, which is beside it.
    let said = |tree: &Tree| ["msg", "message"].iter().find_map(|name| tree.get(name)?.name()).unwrap_or_default();
    let text = |tree: &Tree| match tree {
        Tree::String(text) => message(text).to_owned(),
        Tree::Object(_) => message(&said(tree)).to_owned(),
        Tree::Array(_) => {
            let list = serde_json::Value::from(tree.clone());
            let first = list.get(0).and_then(|first| first.get("msg").or_else(|| first.get("message")));
            message(first.and_then(serde_json::Value::as_str).unwrap_or_default()).to_owned()
        }
        other => message(&serde_json::Value::from(other.clone()).to_string()).to_owned(),
    };
    let told = |tree: &Tree, kinds: &[&str]| ModelError {
        kind: kinds.iter().find_map(|kind| tree.get(kind)?.name()),
        message: tree.get("message").map(text).unwrap_or_default(),
    };
    match response.get("error") {
        // Some servers say of each answer that it is none.
        None | Some(Tree::Null | Tree::Bool(false)) => {}
        Some(Tree::String(text)) if text.is_empty() => {}
        Some(error @ Tree::Object(_)) => return Some(told(error, &["type", "code"])),
        Some(error) => {
            let kind = ["error_code", "code", "type"].iter().find_map(|kind| response.get(kind)?.name());
            return Some(ModelError { kind, message: text(error) });
        }
    }
    if response.get("message").is_some() && (refused || response.get("error_code").is_some()) {
        return Some(told(response, &["error_code", "type", "code"]));
    }
    let detail = response.get("detail").filter(|_| refused)?;
    Some(ModelError { kind: None, message: text(detail) })
}
