use std::{fmt, sync::Arc};

use serde_json::Value;

use super::{Exchange, Finding, Role, Uninspected};

/// What the policy says of one exchange.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Rules that it matches, in the policy's order.
    pub rules: Vec<RuleVerdict>,
    /// What inspectors saw, in the order of rules and inspectors.
    pub findings: Vec<Finding>,
    /// What they did not look at.
    pub uninspected: Vec<Uninspected>,
    /// On whose behalf it was made, as the request says; unverified.
    pub tenant: Option<String>,
    /// Sinks that get it.
    pub sinks: Sinks,
}

/// What one rule says.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleVerdict {
    /// `policy/rule`.
    pub rule: Arc<str>,
    /// Is it in the rule's sample? If not, it is counted and nothing else.
    pub sampled: Sampled,
    /// Values that were extracted, by the names that the rule gives them; a list where there were several.
    pub extracted: Vec<(Arc<str>, Value)>,
    /// What the inline path would have done.
    pub would: Option<Would>,
}

/// Why an exchange is, or is not, in a rule's sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sampled {
    /// The rule samples nothing: each is.
    All,
    /// It fell into the rate.
    Rate,
    /// It failed, or was slow, and the rule always takes those.
    Always,
    /// It is not.
    Out,
}

impl Sampled {
    /// Is it in the sample?
    pub const fn is_in(self) -> bool {
        !matches!(self, Self::Out)
    }

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Rate => "rate",
            Self::Always => "always",
            Self::Out => "out",
        }
    }
}

/// What the inline path would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// `deny`, `route`, `rewrite` or `break`.
    pub action: &'static str,
    /// How, in a few words: the status, the upstream, the fields.
    pub detail: String,
}

/// Sinks that a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sinks {
    /// Lines: `tail`, `replay`, and what `run` writes.
    pub lines: bool,
    /// Metrics.
    pub metrics: bool,
}

impl Sinks {
    /// None of them.
    pub const NONE: Self = Self { lines: false, metrics: false };
    /// All of them.
    pub const ALL: Self = Self { lines: true, metrics: true };

    /// Those in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { lines: self.lines || other.lines, metrics: self.metrics || other.metrics }
    }
}

impl Default for Sinks {
    fn default() -> Self {
        Self::ALL
    }
}

/// What has to be kept of an exchange for all that is asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bytes of the request's content.
    pub request: usize,
    /// Bytes of the response's content.
    pub response: usize,
}

impl Needs {
    /// As much of either.
    pub const fn both(bytes: usize) -> Self {
        Self { request: bytes, response: bytes }
    }

    /// Of the message of this role.
    pub const fn of(self, role: Role) -> usize {
        match role {
            Role::Request => self.request,
            Role::Response => self.response,
        }
    }

    /// What both need.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { request: self.request.max(other.request), response: self.response.max(other.response) }
    }
}

/// Decides what is kept of an exchange: asked at the request's head and again at the response's, with what is known by then.
#[derive(Clone, Copy)]
pub struct Decide<'a>(pub &'a (dyn Fn(&Exchange) -> Needs + Sync));

impl fmt::Debug for Decide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decide")
    }
}
