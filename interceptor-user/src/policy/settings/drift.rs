use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Comparison of features with a baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Drift {}
