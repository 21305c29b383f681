//! JSON each way; with the binary tensor data extension, JSON and after it the elements of tensors as bytes, one tensor's
//! after the other's (Triton, "Binary Tensor Data Extension").

use super::Ask;
use crate::{
    inference::{
        body,
        call::{Call, Streamed},
        columns, element,
        tree::{Room, Tree},
    },
    model::{Datatype, Head, Inference, Role, Tensor, Unread, Values},
};

/// How many bytes of the content are JSON.
const HEADER_LENGTH: &str = "inference-header-content-length";

pub(super) fn read(call: &Call<'_>, ask: Ask, inference: &mut Inference) -> bool {
    let room = Room::new();
    if ask == Ask::Infer {
        request(call, inference, &room);
        inference.batch = columns::batch(&inference.inputs);
    }
    if let Some(events) = call.streamed() {
        inference.streamed = true;
        body::note(inference, call.unread(Role::Response));
        for Streamed { data, .. } in events {
            match Tree::parse(data.as_bytes(), &room) {
                Some(answer) => response(answer, &mut Raw::none(), false, inference, &room),
                None => body::note(inference, Some(Unread::Malformed)),
            }
        }
    } else {
        let (answer, mut raw) = side(call, Role::Response, inference, &room);
        // A registry of images answers at `/v2` too.
        let of_server = |answer: &Tree| answer.get("name").is_some() && answer.get("version").is_some();
        if ask == Ask::Server && !answer.as_ref().is_some_and(of_server) {
            return false;
        }
        if let Some(answer) = answer {
            response(answer, &mut raw, body::refused(call), inference, &room);
        }
    }
    body::close(inference, &room);
    true
}

fn request(call: &Call<'_>, inference: &mut Inference, room: &Room) {
    let (tree, mut raw) = side(call, Role::Request, inference, room);
    let Some(mut tree) = tree else {
        if raw.declared {
            // "Raw binary request": one tensor's bytes and nothing else, as the model's configuration has it.
            inference.inputs.push(Tensor::default());
        }
        return;
    };
    inference.id = tree.get("id").and_then(Tree::name);
    if let Some(Tree::Object(parameters)) = tree.take("parameters") {
        inference.parameters = parameters.into_iter().map(|(name, value)| (name, value.into())).collect();
    }
    inference.inputs = tensors(tree.take("inputs"), &mut raw, inference, room);
}

fn response(mut tree: Tree, raw: &mut Raw<'_>, refused: bool, inference: &mut Inference, room: &Room) {
    inference.error = inference.error.take().or_else(|| body::error(&tree, refused));
    if let Some(model) = tree.get("model_name").or_else(|| tree.get("name")).and_then(Tree::name) {
        inference.response_model = Some(model);
    }
    if inference.operation.is_work() {
        let version = || tree.get("model_version").and_then(Tree::name);
        inference.version = inference.version.take().or_else(version);
        inference.id = inference.id.take().or_else(|| tree.get("id").and_then(Tree::name));
        let outputs = tensors(tree.take("outputs"), raw, inference, room);
        super::append(&mut inference.outputs, outputs, room);
    }
}

/// JSON of a side, and what follows it.
fn side<'a>(call: &Call<'a>, role: Role, inference: &mut Inference, room: &Room) -> (Option<Tree>, Raw<'a>) {
    let Some(part) = call.exchange.part(role) else { return (None, Raw::none()) };
    let Some(length) = header_length(&part.head) else {
        return (body::json(call, role, inference, room), Raw::none());
    };
    let body = part.body.as_ref();
    let (json, bytes) = body.split_at_checked(length).unwrap_or((body, b""));
    body::note(inference, call.unread(role));
    let tree = Tree::parse(json, room);
    if tree.is_none() && length > 0 {
        body::note(inference, Some(Unread::Malformed));
    }
    (tree, Raw { bytes, declared: true, cut: part.body_cut() })
}

fn header_length(head: &Head) -> Option<usize> {
    str::from_utf8(head.fields.get(HEADER_LENGTH)?).ok()?.trim().parse().ok()
}

/// Elements of tensors, as bytes.
struct Raw<'a> {
    bytes: &'a [u8],
    /// The head says that there may be some.
    declared: bool,
    /// There are more than were kept.
    cut: bool,
}

impl<'a> Raw<'a> {
    const fn none() -> Self {
        Self { bytes: b"", declared: false, cut: false }
    }

    /// The next tensor's, of this size; and whether that is all of them.
    fn take(&mut self, size: usize) -> (&'a [u8], bool) {
        let whole = size <= self.bytes.len();
        let (taken, rest) = self.bytes.split_at(size.min(self.bytes.len()));
        self.bytes = rest;
        (taken, whole)
    }
}

fn tensors(list: Option<Tree>, raw: &mut Raw<'_>, inference: &mut Inference, room: &Room) -> Vec<Tensor> {
    let list = list.map(Tree::into_rows).unwrap_or_default();
    if list.len() > columns::TENSORS {
        room.overflow();
    }
    let mut tensors = Vec::new();
    for tree in list.into_iter().take(columns::TENSORS) {
        let (tensor, fits) = tensor(tree, raw, room);
        if !fits {
            body::note(inference, Some(Unread::Malformed));
        }
        tensors.push(tensor);
    }
    tensors
}

/// One tensor, and whether its elements are as many as its shape says.
fn tensor(mut tree: Tree, raw: &mut Raw<'_>, room: &Room) -> (Tensor, bool) {
    let datatype = tree.get("datatype").and_then(Tree::text).and_then(Datatype::named);
    let name = tree.get("name").and_then(Tree::text).unwrap_or_default().to_owned();
    let declared = tree.get("shape").and_then(Tree::integers);
    let size = tree.get("parameters").and_then(|parameters| parameters.get("binary_data_size")?.name()?.parse().ok());
    let mut fits = true;
    let mut tensor = match (tree.take("data"), size) {
        (None, Some(size)) => {
            let (bytes, whole) = raw.take(size);
            let mut tensor = Tensor::default();
            if let Some(datatype) = datatype {
                let elements = element::read(datatype, bytes, room);
                tensor.cut = elements.cut || !whole;
                fits = (whole && elements.fits) || (!whole && raw.cut);
                tensor.values = elements.values;
            }
            tensor
        }
        // It lies in memory that client and server share, or was not kept.
        (None, None) => Tensor::default(),
        (Some(data), _) => columns::tensor(String::new(), data),
    };
    // Of what is not there, JSON does not tell the type.
    if let (Some(Datatype::Bytes), Values::Numbers(numbers)) = (datatype, &tensor.values)
        && numbers.iter().all(|number| number.is_nan())
    {
        tensor.values = Values::Strings(vec![None; numbers.len()]);
    }
    tensor.name = name.into();
    tensor.datatype = datatype;
    if let Some(shape) = declared {
        tensor.shape = shape;
    }
    let read = !matches!(tensor.values, Values::Unread) && !tensor.cut;
    fits &= !read || super::fits(&tensor);
    (tensor, fits)
}
