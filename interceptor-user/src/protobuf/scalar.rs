//! Numbers, texts, bytes and names of enums in the JSON mapping of proto3
//! (<https://protobuf.dev/programming-guides/json/>).

use std::borrow::Cow;

use prost_reflect::Kind;
use serde::{Serialize, Serializer};

use super::{
    guess::{Guess, base64},
    render::{Context, Message},
    wire::{self, Value},
};

/// One value of a known kind.
pub(super) struct Single<'a> {
    pub(super) kind: &'a Kind,
    pub(super) value: Value<'a>,
    pub(super) cut: bool,
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Single<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { kind, value, cut, context, depth } = *self;
        match (kind, value) {
            (Kind::Double, Value::Fixed64(bits)) => double(f64::from_bits(bits), serializer),
            (Kind::Float, Value::Fixed32(bits)) => match f32::from_bits(bits) {
                float if float.is_finite() => serializer.serialize_f32(float),
                float => double(float.into(), serializer),
            },
            (Kind::Int32, Value::Varint(bits)) => serializer.serialize_i32(bits as i32),
            (Kind::Uint32, Value::Varint(bits)) => serializer.serialize_u32(bits as u32),
            (Kind::Sint32, Value::Varint(bits)) => serializer.serialize_i32(zigzag(bits & 0xffff_ffff) as i32),
            (Kind::Fixed32, Value::Fixed32(bits)) => serializer.serialize_u32(bits),
            (Kind::Sfixed32, Value::Fixed32(bits)) => serializer.serialize_i32(bits.cast_signed()),
            // JavaScript's numbers have 53 bits, so those of 64 are strings.
            (Kind::Int64, Value::Varint(bits)) | (Kind::Sfixed64, Value::Fixed64(bits)) => {
                serializer.collect_str(&bits.cast_signed())
            }
            (Kind::Uint64, Value::Varint(bits)) | (Kind::Fixed64, Value::Fixed64(bits)) => {
                serializer.collect_str(&bits)
            }
            (Kind::Sint64, Value::Varint(bits)) => serializer.collect_str(&zigzag(bits)),
            (Kind::Bool, Value::Varint(bits)) => serializer.serialize_bool(bits != 0),
            (Kind::String, Value::Bytes(bytes)) => {
                context.spend(bytes.len());
                serializer.serialize_str(&lossy(bytes, cut))
            }
            (Kind::Bytes, Value::Bytes(bytes)) => {
                context.spend(bytes.len());
                base64(bytes, serializer)
            }
            (Kind::Enum(values), Value::Varint(bits)) => match values.get_value(bits as i32) {
                Some(_) if values.full_name() == "google.protobuf.NullValue" => serializer.serialize_none(),
                Some(value) => {
                    context.spend(value.name().len());
                    serializer.serialize_str(value.name())
                }
                None => serializer.serialize_i32(bits as i32),
            },
            (Kind::Message(descriptor), Value::Bytes(bytes) | Value::Group(bytes)) => {
                Message { descriptor, bytes, cut, context, depth }.serialize(serializer)
            }
            (_, value) => Guess { value, cut, context, depth }.serialize(serializer),
        }
    }
}

/// A finite number; JSON has names for the others only in this mapping.
pub(super) fn double<S: Serializer>(value: f64, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        _ if value.is_nan() => serializer.serialize_str("NaN"),
        f64::INFINITY => serializer.serialize_str("Infinity"),
        f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
        _ => serializer.serialize_f64(value),
    }
}

pub(super) const fn zigzag(bits: u64) -> i64 {
    (bits >> 1).cast_signed() ^ -((bits & 1).cast_signed())
}

/// The text; of text that was cut, what is whole.
fn lossy(bytes: &[u8], cut: bool) -> Cow<'_, str> {
    match str::from_utf8(bytes) {
        Err(error) if cut && error.error_len().is_none() => {
            String::from_utf8_lossy(bytes.get(..error.valid_up_to()).unwrap_or_default())
        }
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Does the wire hold a single value of this kind?
pub(super) const fn fits(kind: &Kind, value: &Value<'_>) -> bool {
    match value {
        Value::Varint(_) => is_varint(kind),
        Value::Fixed32(_) => matches!(kind, Kind::Float | Kind::Fixed32 | Kind::Sfixed32),
        Value::Fixed64(_) => matches!(kind, Kind::Double | Kind::Fixed64 | Kind::Sfixed64),
        Value::Bytes(_) => matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_)),
        Value::Group(_) => matches!(kind, Kind::Message(_)),
    }
}

const fn is_varint(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Bool
            | Kind::Enum(_)
    )
}

/// Can values of this kind be packed into one field?
pub(super) const fn is_packable(kind: &Kind) -> bool {
    !matches!(kind, Kind::String | Kind::Bytes | Kind::Message(_))
}

/// The next value of packed ones.
pub(super) fn unpack<'a>(kind: &Kind, bytes: &mut &[u8]) -> Option<Value<'a>> {
    if is_varint(kind) {
        return wire::varint(bytes).ok().map(Value::Varint);
    }
    match kind {
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => {
            wire::fixed(bytes).ok().map(|bytes| Value::Fixed32(u32::from_le_bytes(*bytes)))
        }
        _ => wire::fixed(bytes).ok().map(|bytes| Value::Fixed64(u64::from_le_bytes(*bytes))),
    }
}

/// What a field without presence has if it is not sent.
pub(super) const fn default(kind: &Kind) -> Value<'static> {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Value::Fixed64(0),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Value::Fixed32(0),
        Kind::String | Kind::Bytes | Kind::Message(_) => Value::Bytes(b""),
        _ => Value::Varint(0),
    }
}
