//! Attributes and values of OTLP.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use serde_json::Value as Json;

/// Bytes of a text at the most; what is longer is cut. A request is no larger than what receivers take by default.
const TEXT_MAX: usize = 4096;

/// Who made spans and log records.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "interceptor".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// An attribute.
pub(super) fn attribute(name: impl Into<String>, value: Value) -> KeyValue {
    KeyValue { key: name.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// One that is a text.
pub(super) fn text(name: impl Into<String>, value: impl Into<String>) -> KeyValue {
    attribute(name, Value::StringValue(cut(value.into())))
}

/// One that is a number.
pub(super) fn number(name: impl Into<String>, value: u64) -> KeyValue {
    attribute(name, integer(value))
}

/// One that says yes or no.
pub(super) fn flag(name: impl Into<String>, value: bool) -> KeyValue {
    attribute(name, Value::BoolValue(value))
}

/// One that is a list of texts.
pub(super) fn texts<T: Into<String>>(name: impl Into<String>, values: impl IntoIterator<Item = T>) -> KeyValue {
    let values = values.into_iter().map(|value| AnyValue { value: Some(Value::StringValue(cut(value.into()))) });
    attribute(name, Value::ArrayValue(ArrayValue { values: values.collect() }))
}

/// A text as a value.
pub(super) fn any_text(value: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(cut(value.into()))) }
}

/// Attributes of a span: objects, and lists of them, are left out, because many stores take none.
pub(super) fn plain(name: String, value: Json) -> Option<KeyValue> {
    let holds_object = |values: &Vec<Json>| values.iter().any(|value| value.is_object() || value.is_array());
    match &value {
        Json::Null | Json::Object(_) => None,
        Json::Array(values) if holds_object(values) => None,
        _ => Some(attribute(name, any(value)?)),
    }
}

/// Attributes of a log record, which may be anything.
pub(super) fn whole(name: String, value: Json) -> Option<KeyValue> {
    Some(attribute(name, any(value)?))
}

fn any(value: Json) -> Option<Value> {
    Some(match value {
        Json::Null => return None,
        Json::Bool(value) => Value::BoolValue(value),
        Json::Number(value) => match (value.as_u64(), value.as_i64(), value.as_f64()) {
            (Some(value), ..) => integer(value),
            (_, Some(value), _) => Value::IntValue(value),
            (.., value) => Value::DoubleValue(value?),
        },
        Json::String(value) => Value::StringValue(cut(value)),
        Json::Array(values) => {
            let values = values.into_iter().map(|value| AnyValue { value: any(value) });
            Value::ArrayValue(ArrayValue { values: values.collect() })
        }
        Json::Object(members) => {
            let values = members.into_iter().filter_map(|(name, value)| whole(name, value));
            Value::KvlistValue(KeyValueList { values: values.collect() })
        }
    })
}

/// OTLP's integers have a sign; what is beyond them is a text.
fn integer(value: u64) -> Value {
    i64::try_from(value).map_or_else(|_| Value::StringValue(value.to_string()), Value::IntValue)
}

fn cut(mut text: String) -> String {
    if text.len() > TEXT_MAX {
        text.truncate(text.floor_char_boundary(TEXT_MAX));
    }
    text
}
