//! TorchServe (<https://docs.pytorch.org/serve/rest_api.html>): predictions, explanations and the management API, over REST
//! and gRPC. What a handler takes is its own affair: of what is JSON, rows and columns are read. In its KServe mode its
//! paths are KServe's.

mod grpc;
#[cfg(test)]
mod tests;

use super::{
    body,
    call::{Asked, Call, media_type},
    columns, rows,
    timing::Pace,
    tree::{Room, Tree},
};
use crate::model::{Head, Inference, Operation, Role, percent_decoded};

enum Ask<'a> {
    /// `/predictions/NAME[/VERSION]`, `/explanations/NAME[/VERSION]`.
    Work(Operation, &'a str, Option<&'a str>),
    /// `/models…`, which other APIs have too: the answer shows whose it is.
    Models(Operation, Option<&'a str>, Option<&'a str>),
    /// `/ping`, likewise.
    Ping,
}

impl<'a> Ask<'a> {
    fn of(asked: &Asked<'a>) -> Option<Self> {
        let mut words = asked.path.split('/').skip(1);
        let (first, name, version, more) = (words.next()?, words.next(), words.next(), words.next());
        let name = name.filter(|name| !name.is_empty());
        let (read, write) = (asked.method == "GET", matches!(asked.method, "POST" | "PUT" | "DELETE"));
        match (first, name, version, more) {
            ("predictions", Some(name), version, None) if matches!(asked.method, "POST" | "PUT") => {
                Some(Self::Work(Operation::Infer, name, version))
            }
            ("explanations", Some(name), version, None) if asked.method == "POST" => {
                Some(Self::Work(Operation::Explain, name, version))
            }
            ("models", name, version, None) if read => Some(Self::Models(Operation::Metadata, name, version)),
            ("models", Some(name), version, None | Some("set-default")) if write && version != Some("invoke") => {
                Some(Self::Models(Operation::Manage, Some(name), version))
            }
            ("models", None, None, None) if asked.method == "POST" => {
                let registers = asked.query.is_some_and(|query| query.split('&').any(|pair| pair.starts_with("url=")));
                registers.then_some(Self::Models(Operation::Manage, None, None))
            }
            ("ping", None, None, None) if read => Some(Self::Ping),
            _ => None,
        }
    }
}

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    grpc::operation(asked.path).or_else(|| {
        Ask::of(asked).map(|ask| match ask {
            Ask::Work(operation, ..) | Ask::Models(operation, ..) => operation,
            Ask::Ping => Operation::Metadata,
        })
    })
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    if grpc::operation(call.asked.path).is_some() {
        grpc::read(call, inference);
        return true;
    }
    let room = Room::new();
    let found = match Ask::of(&call.asked) {
        Some(Ask::Work(_, model, version)) => {
            named(inference, Some(model), version);
            work(call, inference, &room);
            true
        }
        Some(Ask::Models(_, model, version)) => {
            named(inference, model, version);
            managed(call, inference, &room)
        }
        Some(Ask::Ping) => {
            let answer = body::json(call, Role::Response, inference, &room);
            answer.is_some_and(|answer| answer.get("status").and_then(Tree::text).is_some_and(is_health))
        }
        None => false,
    };
    body::close(inference, &room);
    found
}

fn named(inference: &mut Inference, model: Option<&str>, version: Option<&str>) {
    inference.model = model.map(|model| percent_decoded(model.as_bytes()));
    let version = version.filter(|version| !version.is_empty());
    inference.version = version.map(|version| percent_decoded(version.as_bytes()));
}

fn is_health(status: &str) -> bool {
    matches!(status, "Healthy" | "Unhealthy" | "Partial Healthy")
}

fn work(call: &Call<'_>, inference: &mut Inference, room: &Room) {
    let may_be_json = |head: &Head| matches!(media_type(head), "" | "application/json" | "text/plain");
    let holds_json = |role| {
        // A picture is sent as it is: that it is no JSON is no fault.
        let text = |byte: &u8| matches!(byte, b'[' | b'{' | b'"' | b'-' | b'0'..=b'9');
        call.exchange.part(role).is_some_and(|part| {
            media_type(&part.head) == "application/json"
                || (may_be_json(&part.head) && part.body.trim_ascii().first().is_some_and(text))
        })
    };
    if holds_json(Role::Request)
        && let Some(request) = body::json(call, Role::Request, inference, room)
    {
        let (inputs, more) = rows::inputs(request, &["instances", "inputs"], room);
        (inference.inputs, inference.parameters) = (inputs, rows::parameters(more));
        inference.batch = columns::batch(&inference.inputs);
    }
    if holds_json(Role::Response)
        && let Some(answer) = body::json(call, Role::Response, inference, room)
    {
        inference.error = body::error(&answer, body::refused(call));
        if inference.error.is_none() {
            inference.outputs = rows::outputs(answer, &["predictions"], room);
        }
    }
    let answer = call.exchange.response.as_ref();
    inference.streamed = answer.is_some_and(|part| part.pieces.is_some());
    if inference.streamed {
        Pace::of_answers(call, inference);
    }
}

/// What was asked of the management API, if the answer is one of its: of these paths it is the most particular.
fn managed(call: &Call<'_>, inference: &mut Inference, room: &Room) -> bool {
    let Some(answer) = body::json(call, Role::Response, inference, room) else { return false };
    inference.error = body::error(&answer, body::refused(call));
    let of_ours = |kind: &str| kind.ends_with("Exception");
    if inference.error.as_ref().and_then(|error| error.kind.as_deref()).is_some_and(of_ours) {
        return true;
    }
    if inference.operation == Operation::Manage {
        return matches!(&answer, Tree::Object(members) if members.len() == 1)
            && answer.get("status").and_then(Tree::text).is_some();
    }
    // One model is described as a list of its versions.
    let mut models = if inference.model.is_none() { answer.get("models").cloned() } else { Some(answer) };
    let first = models.take().map(Tree::into_rows).and_then(|models| models.into_iter().next());
    inference.response_model = first.as_ref().and_then(|model| model.get("modelName")?.name());
    if let Some(version) = first.as_ref().and_then(|model| model.get("modelVersion")?.name()) {
        inference.version = inference.version.take().or(Some(version));
    }
    inference.response_model.is_some()
}
