//! Messages in the JSON mapping of proto3 (<https://protobuf.dev/programming-guides/json/>), written straight from the
//! wire. What the descriptor does not know, or knows otherwise, is under its number, as in [`guess`](super::guess).

use std::{borrow::Cow, cell::Cell};

use prost_reflect::{Cardinality, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq as _},
};

use super::{
    Registry,
    guess::{Guesses, Number, base64},
    scalar::{self, Single},
    wellknown::WellKnown,
    wire::{self, End, Field, Value},
};

/// Messages within messages; what is deeper is shown as bytes.
pub(super) const DEPTH: u8 = 48;
/// Output may be so much larger than what it is made of (`[false,false]` is six bytes for one), and no more.
const GROWTH: usize = 8;
const GROWTH_FREE: usize = 64 << 10;

/// What all parts of one message share while it is written.
pub(super) struct Context<'a> {
    pub(super) registry: &'a Registry,
    /// Bytes of output that may still come.
    left: Cell<usize>,
    incomplete: Cell<bool>,
}

impl<'a> Context<'a> {
    pub(super) const fn new(registry: &'a Registry, size: usize) -> Self {
        let left = size.saturating_mul(GROWTH).saturating_add(GROWTH_FREE);
        Self { registry, left: Cell::new(left), incomplete: Cell::new(false) }
    }

    /// Is there room for so many bytes more?
    pub(super) fn spend(&self, bytes: usize) -> bool {
        let left = self.left.get().checked_sub(bytes);
        self.left.set(left.unwrap_or(0));
        if left.is_none() {
            self.lack();
        }
        left.is_some()
    }

    /// Something is left out.
    pub(super) fn lack(&self) {
        self.incomplete.set(true);
    }

    pub(super) fn ends(&self, end: End) {
        if end != End::Whole {
            self.lack();
        }
    }

    pub(super) const fn is_complete(&self) -> bool {
        !self.incomplete.get()
    }
}

/// A message whose type is known.
#[derive(Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) descriptor: &'a MessageDescriptor,
    pub(super) bytes: &'a [u8],
    /// The bytes end before it does.
    pub(super) cut: bool,
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (fields, end) = wire::fields(self.bytes);
        if self.depth == 0 || end == End::Bad || (end == End::Cut && !self.cut) {
            self.context.lack();
            return base64(self.bytes, serializer);
        }
        self.context.ends(end);
        if let Some(well_known) = WellKnown::of(self, &fields) {
            return well_known.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        self.entries(fields, &mut map)?;
        map.end()
    }
}

impl Message<'_> {
    /// Its fields, in the order of their numbers.
    pub(super) fn entries<M: SerializeMap>(&self, mut fields: Vec<Field<'_>>, map: &mut M) -> Result<(), M::Error> {
        let context = self.context;
        let depth = self.depth.saturating_sub(1);
        // The sort keeps the order of what has the same number.
        fields.sort_by_key(|field| field.number);
        for same in fields.chunk_by(|a, b| a.number == b.number) {
            let Some(first) = same.first() else { continue };
            let known = Known::of(self.descriptor, first.number).filter(|known| known.fits(same));
            let Some(known) = known else {
                if !context.spend(4) {
                    break;
                }
                map.serialize_entry(&Number(first.number), &Guesses { same, context, depth })?;
                continue;
            };
            if known.is_unsaid(same) {
                continue;
            }
            if !context.spend(known.name().len() + 4) {
                break;
            }
            map.serialize_entry(known.name(), &Values { known: &known, same, context, depth })?;
        }
        Ok(())
    }

    /// The values of the field with this number, to be written in place of the message.
    pub(super) fn only(&self, number: u32) -> Option<Known> {
        Known::of(self.descriptor, number)
    }
}

/// A field that the descriptor knows, or an extension.
pub(super) struct Known {
    which: Which,
    pub(super) kind: Kind,
    map: Option<[Kind; 2]>,
    list: bool,
}

enum Which {
    Field(FieldDescriptor),
    Extension(ExtensionDescriptor),
}

impl Known {
    pub(super) fn of(descriptor: &MessageDescriptor, number: u32) -> Option<Self> {
        let field = descriptor.get_field(number).map(|field| (field.kind(), field.cardinality(), Which::Field(field)));
        let (kind, cardinality, which) = field.or_else(|| {
            let field = descriptor.get_extension(number)?;
            Some((field.kind(), field.cardinality(), Which::Extension(field)))
        })?;
        let list = cardinality == Cardinality::Repeated;
        let map = match &kind {
            Kind::Message(entry) if list && entry.is_map_entry() => {
                Some([entry.get_field(1)?.kind(), entry.get_field(2)?.kind()])
            }
            _ => None,
        };
        Some(Self { which, kind, map, list })
    }

    fn name(&self) -> &str {
        match &self.which {
            Which::Field(field) => field.json_name(),
            Which::Extension(field) => field.json_name(),
        }
    }

