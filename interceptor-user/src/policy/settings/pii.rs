use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Search for personal data and secrets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Pii {}
