//! `org.pytorch.serve.grpc`, by the field numbers of `proto/torchserve`.

use crate::{
    inference::{
        body,
        call::Call,
        columns::{self, TENSORS},
        message::{self, Message},
        timing::Pace,
        tree::{Room, Tree},
    },
    model::{Inference, ModelError, Operation, Role, Tensor, status_name},
};

pub(super) fn operation(path: &str) -> Option<Operation> {
    match path.strip_prefix("/org.pytorch.serve.grpc.")? {
        "inference.InferenceAPIsService/Predictions"
        | "inference.InferenceAPIsService/StreamPredictions"
        | "inference.InferenceAPIsService/StreamPredictions2" => Some(Operation::Infer),
        "inference.InferenceAPIsService/Ping"
        | "management.ManagementAPIsService/DescribeModel"
        | "management.ManagementAPIsService/ListModels" => Some(Operation::Metadata),
        "management.ManagementAPIsService/RegisterModel"
        | "management.ManagementAPIsService/ScaleWorker"
        | "management.ManagementAPIsService/SetDefault"
        | "management.ManagementAPIsService/UnregisterModel" => Some(Operation::Manage),
        _ => None,
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) {
    let room = Room::new();
    inference.error = message::error(call);
    let method = call.asked.path.rsplit('/').next().unwrap_or_default();
    inference.streamed = method.starts_with("Stream");
    let work = inference.operation.is_work();
    for role in [Role::Request, Role::Response] {
        body::note(inference, message::unread(call, role));
        for message in message::messages(call, role) {
            body::note(inference, message.unread);
            match role {
                Role::Request if work => request(&message, inference, &room),
                Role::Request => named(method, &message, inference),
                Role::Response if work => response(&message, inference, &room),
                Role::Response => {}
            }
        }
    }
    if inference.streamed {
        Pace::of_answers(call, inference);
    }
    body::close(inference, &room);
}

fn named(method: &str, message: &Message<'_>, inference: &mut Inference) {
    match method {
        "DescribeModel" | "ScaleWorker" | "SetDefault" | "UnregisterModel" => {
            (inference.model, inference.version) = (message.text(1), message.text(2));
        }
        "RegisterModel" => inference.model = message.text(5),
        _ => {}
    }
}

/// What each input holds is the handler's affair: JSON, a text, a picture.
fn request(message: &Message<'_>, inference: &mut Inference, room: &Room) {
    inference.model = inference.model.take().or_else(|| message.text(1));
    inference.version = inference.version.take().or_else(|| message.text(2));
    for (name, entry) in message.map(3) {
        if inference.inputs.len() >= TENSORS {
            room.overflow();
            return;
        }
        inference.inputs.push(value(name, entry.last(2).unwrap_or_default(), room));
    }
}

fn response(message: &Message<'_>, inference: &mut Inference, room: &Room) {
    if let Some(status) = message.message(3)
        && let Some(code) = status.integer(1).and_then(|code| u32::try_from(code).ok()).filter(|code| *code != 0)
    {
        let kind = status_name(code).map_or_else(|| code.to_string(), str::to_owned);
        let error = ModelError { kind: Some(kind), message: status.text(2).unwrap_or_default() };
        inference.error = inference.error.take().or(Some(error));
    }
    let Some(prediction) = message.last(1).filter(|prediction| !prediction.is_empty()) else { return };
    if inference.outputs.len() >= TENSORS {
        return room.overflow();
    }
    let Some(tree) = Tree::parse(prediction, room) else {
        return inference.outputs.push(value(String::new(), prediction, room));
    };
    let error = body::error(&tree, false);
    if error.is_none() {
        inference.outputs.extend(columns::of(tree, room).into_iter().take(TENSORS));
    }
    inference.error = inference.error.take().or(error);
}

fn value(name: String, bytes: &[u8], room: &Room) -> Tensor {
    if let Some(tree) = Tree::parse(bytes, room) {
        return columns::tensor(name, tree);
    }
    match str::from_utf8(bytes) {
        Ok(text) => columns::tensor(name, Tree::String(text.to_owned())),
        Err(_) => Tensor { name: name.into(), ..Tensor::default() },
    }
}
