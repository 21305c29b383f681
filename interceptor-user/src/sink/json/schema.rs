//! The JSON Schema of the output, generated from the type that is written.

use schemars::{
    JsonSchema, Schema, SchemaGenerator,
    generate::SchemaSettings,
    json_schema,
    transform::{Transform, transform_subschemas},
};

use super::{DriftLine, EdgeLine, ExchangeLine, FlowLine, MessageLine};
use crate::model::Anomaly;

/// The schema (draft 2020-12) as indented JSON that ends with a newline; `docs/exchange.schema.json` is this.
pub fn exchange() -> anyhow::Result<String> {
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(NeverNull);
    let schema = settings.into_generator().into_root_schema_for::<Line>();
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

/// A line of `interceptor tail` or `interceptor replay` with `-o json`.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its schema is needed")]
enum Line {
    Exchange(Box<ExchangeLine<'static>>),
    Flow(Box<FlowLine<'static>>),
    Message(Box<MessageLine<'static>>),
    Drift(Box<DriftLine<'static>>),
    Edge(Box<EdgeLine<'static>>),
}

pub(super) fn anomalies(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": { "enum": Anomaly::ALL.map(Anomaly::name) },
        "uniqueItems": true
    })
}

/// An unknown value is left out, so that no key is ever null.
#[derive(Clone)]
struct NeverNull;

impl Transform for NeverNull {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(serde_json::Value::Array(types)) = object.get_mut("type") {
            types.retain(|name| name != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        if let Some(serde_json::Value::Array(values)) = object.get_mut("enum") {
            values.retain(|value| !value.is_null());
        }
        // `anyOf: [T, null]` is T.
        if let Some(serde_json::Value::Array(either)) = object.get_mut("anyOf") {
            either.retain(|one| one.get("type").is_none_or(|name| name != "null"));
            if let [serde_json::Value::Object(only)] = &either[..] {
                let only = only.clone();
                object.remove("anyOf");
                object.extend(only);
            }
        }
    }
}
