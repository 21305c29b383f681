//! Against prost-reflect's own JSON, on messages of every kind of field.

use std::collections::HashMap;

use proptest::prelude::*;
use prost_reflect::{FieldDescriptor, Kind, MapKey, Value as Dynamic, prost::bytes::Bytes};

use super::*;

const SOURCE: &str = r#"
syntax = "proto3";
package test;
import "google/protobuf/any.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Colour { RED = 0; GREEN = 1; BLUE = -3; }
message Everything {
  double a_double = 1; float a_float = 2; int32 an_int32 = 3; int64 an_int64 = 4; uint32 an_uint32 = 5;
  uint64 an_uint64 = 6; sint32 a_sint32 = 7; sint64 a_sint64 = 8; fixed32 a_fixed32 = 9; fixed64 a_fixed64 = 10;
  sfixed32 a_sfixed32 = 11; sfixed64 a_sfixed64 = 12; bool a_bool = 13; string a_string = 14; bytes some_bytes = 15;
  Colour colour = 16; Everything nested = 17; optional int32 maybe = 18;
  oneof one { string text = 19; int64 number = 20; Everything other = 21; }
  repeated double doubles = 22; repeated sint32 sints = 23 [packed = false]; repeated Colour colours = 24;
  repeated string strings = 25; repeated Everything list = 26; repeated bool bools = 27; repeated fixed64 fixed = 28;
  map<string, Everything> by_name = 29; map<int32, string> by_number = 30; map<bool, bytes> by_bool = 31;
  map<sint64, Colour> by_sint = 32; map<fixed32, double> by_fixed = 33;
  google.protobuf.Timestamp time = 34; google.protobuf.Duration duration = 35; google.protobuf.FieldMask mask = 36;
  google.protobuf.Struct struct = 37; google.protobuf.Value value = 38; google.protobuf.ListValue values = 39;
  google.protobuf.Int64Value wrapped = 40; google.protobuf.BytesValue wrapped_bytes = 41;
  google.protobuf.BoolValue wrapped_bool = 42; optional google.protobuf.NullValue nothing = 43;
  string named = 44 [json_name = "called"];
}
service Service { rpc Call(Everything) returns (Everything); }
"#;

fn registry() -> Registry {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("everything.proto");
    std::fs::write(&file, SOURCE).expect("written");
    Registry::load(&[file], &[]).expect("it compiles")
}

/// Numbers to choose by; zeros when they are used up.
struct Choices(std::vec::IntoIter<u64>);

impl Choices {
    fn next(&mut self) -> u64 {
        self.0.next().unwrap_or(0)
    }

    fn text(&mut self) -> String {
        ["", "a", "naïve", "\u{1f600}\n\"", "\0"][self.next() as usize % 5].to_owned()
    }
}

fn message(descriptor: &MessageDescriptor, choices: &mut Choices, depth: u8) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let number = |message: &mut DynamicMessage, name: &str, value| message.set_field_by_name(name, value);
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => {
            number(
                &mut message,
                "seconds",
                Dynamic::I64((choices.next() % 200_000_000_000).cast_signed() - 50_000_000_000),
            );
            number(&mut message, "nanos", Dynamic::I32((choices.next() % 1_000_000_000) as i32));
            return message;
        }
        "google.protobuf.Duration" => {
            let sign = if choices.next().is_multiple_of(2) { 1 } else { -1 };
            number(&mut message, "seconds", Dynamic::I64(sign * (choices.next() % 1000).cast_signed()));
            number(&mut message, "nanos", Dynamic::I32(sign as i32 * (choices.next() % 1000 * 1_000_000) as i32));
            return message;
        }
        "google.protobuf.FieldMask" => {
            let paths = ["a_b", "c.d_e", "x"].map(|path| Dynamic::String(path.to_owned())).to_vec();
            number(&mut message, "paths", Dynamic::List(paths));
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        // prost-reflect refuses a Value that holds none.
        let needed = descriptor.full_name() == "google.protobuf.Value" && field.name() == "number_value";
        if (needed || choices.next().is_multiple_of(3)) && (depth > 0 || !matches!(field.kind(), Kind::Message(_))) {
            let value = value(&field, choices, depth);
            message.set_field(&field, value);
        }
    }
    message
}

