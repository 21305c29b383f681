use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Error;
use crate::model::Datatype;

/// Check of contents against what is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Schema {
    /// JSON Schema of the request's content.
    pub request: Option<Source>,
    /// JSON Schema of the response's content, where its status is 2xx.
    pub response: Option<Source>,
    /// Tensors that the model takes.
    pub inputs: Vec<Signature>,
    /// Tensors that it gives.
    pub outputs: Vec<Signature>,
    /// Tensors that are not declared are violations.
    pub closed: bool,
    /// Violations of one exchange that are told.
    pub max_findings: usize,
}

impl Default for Schema {
    fn default() -> Self {
        Self { request: None, response: None, inputs: Vec::new(), outputs: Vec::new(), closed: false, max_findings: 50 }
    }
}

/// Where a JSON Schema is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Here. References (`$ref`) lead within it.
    Inline(Value),
    /// In this file, as JSON.
    File(String),
}

/// A tensor, or a column, as declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Signature {
    /// Its name.
    pub name: String,
    /// Type of its elements, by the Open Inference Protocol's names (`FP32`); any where it is left out.
    #[serde(default)]
    pub datatype: Option<String>,
    /// Its shape, -1 where any size will do; any where it is left out.
    #[serde(default)]
    pub shape: Option<Vec<i64>>,
    /// It has to be there.
    #[serde(default = "yes")]
    pub required: bool,
}

const fn yes() -> bool {
    true
}

impl Schema {
    /// Says what is wrong with it, and what is allowed. That schemas compile is found out where they are compiled.
    pub fn validate(&self) -> Result<(), Error> {
        if self.request.is_none() && self.response.is_none() && self.inputs.is_empty() && self.outputs.is_empty() {
            return Err(Error::new("schema", "nothing is declared: give request, response, inputs or outputs"));
        }
        for (field, signatures) in [("inputs", &self.inputs), ("outputs", &self.outputs)] {
            for (index, one) in signatures.iter().enumerate() {
                let datatype = one.datatype.as_deref();
                if let Some(name) = datatype.filter(|name| Datatype::named(name).is_none()) {
                    let known = Datatype::ALL.map(Datatype::name).join(", ");
                    let message = format!("'{name}' is no type: allowed are {known}");
                    return Err(Error::new(format!("{field}[{index}].datatype"), message));
                }
                if one.shape.iter().flatten().any(|size| *size < -1) {
                    let message = "a size is -1, for any, or 0 or more";
                    return Err(Error::new(format!("{field}[{index}].shape"), message));
                }
                if signatures.iter().filter(|other| other.name == one.name).count() > 1 {
                    return Err(Error::new(format!("{field}[{index}].name"), format!("'{}' is there twice", one.name)));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_say_what_is_allowed() {
        for (json, expected) in [
            ("{}", "schema: nothing is declared"),
            (
                r#"{"inputs":[{"name":"x","datatype":"float"}]}"#,
                "inputs[0].datatype: 'float' is no type: allowed are BOOL",
            ),
            (r#"{"outputs":[{"name":"x","shape":[-2]}]}"#, "outputs[0].shape: a size is -1"),
            (r#"{"inputs":[{"name":"x"},{"name":"x"}]}"#, "inputs[0].name: 'x' is there twice"),
        ] {
            let error = serde_json::from_str::<Schema>(json).unwrap().validate().unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let good =
            r#"{"request":{"inline":{"type":"object"}},"inputs":[{"name":"x","datatype":"FP32","shape":[-1,4]}]}"#;
        serde_json::from_str::<Schema>(good).unwrap().validate().unwrap();
    }
}
