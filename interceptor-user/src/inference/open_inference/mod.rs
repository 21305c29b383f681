//! Open Inference Protocol, version 2 (<https://github.com/kserve/open-inference-protocol>), over REST and gRPC, with
//! Triton's extensions: binary tensors, `generate`, statistics, the model repository.

mod generate;
mod grpc;
mod rest;
#[cfg(test)]
mod tests;

use super::{
    call::{Asked, Call},
    columns::TENSORS,
    tree::{ELEMENTS, Room},
};
use crate::model::{Inference, Operation, Tensor, Values, percent_decoded};

const SERVICE: &str = "/inference.GRPCInferenceService/";

/// What a path of REST asks.
struct Path {
    operation: Operation,
    model: Option<String>,
    version: Option<String>,
    ask: Ask,
}

/// What tells how contents are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Infer,
    Generate,
    /// `/v2` itself, which other APIs have too (a registry of images): the response tells.
    Server,
    Other,
}

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    match asked.path.strip_prefix(SERVICE) {
        Some(method) => grpc::operation(method),
        None => Path::of(asked).map(|path| path.operation),
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    if let Some(method) = call.asked.path.strip_prefix(SERVICE) {
        grpc::read(method, call, inference);
        return true;
    }
    let Some(path) = Path::of(&call.asked) else { return false };
    inference.model = path.model;
    inference.version = path.version;
    match path.ask {
        Ask::Generate => generate::read(call, inference),
        ask => return rest::read(call, ask, inference),
    }
    true
}

impl Path {
    fn of(asked: &Asked<'_>) -> Option<Self> {
        // A gateway may put its own path before a model's (`/seldon/NAMESPACE/NAME/v2/models/…`).
        let start = asked.path.find("/v2/models/").unwrap_or(0);
        let path = asked.path.get(start..)?.strip_prefix("/v2")?;
        if !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        let words: Vec<&str> = path.split('/').filter(|word| !word.is_empty()).take(8).collect();
        let post = asked.method == "POST";
        match words.as_slice() {
            [] if !post => Some(Self::plain(Operation::Metadata, Ask::Server)),
            ["health", "live" | "ready"]
            | ["repository", "index"]
            | ["systemsharedmemory" | "cudasharedmemory", .., "status"] => {
                Some(Self::plain(Operation::Metadata, Ask::Other))
            }
            ["models", "stats"] => Some(Self::plain(Operation::Statistics, Ask::Other)),
            ["models", model, rest @ ..] => Self::model(model, rest, post),
            ["repository", "models", model, "load" | "unload"] if post => {
                Some(Self { model: Some(name(model)), ..Self::plain(Operation::Manage, Ask::Other) })
            }
            ["systemsharedmemory" | "cudasharedmemory", .., "register" | "unregister"] if post => {
                Some(Self::plain(Operation::Manage, Ask::Other))
            }
            ["logging"] | ["trace", "setting"] => Some(Self::plain(setting(post), Ask::Other)),
            _ => None,
        }
    }

    const fn plain(operation: Operation, ask: Ask) -> Self {
        Self { operation, model: None, version: None, ask }
    }

    fn model(model: &str, rest: &[&str], post: bool) -> Option<Self> {
        let (version, action) = match rest {
            ["versions", version, action @ ..] => (Some(name(version)), action),
            action => (None, action),
        };
        let (operation, ask) = match action {
            ["infer" | "infer_stream"] if post => (Operation::Infer, Ask::Infer),
            ["explain"] if post => (Operation::Explain, Ask::Infer),
            ["generate" | "generate_stream"] if post => (Operation::TextCompletion, Ask::Generate),
            [] | ["ready" | "config"] if !post => (Operation::Metadata, Ask::Other),
            ["stats"] if !post => (Operation::Statistics, Ask::Other),
            ["trace", "setting"] => (setting(post), Ask::Other),
            _ => return None,
        };
        Some(Self { operation, model: Some(name(model)), version, ask })
    }
}

const fn setting(post: bool) -> Operation {
    if post { Operation::Manage } else { Operation::Metadata }
}

fn name(segment: &str) -> String {
    percent_decoded(segment.as_bytes())
}

/// Are its elements as many as its shape says, where that says a number?
fn fits(tensor: &Tensor) -> bool {
    tensor.elements().is_none_or(|elements| elements == tensor.values.len())
}

/// Tensors of one more message of a stream: those of a name, type and row are one, along the first dimension.
fn append(tensors: &mut Vec<Tensor>, more: Vec<Tensor>, room: &Room) {
    if tensors.is_empty() {
        *tensors = more;
        return;
    }
    for tensor in more {
        let alike = |known: &Tensor| {
            known.name == tensor.name
                && known.datatype == tensor.datatype
                && matches!((&known.shape[..], &tensor.shape[..]), ([_, known @ ..], [_, more @ ..]) if known == more)
        };
        let at = tensors.iter().position(alike);
        if let Some(known) = at.and_then(|at| tensors.get_mut(at)) {
            extend(known, tensor, room);
        } else if tensors.len() < TENSORS {
            tensors.push(tensor);
        } else {
            room.overflow();
        }
    }
}

fn extend(known: &mut Tensor, more: Tensor, room: &Room) {
    if let (Some(rows), Some(more)) = (known.shape.first_mut(), more.shape.first()) {
        *rows = rows.saturating_add(*more);
    }
    let free = ELEMENTS.saturating_sub(known.values.len());
    let cut = known.cut || more.cut || more.values.len() > free;
    if more.values.len() > free {
        room.overflow();
    }
    match (&mut known.values, more.values) {
        _ if known.cut => {}
        (Values::Numbers(known), Values::Numbers(more)) => known.extend(more.into_iter().take(free)),
        (Values::Strings(known), Values::Strings(more)) => known.extend(more.into_iter().take(free)),
        (_, Values::Unread) => {}
        _ => known.cut = true,
    }
    known.cut |= cut;
}
