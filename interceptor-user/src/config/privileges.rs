use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scalar::{Scalar, scalar};

/// What the process gives up once everything is attached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Privileges {
    /// Give up the capabilities that only the start takes, and any way to get new ones.
    pub drop: Switch,
    /// Have the kernel refuse system calls (seccomp) and files (Landlock) that are never needed; what of it this kernel
    /// lacks is done without.
    pub sandbox: Switch,
}

impl Default for Privileges {
    fn default() -> Self {
        Self { drop: Switch(true), sandbox: Switch(true) }
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch(pub bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "expected true or false".to_owned())
    }
}

impl fmt::Display for Switch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Switch, "true|false", { "type": "boolean" });
