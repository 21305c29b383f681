//! What fields hold, guessed from their bytes alone: `{"1": "text", "2": 7, "3": {"1": …}}`.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap as _, SerializeSeq as _},
};

use super::{
    render::Context,
    wire::{self, End, Field, Value},
};

/// A message of which no descriptor is known.
pub(super) struct Numbered<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Numbered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (mut fields, end) = wire::fields(self.bytes);
        self.context.ends(end);
        // The sort keeps the order of what has the same number.
        fields.sort_by_key(|field| field.number);
        let mut map = serializer.serialize_map(None)?;
        for same in fields.chunk_by(|a, b| a.number == b.number) {
            let Some(first) = same.first() else { continue };
            if !self.context.spend(4) {
                break;
            }
            map.serialize_entry(&Number(first.number), &Guesses { same, context: self.context, depth: self.depth })?;
        }
        map.end()
    }
}

/// A field's number as a key.
pub(super) struct Number(pub(super) u32);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// All values of one number: an array where there are several.
pub(super) struct Guesses<'a> {
    pub(super) same: &'a [Field<'a>],
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Guesses<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let guess = |field: &Field<'_>, serializer| {
            let Guesses { context, depth, .. } = *self;
            Guess { value: field.value, cut: field.cut, context, depth }.serialize(serializer)
        };
        if let [field] = self.same {
            return guess(field, serializer);
        }
        let mut seq = serializer.serialize_seq(None)?;
        for Field { value, cut, .. } in self.same {
            if !self.context.spend(2) {
                break;
            }
            seq.serialize_element(&Guess { value: *value, cut: *cut, context: self.context, depth: self.depth })?;
        }
        seq.end()
    }
}

/// One value.
pub(super) struct Guess<'a> {
    pub(super) value: Value<'a>,
    pub(super) cut: bool,
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Guess<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nested = |bytes| Numbered { bytes, context: self.context, depth: self.depth.saturating_sub(1) };
        match self.value {
            Value::Varint(number) => serializer.serialize_u64(number),
            Value::Fixed32(bits) => match f32::from_bits(bits) {
                float if is_likely(float.into()) => serializer.serialize_f32(float),
                _ => serializer.serialize_u32(bits),
            },
            Value::Fixed64(bits) => match f64::from_bits(bits) {
                float if is_likely(float) => serializer.serialize_f64(float),
                _ => serializer.serialize_u64(bits),
            },
            Value::Group(bytes) if self.depth > 0 => nested(bytes).serialize(serializer),
            Value::Group(bytes) => self.binary(bytes, serializer),
            Value::Bytes(bytes) => match Shape::of(bytes, self.cut) {
                Shape::Text(text) => {
                    self.context.spend(bytes.len());
                    serializer.serialize_str(text)
                }
                Shape::Message if self.depth > 0 => nested(bytes).serialize(serializer),
                Shape::Packed => {
                    self.context.spend(2 * bytes.len());
                    Packed(bytes).serialize(serializer)
                }
                Shape::Message | Shape::Other => self.binary(bytes, serializer),
            },
        }
    }
}

impl Guess<'_> {
    fn binary<S: Serializer>(&self, bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        self.context.spend(bytes.len());
        base64(bytes, serializer)
    }
}

/// Binary content (RFC 4648 section 4), as JSON has no bytes.
pub(super) fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// Integers that are no floating point number are, as one, tiny or huge.
fn is_likely(float: f64) -> bool {
    float == 0.0 || (1e-9..1e12).contains(&float.abs())
}

/// What bytes look like.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    Text(&'a str),
    Message,
    Packed,
    Other,
}

impl<'a> Shape<'a> {
    /// Text, if a reader could read it. A message may begin like one (`\n` is the tag of a first field that has a length),
    /// but then it has other control characters, or lengths that fit.
    pub(super) fn of(bytes: &'a [u8], cut: bool) -> Self {
        let text = text(bytes, cut);
        let blank = bytes.first().is_some_and(u8::is_ascii_whitespace);
        let is_message = || match wire::check(bytes) {
            (End::Whole, any) => any,
            (End::Cut, any) => any && cut,
            _ => false,
        };
        match text {
            Some(text) if !(blank && is_message()) => Self::Text(text),
            _ if is_message() => Self::Message,
            _ if !cut && is_packed(bytes) => Self::Packed,
            _ => Self::Other,
        }
    }
}

/// UTF-8 without control characters but for those of lines; of cut text what is whole.
fn text(bytes: &[u8], cut: bool) -> Option<&str> {
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() && error.valid_up_to() > 0 => {
            bytes.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok())?
        }
        Err(_) => return None,
    };
    text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t')).then_some(text)
}

/// Packed numbers are small as a rule, and no encoder spends more bytes on one than it takes.
fn is_packed(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let before = bytes.len();
        match wire::varint(&mut bytes) {
            Ok(value) if value >> 21 == 0 && before - bytes.len() == varint_len(value) => {}
            _ => return false,
        }
    }
    true
}

const fn varint_len(value: u64) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        _ => 3,
    }
}

/// Packed varints.
struct Packed<'a>(&'a [u8]);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut rest = self.0;
        serializer.collect_seq(std::iter::from_fn(|| wire::varint(&mut rest).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (bytes, cut, shape) in [
            (&b""[..], false, Shape::Text("")),
            (b"hello", false, Shape::Text("hello")),
            ("naïve\n".as_bytes(), false, Shape::Text("naïve\n")),
            (b"na\xc3", true, Shape::Text("na")),
            (b"na\xc3", false, Shape::Other),
            (b"\n\x05hello", false, Shape::Message),
            (b"\n\x0ahello", true, Shape::Text("\n\nhello")),
            (b"\x08\x01\n\x0ahello", true, Shape::Message),
            (b"\x08\x01\n\x0ahell\x7f", false, Shape::Packed),
            (b"\x08\x01\n\x0ahell\xff", false, Shape::Other),
            (b"\n\nabcdefghij", false, Shape::Message),
            (b"\n\nabcdefgh", false, Shape::Text("\n\nabcdefgh")),
            (b"\x01\x02\x80\x01", false, Shape::Packed),
            (b"\x80\x00", false, Shape::Other),
            (b"\xff\xfe\xfd", false, Shape::Other),
        ] {
            assert_eq!(Shape::of(bytes, cut), shape, "{bytes:?}");
        }
    }
}
