//! `inference.GRPCInferenceService`, by the field numbers of `proto/inference/service.proto`. A stream's messages are
//! requests of their own; inputs and outputs of one name are put together along their first dimension. Triton batches along that
//! dimension too, so the batch of a stream is the sum of its requests' first dimensions; unknown where not all of them are.

use serde_json::Value as Json;

use super::{append, fits};
use crate::{
    inference::{
        body,
        call::Call,
        columns, element,
        message::{self, Message, Scalar},
        timing::Pace,
        tree::Room,
    },
    model::{Datatype, Inference, ModelError, Operation, Role, Tensor, Unread, Values},
    protobuf::wire::Value,
};

pub(super) fn operation(method: &str) -> Option<Operation> {
    Some(match method {
        "ModelInfer" | "ModelStreamInfer" => Operation::Infer,
        "ModelStatistics" => Operation::Statistics,
        "ServerLive"
        | "ServerReady"
        | "ModelReady"
        | "ServerMetadata"
        | "ModelMetadata"
        | "ModelConfig"
        | "RepositoryIndex"
        | "SystemSharedMemoryStatus"
        | "CudaSharedMemoryStatus" => Operation::Metadata,
        "RepositoryModelLoad"
        | "RepositoryModelUnload"
        | "SystemSharedMemoryRegister"
        | "SystemSharedMemoryUnregister"
        | "CudaSharedMemoryRegister"
        | "CudaSharedMemoryUnregister"
        | "TraceSetting"
        | "LogSettings" => Operation::Manage,
        _ => return None,
    })
}

pub(super) fn read(method: &str, call: &Call<'_>, inference: &mut Inference) {
    inference.error = message::error(call);
    for role in [Role::Request, Role::Response] {
        body::note(inference, message::unread(call, role));
    }
    match method {
        "ModelInfer" | "ModelStreamInfer" => infer(method == "ModelStreamInfer", call, inference),
        "ModelReady" | "ModelMetadata" | "ModelConfig" | "ModelStatistics" => {
            if let Some(request) = message::messages(call, Role::Request).next() {
                inference.model = request.text(1);
                inference.version = request.text(2);
            }
        }
        "RepositoryModelLoad" | "RepositoryModelUnload" | "TraceSetting" => {
            inference.model = message::messages(call, Role::Request).next().and_then(|request| request.text(2));
        }
        _ => {}
    }
}

fn infer(stream: bool, call: &Call<'_>, inference: &mut Inference) {
    let room = Room::new();
    inference.streamed = stream;
    let mut batches = Vec::new();
    for (at, request) in message::messages(call, Role::Request).enumerate() {
        if at == 0 {
            inference.model = request.text(1);
            inference.version = request.text(2);
            inference.id = request.text(3);
            inference.parameters = request.map(4).map(|(name, entry)| (name, parameter(&entry))).collect();
        }
        let inputs = tensors(&request, 7, inference, &room);
        batches.push(columns::batch(&inputs));
        append(&mut inference.inputs, inputs, &room);
    }
    let pieces = call.exchange.request.as_ref().and_then(|part| part.pieces.as_ref());
    let whole = pieces.is_some_and(|pieces| !batches.is_empty() && pieces.count == batches.len() as u64);
    inference.batch = batches.into_iter().sum::<Option<u64>>().filter(|_| whole);
    for answer in message::messages(call, Role::Response) {
        if !stream {
            response(&answer, inference, &room);
            continue;
        }
        if let Some(message) = answer.text(1) {
            inference.error = inference.error.take().or(Some(ModelError { kind: None, message }));
        }
        body::note(inference, answer.unread);
        if let Some(answer) = answer.message(2) {
            response(&answer, inference, &room);
        }
    }
    if stream {
        Pace::of_answers(call, inference);
    }
    body::close(inference, &room);
}

fn response(answer: &Message<'_>, inference: &mut Inference, room: &Room) {
    inference.response_model = answer.text(1).or_else(|| inference.response_model.take());
    inference.version = inference.version.take().or_else(|| answer.text(2));
    inference.id = inference.id.take().or_else(|| answer.text(3));
    let outputs = tensors(answer, 6, inference, room);
    append(&mut inference.outputs, outputs, room);
}

