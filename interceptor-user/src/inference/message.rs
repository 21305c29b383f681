//! Messages of gRPC, read by the numbers of their fields: tensors are large, and descriptors slow.

#![expect(clippy::cast_precision_loss, reason = "integers beyond 2^53 are rounded, as `Values::Numbers` says")]

use super::{call::Call, element, tree::Room};
use crate::{
    model::{ModelError, Part, Role, Unread, percent_decoded, status_name},
    protobuf::wire::{self, End, Field, Value},
};

/// The fields of a message.
pub(super) struct Message<'a> {
    fields: Vec<Field<'a>>,
    /// Not all of it is there, or is a message.
    pub(super) unread: Option<Unread>,
}

impl<'a> Message<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Self {
        let (fields, end) = wire::fields(bytes);
        let unread = match end {
            End::Whole => None,
            End::Cut => Some(Unread::Cut),
            End::Many => Some(Unread::TooMuch),
            End::Bad => Some(Unread::Malformed),
        };
        Self { fields, unread }
    }

    /// The values of this field in order: strings, bytes or messages; of the one that is cut its beginning.
    pub(super) fn all(&self, number: u32) -> impl Iterator<Item = &'a [u8]> {
        self.values(number).filter_map(|value| match value {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The field's last value.
    pub(super) fn last(&self, number: u32) -> Option<&'a [u8]> {
        self.all(number).last()
    }

    /// The message in this field.
    pub(super) fn message(&self, number: u32) -> Option<Self> {
        self.last(number).map(Self::parse)
    }

    /// A string; one that is empty is none.
    pub(super) fn text(&self, number: u32) -> Option<String> {
        self.last(number).filter(|text| !text.is_empty()).map(|text| String::from_utf8_lossy(text).into_owned())
    }

    /// An integer, a boolean or an enumeration's value.
    pub(super) fn integer(&self, number: u32) -> Option<u64> {
        self.values(number).filter_map(|value| if let Value::Varint(value) = value { Some(value) } else { None }).last()
    }

    /// The field's last value, whatever it is.
    pub(super) fn value(&self, number: u32) -> Option<Value<'a>> {
        self.values(number).last()
    }

    /// The numbers of a repeated field, packed or not; and whether there are more than were read.
    pub(super) fn numbers(&self, number: u32, scalar: Scalar, room: &Room) -> (Vec<f64>, bool) {
        let mut numbers = Vec::new();
        let count = self.values(number).map(|value| scalar.count(value)).sum();
        let taken = element::take(count, room);
        for value in self.values(number) {
            match value {
                Value::Bytes(mut packed) => {
                    while numbers.len() < taken
                        && let Some(value) = scalar.unpack(&mut packed)
                    {
                        numbers.extend(scalar.number(value));
                    }
                }
                value if numbers.len() < taken => numbers.extend(scalar.number(value)),
                _ => {}
            }
        }
        (numbers, taken < count)
    }

    /// The entries of a map with strings for keys.
    pub(super) fn map(&self, number: u32) -> impl Iterator<Item = (String, Self)> {
        self.all(number).map(|entry| {
            let entry = Self::parse(entry);
            (entry.text(1).unwrap_or_default(), entry)
        })
    }

    fn values(&self, number: u32) -> impl Iterator<Item = Value<'a>> {
        self.fields.iter().filter(move |field| field.number == number).map(|field| field.value)
    }
}

/// How a number is written.
#[derive(Clone, Copy)]
pub(super) enum Scalar {
    /// int32 and int64.
    Signed,
    /// uint32, uint64 and bool.
    Unsigned,
    Float,
    Double,
}

impl Scalar {
    fn count(self, value: Value<'_>) -> usize {
        match (self, value) {
            // Each of them has one byte that ends it.
            (Self::Signed | Self::Unsigned, Value::Bytes(packed)) => packed.iter().filter(|byte| **byte < 0x80).count(),
            (Self::Float, Value::Bytes(packed)) => packed.len() / 4,
            (Self::Double, Value::Bytes(packed)) => packed.len() / 8,
            _ => 1,
        }
    }

    fn unpack<'a>(self, packed: &mut &'a [u8]) -> Option<Value<'a>> {
        match self {
            Self::Signed | Self::Unsigned => wire::varint(packed).ok().map(Value::Varint),
            Self::Float => wire::fixed(packed).ok().map(|bytes| Value::Fixed32(u32::from_le_bytes(*bytes))),
            Self::Double => wire::fixed(packed).ok().map(|bytes| Value::Fixed64(u64::from_le_bytes(*bytes))),
        }
    }

    fn number(self, value: Value<'_>) -> Option<f64> {
        match (self, value) {
            (Self::Signed, Value::Varint(value)) => Some(value.cast_signed() as f64),
            (Self::Unsigned, Value::Varint(value)) => Some(value as f64),
            (Self::Float, Value::Fixed32(bits)) => Some(f64::from(f32::from_bits(bits))),
            (Self::Double, Value::Fixed64(bits)) => Some(f64::from_bits(bits)),
            _ => None,
        }
    }
}

/// The messages of a side; of the last one perhaps only the beginning.
pub(super) fn messages<'a>(call: &Call<'a>, role: Role) -> impl Iterator<Item = Message<'a>> + use<'a> {
    call.exchange.part(role).into_iter().flat_map(Part::messages).map(|(kept, bytes)| {
        let mut message = Message::parse(bytes);
        let cut = (bytes.len() as u64) < kept.piece.size;
        if cut || message.unread == Some(Unread::Cut) {
            message.unread = Some(if cut { Unread::Cut } else { Unread::Malformed });
        }
        message
    })
}

/// Why not all messages of a side can be read, if they cannot.
pub(super) fn unread(call: &Call<'_>, role: Role) -> Option<Unread> {
    let part = call.exchange.part(role)?;
    let kept = part.messages().count() as u64;
    match &part.pieces {
        Some(pieces) if pieces.count > kept => Some(call.unread(role).unwrap_or(Unread::TooMuch)),
        Some(_) => call.unread(role),
        None => call.unread(role).or_else(|| (part.body_size > 0).then_some(Unread::Malformed)),
    }
}

/// What a call that failed says.
pub(super) fn error(call: &Call<'_>) -> Option<ModelError> {
    let rpc = call.exchange.rpc()?;
    let code = rpc.status.filter(|code| *code != 0)?;
    let kind = status_name(code).map_or_else(|| code.to_string(), str::to_owned);
    Some(ModelError { kind: Some(kind), message: rpc.message.map(percent_decoded).unwrap_or_default() })
}
