//! Types of `google.protobuf` that have a JSON form of their own.

use jiff::{SignedDuration, civil::date};
use prost_reflect::MessageDescriptor;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{
    guess::{Guess, Numbered},
    render::{Known, Message, Values, content},
    scalar::{self, Single},
    wire::{self, End, Field, Value},
};

/// 0001-01-01 to 9999-12-31, as the mapping allows.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A message in the form that its type has.
pub(super) enum WellKnown<'a> {
    /// A time, a duration, a field mask.
    Text(String),
    /// `{"@type": …}` around a message of that type.
    Any(Message<'a>, &'a str, &'a [u8]),
    /// What its only field holds: of a Struct the map, of a ListValue the list.
    Field(Message<'a>, Known, &'a [Field<'a>]),
    /// The same, and one value whether it was sent or not: BoolValue and the others that wrap one.
    Wrapped(Message<'a>, Known, Value<'a>),
    Null,
}

impl<'a> WellKnown<'a> {
    /// If its type is one of them and it can be read as such.
    pub(super) fn of(message: &Message<'a>, fields: &'a [Field<'a>]) -> Option<Self> {
        let name = message.descriptor.full_name().strip_prefix("google.protobuf.")?;
        let last = |number| fields.iter().rev().find(|field| field.number == number).map(|field| field.value);
        let integer = |number| match last(number) {
            Some(Value::Varint(bits)) => Some(bits.cast_signed()),
            None => Some(0),
            _ => None,
        };
        let nanos = || i32::try_from(integer(2)?).ok();
        let same = |number| {
            let known = message.only(number)?;
            let only = fields.iter().all(|field| field.number == number);
            (only && known.fits(fields)).then_some(known)
        };
        match name {
            "Timestamp" => timestamp(integer(1)?, nanos()?).map(Self::Text),
            "Duration" => duration(integer(1)?, nanos()?).map(Self::Text),
            "FieldMask" => field_mask(fields).map(Self::Text),
            "Any" => {
                let url = str::from_utf8(content(last(1)?)).ok()?;
                Some(Self::Any(*message, url, last(2).map_or(b"", content)))
            }
            "Struct" | "ListValue" => Some(Self::Field(*message, same(1)?, fields)),
            "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value"
            | "BoolValue" | "StringValue" | "BytesValue" => {
                let known = same(1)?;
                let value = last(1).unwrap_or(scalar::default(&known.kind));
                Some(Self::Wrapped(*message, known, value))
            }
            "Value" => {
                let Some(field) = fields.last() else { return Some(Self::Null) };
                let known = message.only(field.number)?;
                known.fits(std::slice::from_ref(field)).then(|| Self::Wrapped(*message, known, field.value))
            }
            _ => None,
        }
    }
}

impl Serialize for WellKnown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Any(message, url, value) => any(message, url, value, serializer),
            Self::Field(message, known, same) => {
                let depth = message.depth.saturating_sub(1);
                Values { known, same, context: message.context, depth }.serialize(serializer)
            }
            Self::Wrapped(message, known, value) => {
                let Message { cut, context, .. } = *message;
                let depth = message.depth.saturating_sub(1);
                Single { kind: &known.kind, value: *value, cut, context, depth }.serialize(serializer)
            }
        }
    }
}

/// The fields of what it holds beside `@type`; under `value` where that has a form of its own, or is of unknown type.
fn any<S: Serializer>(any: &Message<'_>, url: &str, bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let Message { cut, context, depth, .. } = *any;
    let depth = depth.saturating_sub(1);
    context.spend(url.len());
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("@type", url)?;
    let descriptor: Option<MessageDescriptor> =
        url.rsplit('/').next().filter(|_| depth > 0).and_then(|name| context.registry.message(name));
    let (fields, end) = wire::fields(bytes);
    let readable = end != End::Bad && (end != End::Cut || cut);
    match descriptor.as_ref().filter(|_| readable) {
        Some(descriptor) => {
            let message = Message { descriptor, bytes, cut, context, depth };
            if WellKnown::of(&message, &fields).is_some() {
                map.serialize_entry("value", &message)?;
            } else {
                context.ends(end);
                message.entries(fields, &mut map)?;
            }
        }
        None if bytes.is_empty() => {}
        None if readable && depth > 0 => map.serialize_entry("value", &Numbered { bytes, context, depth })?,
        None => map.serialize_entry("value", &Guess { value: Value::Bytes(bytes), cut, context, depth })?,
    }
    map.end()
}

/// RFC 3339 with no, three, six or nine digits after the second.
fn timestamp(seconds: i64, nanos: i32) -> Option<String> {
    if !SECONDS.contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
        return None;
    }
    // A jiff::Timestamp ends hours earlier, as it can be told in any zone.
    let time = date(1970, 1, 1).at(0, 0, 0, 0).checked_add(SignedDuration::new(seconds, nanos)).ok()?;
    let digits = digits(nanos);
    Some(format!("{time:.digits$}Z"))
}

/// Seconds with such digits, and `s`.
fn duration(seconds: i64, nanos: i32) -> Option<String> {
    let opposed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    if opposed || !(-999_999_999..=999_999_999).contains(&nanos) {
        return None;
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (whole, fraction, digits) = (seconds.unsigned_abs(), nanos.unsigned_abs(), digits(nanos));
    let fraction = format!("{fraction:09}");
    let fraction = fraction.get(..digits).unwrap_or_default();
    let point = if digits > 0 { "." } else { "" };
    Some(format!("{sign}{whole}{point}{fraction}s"))
}

const fn digits(nanos: i32) -> usize {
    match nanos {
        0 => 0,
        _ if nanos % 1_000_000 == 0 => 3,
        _ if nanos % 1_000 == 0 => 6,
        _ => 9,
    }
}

/// Paths with commas between them, their names in lower camel case.
fn field_mask(fields: &[Field<'_>]) -> Option<String> {
    let mut text = String::new();
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        let Field { number: 1, value: Value::Bytes(path), .. } = field else { return None };
        let mut upper = false;
        for c in str::from_utf8(path).ok()?.chars() {
            match c {
                '_' => upper = true,
                c if upper => {
                    text.push(c.to_ascii_uppercase());
                    upper = false;
                }
                c => text.push(c),
            }
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations() {
        for (seconds, nanos, expected) in [
            (0, 0, Some("1970-01-01T00:00:00Z")),
            (1, 500_000_000, Some("1970-01-01T00:00:01.500Z")),
            (-1, 1_000, Some("1969-12-31T23:59:59.000001Z")),
            (253_402_300_799, 999_999_999, Some("9999-12-31T23:59:59.999999999Z")),
            (253_402_300_800, 0, None),
            (0, -1, None),
            (i64::MIN, 0, None),
        ] {
            assert_eq!(timestamp(seconds, nanos).as_deref(), expected);
        }
        for (seconds, nanos, expected) in [
            (0, 0, Some("0s")),
            (3, 1, Some("3.000000001s")),
            (-3, -500_000_000, Some("-3.500s")),
            (0, -500_000, Some("-0.000500s")),
            (1, -1, None),
            (i64::MIN, 0, Some("-9223372036854775808s")),
        ] {
            assert_eq!(duration(seconds, nanos).as_deref(), expected);
        }
    }
}