/// Tensors of a message, whose elements may all lie in the field of this number.
fn tensors(message: &Message<'_>, raw: u32, inference: &mut Inference, room: &Room) -> Vec<Tensor> {
    body::note(inference, message.unread);
    let mut raw = message.all(raw);
    let mut tensors = Vec::new();
    for bytes in message.all(5) {
        if tensors.len() == columns::TENSORS {
            room.overflow();
            break;
        }
        let (tensor, fits) = tensor(&Message::parse(bytes), &mut raw, message.unread.is_some(), room);
        if !fits {
            body::note(inference, Some(Unread::Malformed));
        }
        tensors.push(tensor);
    }
    tensors
}

fn tensor<'a>(
    message: &Message<'_>,
    raw: &mut impl Iterator<Item = &'a [u8]>,
    cut: bool,
    room: &Room,
) -> (Tensor, bool) {
    let datatype = message.text(2).and_then(|name| Datatype::named(&name));
    let mut tensor = Tensor { name: message.text(1).unwrap_or_default().into(), datatype, ..Tensor::default() };
    // A shape is a list of numbers like any other, but no elements.
    tensor.shape = message.numbers(3, Scalar::Signed, &Room::new()).0.into_iter().map(|size| size as i64).collect();
    let shared = || message.map(4).any(|(name, _)| name == "shared_memory_region");
    let mut well = true;
    // MLServer sends contents that are empty, and the elements as bytes.
    let contents = message.last(5);
    if let Some(contents) = contents.filter(|contents| !contents.is_empty()) {
        (tensor.values, tensor.cut) = contents_of(&Message::parse(contents), datatype, room);
    } else if !shared()
        && let Some(bytes) = raw.next()
        && let Some(datatype) = datatype
    {
        let elements = element::read(datatype, bytes, room);
        well = elements.fits;
        (tensor.values, tensor.cut) = (elements.values, elements.cut);
    } else if contents.is_some() {
        (tensor.values, tensor.cut) = contents_of(&Message::parse(b""), datatype, room);
    }
    let read = !matches!(tensor.values, Values::Unread) && !tensor.cut;
    let short = read && !fits(&tensor);
    tensor.cut |= short && cut;
    (tensor, cut || (well && !short))
}

/// `InferTensorContents`: a field for each width of numbers.
fn contents_of(contents: &Message<'_>, datatype: Option<Datatype>, room: &Room) -> (Values, bool) {
    let scalars = [
        (1, Scalar::Unsigned),
        (2, Scalar::Signed),
        (3, Scalar::Signed),
        (4, Scalar::Unsigned),
        (5, Scalar::Unsigned),
        (6, Scalar::Float),
        (7, Scalar::Double),
    ];
    for (number, scalar) in scalars {
        let (numbers, cut) = contents.numbers(number, scalar, room);
        if !numbers.is_empty() || cut {
            return (Values::Numbers(numbers), cut);
        }
    }
    if datatype != Some(Datatype::Bytes) && contents.last(8).is_none() {
        return (Values::Numbers(Vec::new()), false);
    }
    let count = contents.all(8).count();
    let taken = element::take(count, room);
    let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
    (Values::Strings(contents.all(8).take(taken).map(text).collect()), taken < count)
}

/// The value in an entry of a map of `InferParameter`.
fn parameter(entry: &Message<'_>) -> Json {
    let Some(parameter) = entry.message(2) else { return Json::Null };
    if let Some(value) = parameter.integer(1) {
        return (value != 0).into();
    }
    if let Some(value) = parameter.integer(2) {
        return value.cast_signed().into();
    }
    if let Some(Value::Fixed64(bits)) = parameter.value(4) {
        return f64::from_bits(bits).into();
    }
    if let Some(value) = parameter.integer(5) {
        return value.into();
    }
    parameter.last(3).map_or(Json::Null, |text| String::from_utf8_lossy(text).into())
}