fn value(field: &FieldDescriptor, choices: &mut Choices, depth: u8) -> Dynamic {
    let count = choices.next() % 4;
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!() };
        let [key, value] = [1, 2].map(|number| entry.get_field(number).expect("of an entry").kind());
        let entries = (0..count).map(|_| (map_key(&key, choices), single(&value, choices, depth)));
        return Dynamic::Map(entries.collect::<HashMap<_, _>>());
    }
    if field.is_list() {
        return Dynamic::List((0..count).map(|_| single(&field.kind(), choices, depth)).collect());
    }
    single(&field.kind(), choices, depth)
}

fn map_key(kind: &Kind, choices: &mut Choices) -> MapKey {
    match single(kind, choices, 0) {
        Dynamic::Bool(key) => MapKey::Bool(key),
        Dynamic::I32(key) => MapKey::I32(key),
        Dynamic::I64(key) => MapKey::I64(key),
        Dynamic::U32(key) => MapKey::U32(key),
        Dynamic::String(key) => MapKey::String(key),
        other => panic!("{other:?} is no key"),
    }
}

fn single(kind: &Kind, choices: &mut Choices, depth: u8) -> Dynamic {
    let bits = choices.next();
    match kind {
        Kind::Double if bits.is_multiple_of(5) => Dynamic::F64(f64::NAN),
        Kind::Double => Dynamic::F64(f64::from_bits(bits)),
        Kind::Float if bits.is_multiple_of(5) => Dynamic::F32(f32::NEG_INFINITY),
        Kind::Float => Dynamic::F32(f32::from_bits(bits as u32)),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Dynamic::I32(bits as i32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Dynamic::I64(bits.cast_signed()),
        Kind::Uint32 | Kind::Fixed32 => Dynamic::U32(bits as u32),
        Kind::Uint64 | Kind::Fixed64 => Dynamic::U64(bits),
        Kind::Bool => Dynamic::Bool(bits.is_multiple_of(2)),
        Kind::String => Dynamic::String(choices.text()),
        Kind::Bytes => Dynamic::Bytes(Bytes::from(bits.to_le_bytes()[..(bits % 8) as usize].to_vec())),
        Kind::Enum(values) if values.full_name() == "google.protobuf.NullValue" => Dynamic::EnumNumber(0),
        Kind::Enum(_) => Dynamic::EnumNumber([0, 1, -3, 77][bits as usize % 4]),
        Kind::Message(descriptor) => Dynamic::Message(message(descriptor, choices, depth.saturating_sub(1))),
    }
}

/// JSON has no NaN, but Struct may hold one; prost-reflect refuses it.
fn has_json(message: &DynamicMessage) -> Option<Value> {
    serde_json::to_value(message).ok()
}

proptest! {
    #[test]
    fn messages_are_shown_as_prost_reflect_does(choices in proptest::collection::vec(any::<u64>(), 0..400)) {
        thread_local!(static REGISTRY: Registry = registry());
        REGISTRY.with(|registry| {
            let method = registry.method("test.Service/Call").expect("the method");
            let message = message(&method.input(), &mut Choices(choices.into_iter()), 3);
            let Some(expected) = has_json(&message) else { return Ok(()) };
            let bytes = message.encode_to_vec();
            let decoded = registry.to_json("/test.Service/Call", Role::Response, &bytes, false);
            prop_assert_eq!(serde_json::to_value(&decoded).expect("JSON"), expected);
            prop_assert_eq!(decoded.how(), How::Descriptor);
            prop_assert!(decoded.is_complete());
            Ok(())
        })?;
    }
}

#[test]
fn the_comparison_sees_every_kind_of_field() {
    let registry = registry();
    let descriptor = registry.method("test.Service/Call").expect("the method").input();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 1..200_u64 {
        let choices: Vec<u64> =
            (1..400).map(|step| seed.wrapping_mul(step).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 3).collect();
        let message = message(&descriptor, &mut Choices(choices.into_iter()), 3);
        if has_json(&message).is_some() {
            seen.extend(message.fields().map(|(field, _)| field.number()));
        }
    }
    assert_eq!(seen.len(), descriptor.fields().len(), "{seen:?}");
}
