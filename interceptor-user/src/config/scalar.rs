//! What all single values have in common: they are read from text, wherever that text stands.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer, de};

/// The text of a YAML scalar. A number or a truth value is taken as it would be written on a command line, so that one
/// `FromStr` per type serves files, flags and variables, and its errors read the same everywhere.
pub(super) struct Scalar(pub(super) String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Scalar;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a single value")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Scalar, E> {
                Ok(Scalar(text.to_owned()))
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Scalar, E> {
                Ok(Scalar(value.to_string()))
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

/// Writes the text as a number or a truth value where that reads back as the same text.
pub(super) fn write<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(truth) = text.parse() {
        return serializer.serialize_bool(truth);
    }
    match (text.parse::<u64>(), text.parse::<f64>()) {
        (Ok(number), _) if number.to_string() == text => serializer.serialize_u64(number),
        (_, Ok(number)) if number.to_string() == text && number.is_finite() => serializer.serialize_f64(number),
        _ => serializer.serialize_str(text),
    }
}

/// Makes a type with `FromStr<Err = String>` and `Display` a configuration value: read by serde through [`Scalar`],
/// written as its text, and described in the JSON Schema under the given name.
macro_rules! scalar {
    ($type:ty, $format:literal, $schema:tt) => {
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let Scalar(text) = Scalar::deserialize(deserializer)?;
                text.parse().map_err(|expected| serde::de::Error::custom(format_args!("`{text}`: {expected}")))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::config::scalar::write(&self.to_string(), serializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $format.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut schema = schemars::json_schema!($schema);
                schema.insert("format".into(), $format.into());
                schema
            }
        }
    };
}

pub(super) use scalar;
