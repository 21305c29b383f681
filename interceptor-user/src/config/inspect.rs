use std::{fmt, path::PathBuf, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Size, Switch,
    scalar::{Scalar, scalar},
};
use crate::inference;

/// What is made of exchanges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inspect {
    /// Files with policies, or directories of such (`*.yaml`, `*.yml`). They are read anew when they change; if
    /// one is bad, all stay as they were.
    pub policies: Vec<PolicyPath>,
    /// Bytes of each content of an inference (a request to a model server) that are kept to be read, where no policy says
    /// otherwise; 0 reads none.
    pub inference_body: Size,
    /// Estimate tokens that the wire does not state; they are labelled as estimated.
    pub estimate_tokens: Switch,
}

impl Default for Inspect {
    fn default() -> Self {
        Self { policies: Vec::new(), inference_body: Size(inference::BODY as u64), estimate_tokens: Switch(false) }
    }
}

/// A file or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyPath(pub PathBuf);

impl FromStr for PolicyPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("expected the path of a file or directory".to_owned()) } else { Ok(Self(text.into())) }
    }
}

impl fmt::Display for PolicyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

scalar!(PolicyPath, "path", { "type": "string", "minLength": 1 });
