use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Check of contents against what is declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Schema {}
