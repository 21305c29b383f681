//! Elements of a tensor as bytes: little-endian, one after the other, in row-major order ("Binary Tensor Data Extension" of
//! the Open Inference Protocol; `tensor_content` of TensorFlow).

#![expect(clippy::cast_precision_loss, reason = "integers beyond 2^53 are rounded, as `Values::Numbers` says")]

use super::tree::{ELEMENTS, Room};
use crate::model::{Datatype, Values};

/// What bytes gave.
pub(super) struct Elements {
    pub(super) values: Values,
    /// There are more than were read.
    pub(super) cut: bool,
    /// The bytes are as many as these elements take.
    pub(super) fits: bool,
}

/// Elements of this type. Each of `BYTES` has its length before it, in 4 bytes.
pub(super) fn read(datatype: Datatype, bytes: &[u8], room: &Room) -> Elements {
    match datatype.size() {
        None => strings(bytes, room),
        Some(size) => {
            let count = bytes.len() / size;
            let taken = take(count, room);
            let values = bytes.chunks_exact(size).take(taken).map(|element| number(datatype, element)).collect();
            let fits = bytes.len().is_multiple_of(size);
            Elements { values: Values::Numbers(values), cut: taken < count, fits }
        }
    }
}

/// How many of these elements of one tensor may be read.
pub(super) fn take(count: usize, room: &Room) -> usize {
    if count > ELEMENTS {
        room.overflow();
    }
    room.take(count.min(ELEMENTS))
}

fn strings(mut bytes: &[u8], room: &Room) -> Elements {
    let mut strings = Vec::new();
    let mut fits = true;
    while !bytes.is_empty() {
        let Some((text, rest)) = string(bytes) else {
            fits = false;
            break;
        };
        if strings.len() == ELEMENTS || room.take(1) == 0 {
            room.overflow();
            return Elements { values: Values::Strings(strings), cut: true, fits };
        }
        strings.push(Some(String::from_utf8_lossy(text).into_owned()));
        bytes = rest;
    }
    Elements { values: Values::Strings(strings), cut: false, fits }
}

fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
}

/// One number; `element` is as long as the type's elements are.
fn number(datatype: Datatype, element: &[u8]) -> f64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(element) {
        *to = *from;
    }
    let bits = u64::from_le_bytes(bytes);
    match datatype {
        Datatype::Bool => f64::from(u8::from(bits != 0)),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 | Datatype::Uint64 => bits as f64,
        Datatype::Int8 => f64::from(bits as i8),
        Datatype::Int16 => f64::from(bits as i16),
        Datatype::Int32 => f64::from(bits as i32),
        Datatype::Int64 => bits.cast_signed() as f64,
        Datatype::Fp16 => half(bits as u16),
        Datatype::Bf16 => bfloat(bits as u16),
        Datatype::Fp32 => f64::from(f32::from_bits(bits as u32)),
        Datatype::Fp64 => f64::from_bits(bits),
        Datatype::Bytes => f64::NAN,
    }
}

/// IEEE 754 binary16: a sign, 5 bits of exponent, 10 of fraction.
pub(super) fn half(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3ff);
    let size = match (bits >> 10) & 0x1f {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        exponent => (1.0 + fraction / 1024.0) * 2_f64.powi(i32::from(exponent) - 15),
    };
    if bits & 0x8000 == 0 { size } else { -size }
}

/// bfloat16: the upper half of a binary32.
pub(super) fn bfloat(bits: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(bits) << 16))
}
