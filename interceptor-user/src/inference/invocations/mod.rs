//! `/invocations` of MLflow (<https://mlflow.org/docs/latest/ml/deployment/>) and SageMaker ("Common Data Formats for
//! Inference"): JSON in several forms, lines of JSON, CSV. SageMaker's endpoints of several models have
//! `/models/NAME/invoke`. LitServe's `/predict`, which fits no other dialect, is read here too where its content is JSON
//! with `input` or `output`, as its documentation has it.

mod table;
#[cfg(test)]
mod tests;

use super::{
    body,
    call::{Asked, Call, media_type},
    columns, rows,
    tree::{Array, Room, Tree},
};
use crate::model::{Inference, Operation, Part, Role, Tensor, Unread, percent_decoded};

enum Ask<'a> {
    Invoke(Option<&'a str>),
    Ping,
    Predict,
}

impl<'a> Ask<'a> {
    fn of(asked: &Asked<'a>) -> Option<Self> {
        match (asked.method, asked.path) {
            ("POST", "/invocations" | "/invocations/") => Some(Self::Invoke(None)),
            ("POST", "/predict") if asked.media_type() == "application/json" => Some(Self::Predict),
            ("GET", "/ping") => Some(Self::Ping),
            ("POST", path) => {
                let model = path.strip_prefix("/models/")?.strip_suffix("/invoke")?;
                (!model.is_empty() && !model.contains('/')).then_some(Self::Invoke(Some(model)))
            }
            _ => None,
        }
    }
}

pub(super) fn recognise(asked: &Asked<'_>) -> Option<Operation> {
    Ask::of(asked).map(|ask| match ask {
        Ask::Invoke(_) | Ask::Predict => Operation::Infer,
        Ask::Ping => Operation::Metadata,
    })
}

pub(super) fn read(call: &Call<'_>, inference: &mut Inference) -> bool {
    let room = Room::new();
    let found = match Ask::of(&call.asked) {
        // An empty answer is all that SageMaker asks for; MLflow's is a line end.
        Some(Ask::Ping) => {
            let well = |part: &&Part| part.head.status() == Some(200) && part.body_size <= 1;
            call.exchange.response.as_ref().is_some_and(|part| well(&part))
        }
        Some(Ask::Predict) => predict(call, inference, &room),
        Some(Ask::Invoke(model)) => {
            inference.model = model.map(|model| percent_decoded(model.as_bytes()));
            request(call, inference, &room);
            response(call, inference, &room);
            true
        }
        None => false,
    };
    body::close(inference, &room);
    found
}

fn request(call: &Call<'_>, inference: &mut Inference, room: &Room) {
    let Some(part) = &call.exchange.request else { return };
    if let Some(inputs) = lines_or_table(call, part, Role::Request, inference, room) {
        inference.inputs = inputs;
    } else if may_be_json(part)
        && let Some(tree) = body::json(call, Role::Request, inference, room)
    {
        (inference.inputs, inference.parameters) = json(tree, room);
    }
    inference.batch = columns::batch(&inference.inputs);
}

fn response(call: &Call<'_>, inference: &mut Inference, room: &Room) {
    let Some(part) = &call.exchange.response else { return };
    if let Some(outputs) = lines_or_table(call, part, Role::Response, inference, room) {
        inference.outputs = outputs;
    } else if may_be_json(part)
        && let Some(tree) = body::json(call, Role::Response, inference, room)
    {
        inference.error = body::error(&tree, body::refused(call));
        if inference.error.is_none() {
            inference.outputs = rows::outputs(tree, &["predictions", "outputs"], room);
        }
    }
}

/// The type says so, or says nothing and the content looks like it.
fn may_be_json(part: &Part) -> bool {
    match media_type(&part.head) {
        "application/json" | "application/json-numpy-split" => true,
        "" | "text/plain" | "application/octet-stream" | "text/html" => {
            part.body.trim_ascii().first().is_some_and(|byte| matches!(byte, b'{' | b'['))
        }
        _ => false,
    }
}

