//! `tensorflow.serving`, by the field numbers of `proto/tensorflow/serving.proto`.

use super::proto;
use crate::{
    inference::{
        body,
        call::Call,
        columns::{self, Columns, TENSORS},
        message::{self, Message, Scalar},
        timing::Pace,
        tree::{Array, Room, Tree},
    },
    model::{Inference, Operation, Role, Tensor, Unread, Values},
};

pub(super) fn operation(path: &str) -> Option<Operation> {
    match path.strip_prefix("/tensorflow.serving.")? {
        "PredictionService/Predict"
        | "PredictionService/Regress"
        | "PredictionService/MultiInference"
        | "PredictionService/PredictStreamed" => Some(Operation::Infer),
        "PredictionService/Classify" => Some(Operation::Classify),
        "PredictionService/GetModelMetadata" | "ModelService/GetModelStatus" => Some(Operation::Metadata),
        "ModelService/HandleReloadConfigRequest" => Some(Operation::Manage),
        _ => None,
    }
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) {
    let room = Room::new();
    inference.error = message::error(call);
    let method = call.asked.path.rsplit('/').next().unwrap_or_default();
    inference.streamed = method == "PredictStreamed";
    for role in [Role::Request, Role::Response] {
        body::note(inference, message::unread(call, role));
        for message in message::messages(call, role) {
            body::note(inference, message.unread);
            match role {
                Role::Request => request(method, &message, inference, &room),
                Role::Response => response(method, &message, inference, &room),
            }
        }
    }
    inference.batch = inference.batch.or_else(|| columns::batch(&inference.inputs));
    if inference.streamed {
        Pace::of_answers(call, inference);
    }
    body::close(inference, &room);
}

fn request(method: &str, message: &Message<'_>, inference: &mut Inference, room: &Room) {
    let spec = match method {
        // A list of tasks, each with its model; the first is told.
        "MultiInference" => message.all(1).next().and_then(|task| Message::parse(task).message(1)),
        // It has the configuration of all models there.
        "HandleReloadConfigRequest" => None,
        _ => message.message(1),
    };
    if let Some(spec) = spec {
        inference.model = inference.model.take().or_else(|| spec.text(1));
        inference.version = inference.version.take().or_else(|| version(&spec));
        if let Some(signature) = spec.text(3) {
            inference.parameters.push(("signature_name".to_owned(), signature.into()));
        }
    }
    match method {
        "Predict" | "PredictStreamed" => {
            let inputs = tensors(message, 2, inference, room);
            inference.inputs.extend(inputs);
            let filter: Vec<_> = message.all(3).take(TENSORS).map(String::from_utf8_lossy).collect();
            if !filter.is_empty() {
                inference.parameters.push(("output_filter".to_owned(), filter.into()));
            }
        }
        "Classify" | "Regress" | "MultiInference" => {
            if let Some(input) = message.message(2) {
                let (rows, context) = examples(&input, room);
                inference.batch = columns::batch(&rows);
                inference.inputs = rows;
                inference.inputs.extend(context);
            }
        }
        _ => {}
    }
}

fn response(method: &str, message: &Message<'_>, inference: &mut Inference, room: &Room) {
    if let Some(spec) = message.message(if method == "GetModelMetadata" { 1 } else { 2 }) {
        inference.response_model = spec.text(1);
        inference.version = inference.version.take().or_else(|| version(&spec));
    }
    match method {
        "Predict" | "PredictStreamed" => {
            let outputs = tensors(message, 1, inference, room);
            inference.outputs.extend(outputs);
        }
        "Classify" => {
            let (mut labels, mut scores) = (Array::new(), Array::new());
            for row in message.message(1).iter().flat_map(|result| result.all(1)) {
                let (mut names, mut numbers) = (Array::new(), Array::new());
                for class in Message::parse(row).all(1) {
                    let class = Message::parse(class);
                    names.push(class.text(1).map_or(Tree::Null, Tree::String), room);
                    numbers.push(number(&class, 2, room), room);
                }
                labels.push(Tree::Array(names), room);
                scores.push(Tree::Array(numbers), room);
            }
            let columns = [("classes", labels), ("scores", scores)];
            inference.outputs.extend(columns.map(|(name, array)| columns::tensor(name.to_owned(), Tree::Array(array))));
        }
        "Regress" => {
            let mut values = Array::new();
            for row in message.message(1).iter().flat_map(|result| result.all(1)) {
                values.push(number(&Message::parse(row), 1, room), room);
            }
            inference.outputs.push(columns::tensor("value".to_owned(), Tree::Array(values)));
        }
        _ => {}
    }
}

/// A float, which is zero where it is not sent.
fn number(message: &Message<'_>, field: u32, room: &Room) -> Tree {
    let value = message.numbers(field, Scalar::Float, room).0.last().copied().unwrap_or(0.0);
    serde_json::Number::from_f64(value).map_or(Tree::Null, Tree::Number)
}

/// A number, or a label.
fn version(spec: &Message<'_>) -> Option<String> {
    let number = spec.message(2).map(|version| version.integer(1).unwrap_or(0).cast_signed().to_string());
    number.or_else(|| spec.text(4))
}

/// A map of names to tensors.
fn tensors(message: &Message<'_>, field: u32, inference: &mut Inference, room: &Room) -> Vec<Tensor> {
    let mut tensors = Vec::new();
    for (name, entry) in message.map(field) {
        if inference.inputs.len() + inference.outputs.len() + tensors.len() >= 2 * TENSORS {
            room.overflow();
            break;
        }
        let Some(value) = entry.message(2) else { continue };
        let (tensor, fits) = proto::tensor(name, &value, room);
        if !fits && message.unread.is_none() {
            body::note(inference, Some(Unread::Malformed));
        }
        tensors.push(tensor);
    }
    tensors
}

/// `Input`: rows of features, as columns; and what is said of all rows at once.
fn examples(input: &Message<'_>, room: &Room) -> (Vec<Tensor>, Vec<Tensor>) {
    let listed = |list: Option<Message<'_>>| {
        let mut columns = Columns::new(room);
        for bytes in list.iter().flat_map(|list| list.all(1)) {
            columns.row(row(&Message::parse(bytes), room));
        }
        columns.end(false)
    };
    let Some(with_context) = input.message(2) else { return (listed(input.message(1)), Vec::new()) };
    let context = with_context.message(2).map(|context| columns::named(row(&context, room), room));
    (listed(Some(with_context)), context.unwrap_or_default())
}

fn row(example: &Message<'_>, room: &Room) -> Vec<(String, Tree)> {
    proto::example(example, room).into_iter().map(|(name, values)| (name, feature(values, room))).collect()
}

/// A feature of one value is that value.
fn feature(values: Values, room: &Room) -> Tree {
    let mut array = Array::new();
    match values {
        Values::Unread => {}
        Values::Numbers(numbers) => {
            for value in numbers {
                array.push(serde_json::Number::from_f64(value).map_or(Tree::Null, Tree::Number), room);
            }
        }
        Values::Strings(strings) => {
            for text in strings {
                array.push(text.map_or(Tree::Null, Tree::String), room);
            }
        }
    }
    if array.len() != 1 {
        return Tree::Array(array);
    }
    array.into_rows().into_iter().next().unwrap_or(Tree::Null)
}
