//! KServe's version 1 (<https://kserve.github.io/website/latest/modelserving/data_plane/v1_protocol/>). It has its path from
//! TensorFlow Serving, which is tried before it: what that alone sends is not KServe's.

use super::{
    body,
    call::{Asked, Call},
    columns, rows,
    tree::{Room, Tree},
};
use crate::model::{Inference, Operation, Role, percent_decoded};

const MODELS: &str = "/v1/models";

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    let path = asked.path.strip_prefix(MODELS)?;
    if asked.method == "GET" {
        // The list, or one of them.
        let model = path.strip_prefix('/').unwrap_or(path);
        return (path.is_empty() || !model.contains('/')).then_some(Operation::Metadata);
    }
    let (model, verb) = path.strip_prefix('/')?.rsplit_once(':')?;
    match verb {
        _ if asked.method != "POST" || model.is_empty() || model.contains('/') => None,
        "predict" => Some(Operation::Infer),
        "explain" => Some(Operation::Explain),
        _ => None,
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let room = Room::new();
    let path = call.asked.path.strip_prefix(MODELS).unwrap_or_default();
    let model = path.trim_start_matches('/');
    let model =
        if inference.operation.is_work() { model.rsplit_once(':').map_or(model, |(model, _)| model) } else { model };
    inference.model = Some(percent_decoded(model.as_bytes())).filter(|model| !model.is_empty());
    if inference.operation == Operation::Metadata {
        return metadata(call, inference, &room);
    }
    if let Some(request) = body::json(call, Role::Request, inference, &room) {
        let (inputs, more) = rows::inputs(request, &["instances", "inputs"], &room);
        (inference.inputs, inference.parameters) = (inputs, rows::parameters(more));
        inference.batch = columns::batch(&inference.inputs);
    }
    if let Some(answer) = body::json(call, Role::Response, inference, &room) {
        inference.error = body::error(&answer, body::refused(call));
        if inference.error.is_none() {
            inference.outputs = rows::outputs(answer, &["predictions", "explanations"], &room);
        }
    }
    body::close(inference, &room);
    true
}

/// Others (OpenAI's API, TensorFlow Serving) tell models at these paths too: `{"models": ["NAME"]}` and `{"name": "NAME",
/// "ready": true}` are KServe's.
fn metadata(call: &Call<'_>, inference: &mut Inference, room: &Room) -> bool {
    let Some(answer) = body::json(call, Role::Response, inference, room) else { return false };
    let name = answer.get("name").and_then(Tree::name);
    inference.error = body::error(&answer, body::refused(call));
    let unknown = inference.error.as_ref().is_some_and(|error| error.message.ends_with("does not exist."));
    let listed = match answer.get("models") {
        Some(Tree::Array(models)) => columns::is_texts(models),
        _ => false,
    };
    let found = match inference.model {
        None => listed,
        Some(_) => (name.is_some() && answer.get("ready").is_some()) || unknown,
    };
    inference.response_model = name;
    found
}
