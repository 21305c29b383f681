use std::str::FromStr;

use super::Invalid;
use crate::model::glob;

/// A path: a pattern for the whole of it if it has `*` (which also stands for `/`) or `?`, else what it begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// It begins with this.
    Prefix(String),
    /// It is like this.
    Pattern(String),
}

impl FromStr for PathPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if !text.starts_with(['/', '*']) {
            let hint = if text.contains("://") { "; use --host for the host" } else { "" };
            return Err(Invalid(format!(
                "allowed are a beginning ('/v2/models') or a pattern for the whole path ('/v2/*/infer'), from '/' or '*' on{hint}"
            )));
        }
        Ok(if glob::is_pattern(text) { Self::Pattern(text.to_owned()) } else { Self::Prefix(text.to_owned()) })
    }
}

impl PathPattern {
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()),
            Self::Pattern(pattern) => glob::matches(pattern, path),
        }
    }
}
