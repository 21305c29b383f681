//! `tensorflow.TensorProto` and `tensorflow.Example`, by the field numbers of `proto/tensorflow/core.proto`.

use crate::{
    inference::{
        columns::TENSORS,
        element,
        message::{Message, Scalar},
        tree::{ELEMENTS, Room},
    },
    model::{Datatype, Tensor, Values},
};

/// `DataType`, with the field that holds its elements where they are not in `tensor_content`. Complex and quantised numbers,
/// those of 8 bits and fewer, resources and variants have no name in [`Datatype`] and are not read.
const fn datatype(value: u64) -> Option<(Datatype, u32, Scalar)> {
    Some(match value {
        1 => (Datatype::Fp32, 5, Scalar::Float),
        2 => (Datatype::Fp64, 6, Scalar::Double),
        3 => (Datatype::Int32, 7, Scalar::Signed),
        4 => (Datatype::Uint8, 7, Scalar::Signed),
        5 => (Datatype::Int16, 7, Scalar::Signed),
        6 => (Datatype::Int8, 7, Scalar::Signed),
        7 => (Datatype::Bytes, 8, Scalar::Signed),
        9 => (Datatype::Int64, 10, Scalar::Signed),
        10 => (Datatype::Bool, 11, Scalar::Unsigned),
        14 => (Datatype::Bf16, 13, Scalar::Signed),
        17 => (Datatype::Uint16, 7, Scalar::Signed),
        19 => (Datatype::Fp16, 13, Scalar::Signed),
        22 => (Datatype::Uint32, 16, Scalar::Unsigned),
        23 => (Datatype::Uint64, 17, Scalar::Unsigned),
        _ => return None,
    })
}

/// A tensor, and whether its elements are as many as its shape says.
pub(super) fn tensor(name: String, proto: &Message<'_>, room: &Room) -> (Tensor, bool) {
    let shape: Vec<i64> = proto.message(2).map_or_else(Vec::new, |shape| {
        shape.all(2).take(TENSORS).map(|dim| Message::parse(dim).integer(1).unwrap_or(0).cast_signed()).collect()
    });
    let mut tensor = Tensor { name: name.into(), shape, ..Tensor::default() };
    let Some((datatype, field, scalar)) = datatype(proto.integer(1).unwrap_or(0)) else { return (tensor, true) };
    tensor.datatype = Some(datatype);
    let elements = tensor.elements();
    if let Some(content) = proto.last(4).filter(|content| !content.is_empty()) {
        let read = element::read(datatype, content, room);
        (tensor.values, tensor.cut) = (read.values, read.cut);
        if !read.fits {
            return (tensor, false);
        }
    } else {
        (tensor.values, tensor.cut) = listed(proto, datatype, field, scalar, room);
        repeat_last(&mut tensor, elements, room);
    }
    let fits = tensor.cut || elements.is_none_or(|elements| elements == tensor.values.len());
    (tensor, fits)
}

#[expect(clippy::cast_sign_loss, reason = "what is no 16 bits saturates")]
fn listed(proto: &Message<'_>, datatype: Datatype, field: u32, scalar: Scalar, room: &Room) -> (Values, bool) {
    if datatype == Datatype::Bytes {
        let count = proto.all(field).count();
        let taken = element::take(count, room);
        let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
        return (Values::Strings(proto.all(field).take(taken).map(text).collect()), taken < count);
    }
    let (mut numbers, cut) = proto.numbers(field, scalar, room);
    for number in &mut numbers {
        // `half_val` has the bits of 16-bit numbers.
        *number = match datatype {
            Datatype::Fp16 => element::half(*number as u16),
            Datatype::Bf16 => element::bfloat(*number as u16),
            _ => *number,
        };
    }
    (Values::Numbers(numbers), cut)
}

/// Elements after those listed are as the last one; without one they are zero (tensor.cc, `FromProtoField`).
fn repeat_last(tensor: &mut Tensor, elements: Option<usize>, room: &Room) {
    let missing = elements.unwrap_or(0).saturating_sub(tensor.values.len());
    if missing == 0 || tensor.cut {
        return;
    }
    let free = ELEMENTS.saturating_sub(tensor.values.len());
    let taken = element::take(missing, room).min(free);
    match &mut tensor.values {
        Values::Numbers(numbers) => numbers.resize(numbers.len() + taken, numbers.last().copied().unwrap_or(0.0)),
        Values::Strings(strings) => {
            let last = strings.last().cloned().flatten().unwrap_or_default();
            // Short ones only: a few bytes may not become megabytes.
            let taken = if last.len() <= 64 { taken } else { 0 };
            strings.resize(strings.len() + taken, Some(last));
        }
        Values::Unread => {}
    }
    tensor.cut = elements.is_some_and(|elements| tensor.values.len() < elements);
}

/// Features of an `Example`, each a name and a list.
pub(super) fn example(example: &Message<'_>, room: &Room) -> Vec<(String, Values)> {
    let Some(features) = example.message(1) else { return Vec::new() };
    let feature = |(name, entry): (String, Message<'_>)| {
        let feature = entry.message(2)?;
        let values = if let Some(list) = feature.message(1) {
            let taken = element::take(list.all(1).count(), room);
            let text = |bytes: &[u8]| Some(String::from_utf8_lossy(bytes).into_owned());
            Values::Strings(list.all(1).take(taken).map(text).collect())
        } else if let Some(list) = feature.message(2) {
            Values::Numbers(list.numbers(1, Scalar::Float, room).0)
        } else {
            Values::Numbers(feature.message(3)?.numbers(1, Scalar::Signed, room).0)
        };
        Some((name, values))
    };
    features.map(1).filter_map(feature).take(TENSORS).collect()
}
