//! TensorFlow Serving (<https://www.tensorflow.org/tfx/serving/api_rest>, `apis/*.proto`), over REST and gRPC.
//!
//! `/v1/models/NAME:predict` is KServe's path too, and rows under `instances` are what both take. It is taken for
//! TensorFlow Serving's where something says so that KServe does not send: a version or a label in the path, `classify`
//! or `regress`, columns under `inputs`, a `signature_name`; in the answer `outputs`, or the layout in which TensorFlow
//! Serving, and nobody else, writes JSON: four blanks before each member.

mod grpc;
mod proto;
#[cfg(test)]
mod tests;

use super::{
    body,
    call::{Asked, Call},
    columns, rows,
    tree::Room,
};
use crate::model::{Inference, Operation, Role, percent_decoded};

struct Path<'a> {
    model: &'a str,
    version: Option<&'a str>,
    verb: Option<&'a str>,
    metadata: bool,
}

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    grpc::operation(asked.path).or_else(|| Path::of(asked.path)?.operation(asked.method))
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    if grpc::operation(call.asked.path).is_some() {
        grpc::read(call, inference);
        return true;
    }
    let Some(path) = Path::of(call.asked.path) else { return false };
    inference.model = Some(percent_decoded(path.model.as_bytes()));
    inference.version = path.version.map(|version| percent_decoded(version.as_bytes()));
    let room = Room::new();
    if path.verb.is_none() {
        return metadata(call, &path, inference, &room);
    }
    let mut ours = path.version.is_some() || path.verb != Some("predict");
    if let Some(request) = body::json(call, Role::Request, inference, &room) {
        ours |= ["inputs", "signature_name"].iter().any(|name| request.get(name).is_some());
        let (inputs, more) = rows::inputs(request, &["instances", "inputs", "examples"], &room);
        (inference.inputs, inference.parameters) = (inputs, rows::parameters(more));
        inference.batch = columns::batch(&inference.inputs);
    }
    ours |= call.exchange.response.as_ref().is_some_and(|part| part.body.starts_with(b"{\n    \""));
    if let Some(answer) = body::json(call, Role::Response, inference, &room) {
        ours |= answer.get("outputs").is_some();
        inference.error = body::error(&answer, body::refused(call));
        if inference.error.is_none() {
            inference.outputs = rows::outputs(answer, &["predictions", "outputs", "results", "result"], &room);
        }
    }
    body::close(inference, &room);
    ours
}

/// Others tell models at `/v1/models/NAME` too: the answer shows whose it is.
fn metadata(call: &Call<'_>, path: &Path<'_>, inference: &mut Inference, room: &Room) -> bool {
    let answer = body::json(call, Role::Response, inference, room);
    if let Some(answer) = &answer {
        inference.error = body::error(answer, body::refused(call));
    }
    let shown = answer
        .is_some_and(|answer| ["model_version_status", "model_spec"].iter().any(|name| answer.get(name).is_some()));
    let told = || {
        let message = inference.error.as_ref().map_or("", |error| &error.message);
        message.starts_with("Could not find any versions of model") || message.starts_with("Servable not found")
    };
    shown || path.metadata || path.version.is_some() || told()
}

impl<'a> Path<'a> {
    /// `/v1/models/NAME[/versions/VERSION|/labels/LABEL][:VERB|/metadata]`.
    fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix("/v1/models/")?;
        let (rest, metadata) = rest.strip_suffix("/metadata").map_or((rest, false), |rest| (rest, true));
        let (rest, verb) = match rest.rsplit_once(':') {
            Some((rest, verb)) if !metadata && !verb.contains('/') => (rest, Some(verb)),
            _ => (rest, None),
        };
        let mut words = rest.split('/');
        let model = words.next().filter(|model| !model.is_empty())?;
        let version = match (words.next(), words.next(), words.next()) {
            (None, ..) => None,
            (Some("versions" | "labels"), version @ Some(_), None) => version,
            _ => return None,
        };
        Some(Self { model, version, verb, metadata })
    }

    fn operation(&self, method: &str) -> Option<Operation> {
        match (method, self.verb) {
            ("POST", Some("predict" | "regress")) => Some(Operation::Infer),
            ("POST", Some("classify")) => Some(Operation::Classify),
            ("GET", None) => Some(Operation::Metadata),
            _ => None,
        }
    }
}