fn lines_or_table(
    call: &Call<'_>,
    part: &Part,
    role: Role,
    inference: &mut Inference,
    room: &Room,
) -> Option<Vec<Tensor>> {
    match media_type(&part.head) {
        "application/jsonlines" | "application/x-jsonlines" | "application/x-ndjson" | "application/jsonl" => {
            body::note(inference, call.unread(role));
            Some(lines(part, inference, room))
        }
        "text/csv" => {
            body::note(inference, call.unread(role));
            let header = part.head.fields.get("content-type").and_then(table::header_said);
            // Of a beginning the last row may be half of one.
            let whole = if part.body_cut() {
                part.body.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1)
            } else {
                part.body.len()
            };
            let (columns, well) = table::read(part.body.get(..whole).unwrap_or_default(), header, room);
            if !well {
                body::note(inference, Some(Unread::Malformed));
            }
            Some(columns)
        }
        _ => None,
    }
}

/// A row a line.
fn lines(part: &Part, inference: &mut Inference, room: &Room) -> Vec<Tensor> {
    let mut rows = Array::new();
    let mut add = |line: &[u8]| {
        let line = line.trim_ascii();
        if line.is_empty() {
            return;
        }
        match Tree::parse(line, room) {
            Some(tree) => rows.push(tree, room),
            None => body::note(inference, Some(Unread::Malformed)),
        }
    };
    if part.pieces.is_some() {
        part.messages().for_each(|(_, line)| add(line));
    } else {
        part.body.split(|byte| *byte == b'\n').for_each(add);
    }
    columns::of(Tree::Array(rows), room)
}

/// MLflow's `dataframe_split`, `dataframe_records`, `instances` and `inputs` with `params` beside them; the bare forms of
/// both: columns and data, rows, an object of columns.
fn json(mut tree: Tree, room: &Room) -> (Vec<Tensor>, Vec<(String, serde_json::Value)>) {
    let parameters = match tree.take("params") {
        Some(Tree::Object(parameters)) => rows::parameters(parameters),
        Some(other) => vec![("params".to_owned(), other.into())],
        None => Vec::new(),
    };
    if let Some(split) = tree.take("dataframe_split") {
        return (self::split(split, room), parameters);
    }
    if tree.get("columns").is_some() && tree.get("data").is_some() {
        return (self::split(tree, room), parameters);
    }
    let (inputs, more) = rows::inputs(tree, &["dataframe_records", "instances", "inputs"], room);
    (inputs, parameters.into_iter().chain(rows::parameters(more)).collect())
}

/// Pandas' `split`: names of columns, and rows without them.
fn split(mut tree: Tree, room: &Room) -> Vec<Tensor> {
    let names: Vec<String> = tree.take("columns").map(Tree::into_rows).unwrap_or_default().iter().map(label).collect();
    let Some(Tree::Array(data)) = tree.take("data") else { return Vec::new() };
    let cut = data.cut;
    let mut columns = columns::Columns::new(room);
    for row in data.into_rows() {
        // Those without a name, of which there should be none, are left out.
        columns.row(names.iter().cloned().zip(row.into_rows()).collect());
    }
    columns.end(cut)
}

fn label(tree: &Tree) -> String {
    tree.name().unwrap_or_else(|| serde_json::Value::from(tree.clone()).to_string())
}

fn predict(call: &Call<'_>, inference: &mut Inference, room: &Room) -> bool {
    let mut found = false;
    if let Some(tree) = body::json(call, Role::Request, inference, room) {
        found = tree.get("input").is_some();
        let (inputs, more) = rows::inputs(tree, &["input"], room);
        (inference.inputs, inference.parameters) = (inputs, rows::parameters(more));
        if found {
            name(&mut inference.inputs, "input");
        }
        inference.batch = columns::batch(&inference.inputs);
    }
    let answer = call.exchange.response.as_ref().filter(|part| may_be_json(part));
    if answer.is_some()
        && let Some(tree) = body::json(call, Role::Response, inference, room)
    {
        found |= tree.get("output").is_some();
        inference.error = body::error(&tree, body::refused(call));
        if inference.error.is_none() {
            let named = tree.get("output").is_some();
            inference.outputs = rows::outputs(tree, &["output"], room);
            if named {
                name(&mut inference.outputs, "output");
            }
        }
    }
    found
}

/// What its member holds bare, without names, has the member's.
fn name(tensors: &mut [Tensor], name: &'static str) {
    for tensor in tensors.iter_mut().filter(|tensor| tensor.name.is_empty()) {
        tensor.name = name.into();
    }
}
