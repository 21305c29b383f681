//! Triton's generate extension: a prompt, its parameters, and a text, at once or in server-sent events.

use crate::{
    inference::{
        body,
        call::Call,
        timing::Pace,
        tree::{Room, Tree},
    },
    model::{Inference, Role, Text, Unread},
};

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) {
    let room = Room::new();
    inference.streamed = call.asked.path.ends_with("/generate_stream");
    if let Some(Tree::Object(members)) = body::json(call, Role::Request, inference, &room) {
        request(members, inference);
    }
    let mut answer = String::new();
    if let Some(events) = call.streamed() {
        inference.streamed = true;
        body::note(inference, call.unread(Role::Response));
        let mut pace = Pace::default();
        for message in events {
            let before = answer.len();
            match Tree::parse(message.data.as_bytes(), &room) {
                Some(tree) => response(&tree, false, &mut answer, inference),
                None => body::note(inference, Some(Unread::Malformed)),
            }
            pace.message(&message, answer.len() > before);
        }
        pace.finish(call, inference);
    } else if let Some(tree) = body::json(call, Role::Response, inference, &room) {
        response(&tree, body::refused(call), &mut answer, inference);
    }
    if !answer.is_empty() {
        inference.texts.push(text(Role::Response, "$['text_output']", answer));
    }
    body::close(inference, &room);
}

fn request(members: Vec<(String, Tree)>, inference: &mut Inference) {
    for (name, value) in members {
        match (name.as_str(), value) {
            ("text_input", Tree::String(prompt)) => {
                inference.texts.push(text(Role::Request, "$['text_input']", prompt));
                inference.batch = Some(1);
            }
            ("id", value) => inference.id = value.name(),
            ("parameters", Tree::Object(parameters)) => {
                inference.parameters.extend(parameters.into_iter().map(|(name, value)| (name, value.into())));
            }
            (_, value) => inference.parameters.push((name, value.into())),
        }
    }
}

fn response(tree: &Tree, refused: bool, answer: &mut String, inference: &mut Inference) {
    inference.error = inference.error.take().or_else(|| body::error(tree, refused));
    if let Some(model) = tree.get("model_name").and_then(Tree::name) {
        inference.response_model = Some(model);
    }
    let told = |name| tree.get(name).and_then(Tree::name);
    inference.version = inference.version.take().or_else(|| told("model_version"));
    inference.id = inference.id.take().or_else(|| told("id"));
    if let Some(piece) = tree.get("text_output").and_then(Tree::text) {
        answer.push_str(piece);
    }
}

fn text(role: Role, path: &str, text: String) -> Text {
    Text { role, speaker: "".into(), path: path.to_owned(), text }
}
