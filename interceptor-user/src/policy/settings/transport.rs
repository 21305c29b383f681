use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Report of what is odd about how exchanges were carried.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Transport {}