    /// Is each of them what this field can be on the wire?
    pub(super) fn fits(&self, same: &[Field<'_>]) -> bool {
        let packed = self.list && scalar::is_packable(&self.kind);
        same.iter()
            .all(|field| scalar::fits(&self.kind, &field.value) || (packed && matches!(field.value, Value::Bytes(_))))
    }

    /// A default that was sent is not said where not sending it means the same.
    fn is_unsaid(&self, same: &[Field<'_>]) -> bool {
        let presence = match &self.which {
            Which::Field(field) => field.supports_presence(),
            Which::Extension(_) => true,
        };
        !presence && !self.list && same.last().is_some_and(|last| last.value == scalar::default(&self.kind))
    }
}

/// What a known field holds.
pub(super) struct Values<'a> {
    pub(super) known: &'a Known,
    pub(super) same: &'a [Field<'a>],
    pub(super) context: &'a Context<'a>,
    pub(super) depth: u8,
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (&self.known.map, self.known.list) {
            (Some(kinds), _) => self.map(kinds, serializer),
            (None, true) => self.list(serializer),
            (None, false) => self.single(serializer),
        }
    }
}

impl Values<'_> {
    fn value<'a>(&'a self, kind: &'a Kind, value: Value<'a>, cut: bool) -> Single<'a> {
        Single { kind, value, cut, context: self.context, depth: self.depth }
    }

    /// The last one counts; messages are merged, which is what their bytes one after the other mean.
    fn single<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = &self.known.kind;
        let Some(last) = self.same.last() else { return serializer.serialize_none() };
        if self.same.len() > 1 && matches!(kind, Kind::Message(_)) {
            let merged: Vec<u8> = self.same.iter().flat_map(|field| content(field.value)).copied().collect();
            return self.value(kind, Value::Bytes(&merged), last.cut).serialize(serializer);
        }
        self.value(kind, last.value, last.cut).serialize(serializer)
    }

    fn list<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = &self.known.kind;
        let mut seq = serializer.serialize_seq(None)?;
        for field in self.same {
            if scalar::fits(kind, &field.value) {
                if !self.context.spend(4) {
                    break;
                }
                seq.serialize_element(&self.value(kind, field.value, field.cut))?;
                continue;
            }
            let mut rest = content(field.value);
            while !rest.is_empty() && self.context.spend(4) {
                let Some(value) = scalar::unpack(kind, &mut rest) else { break };
                seq.serialize_element(&self.value(kind, value, false))?;
            }
            if !rest.is_empty() {
                self.context.lack();
            }
        }
        seq.end()
    }

    /// A map is a list of entries with a key and a value; of those with the same key, the last one counts.
    fn map<S: Serializer>(&self, [key, value]: &[Kind; 2], serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(Cow<'_, str>, Value<'_>, bool)> = Vec::new();
        for field in self.same {
            let (fields, end) = wire::fields(content(field.value));
            if end == End::Bad || (end == End::Cut && !field.cut) {
                self.context.lack();
                continue;
            }
            self.context.ends(end);
            let last = |number: u32, kind: &Kind| {
                let of = |field: &&Field<'_>| field.number == number && scalar::fits(kind, &field.value);
                fields.iter().rev().find(of).map_or((scalar::default(kind), false), |field| (field.value, field.cut))
            };
            let ((name, _), (value, cut)) = (last(1, key), last(2, value));
            entries.push((map_key(key, name), value, cut));
        }
        entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut map = serializer.serialize_map(None)?;
        for same in entries.chunk_by(|(a, ..), (b, ..)| a == b) {
            let Some((name, content, cut)) = same.last() else { continue };
            if !self.context.spend(name.len() + 4) {
                break;
            }
            map.serialize_entry(name, &self.value(value, *content, *cut))?;
        }
        map.end()
    }
}

/// The bytes of a value that has any.
pub(super) const fn content(value: Value<'_>) -> &[u8] {
    match value {
        Value::Bytes(bytes) | Value::Group(bytes) => bytes,
        Value::Varint(_) | Value::Fixed32(_) | Value::Fixed64(_) => b"",
    }
}

/// Keys of JSON objects are strings, whatever those of maps are.
fn map_key<'a>(kind: &Kind, value: Value<'a>) -> Cow<'a, str> {
    match (kind, value) {
        (_, Value::Bytes(bytes)) => String::from_utf8_lossy(bytes),
        (Kind::Bool, Value::Varint(bits)) => (if bits == 0 { "false" } else { "true" }).into(),
        (Kind::Int32, Value::Varint(bits)) => (bits as i32).to_string().into(),
        (Kind::Sint32 | Kind::Sint64, Value::Varint(bits)) => scalar::zigzag(bits).to_string().into(),
        (Kind::Int64, Value::Varint(bits)) | (Kind::Sfixed64, Value::Fixed64(bits)) => {
            bits.cast_signed().to_string().into()
        }
        (Kind::Sfixed32, Value::Fixed32(bits)) => bits.cast_signed().to_string().into(),
        (_, Value::Varint(bits) | Value::Fixed64(bits)) => bits.to_string().into(),
        (_, Value::Fixed32(bits)) => bits.to_string().into(),
        (_, Value::Group(_)) => "".into(),
    }
}
