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

impl Verdict {
    /// Does it match this rule, and is it in its sample?
    pub fn has(&self, rule: &Arc<str>) -> bool {
        self.rules.iter().any(|said| Arc::ptr_eq(&said.rule, rule) && said.sampled.is_in())
    }

    /// About the bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let findings =
            self.findings.iter().map(|finding| size_of::<Finding>() + finding.place.len() + finding.text.len());
        let extracted = |rule: &RuleVerdict| rule.extracted.iter().map(|(_, value)| json_memory(value)).sum::<usize>();
        let rules = self.rules.iter().map(|rule| size_of::<RuleVerdict>() + extracted(rule));
        size_of::<Self>() + findings.chain(rules).sum::<usize>()
    }
}

fn json_memory(value: &Value) -> usize {
    size_of::<Value>()
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(json_memory).sum(),
            Value::Object(members) => members.iter().map(|(name, value)| name.len() + json_memory(value)).sum(),
            _ => 0,
        }
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

/// What the inline path has done, or would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Would {
    /// `deny`, `route`, `rewrite`, `trace` or `break`.
    pub action: &'static str,
    /// How, in a few words: the status, the upstream, the fields.
    pub detail: String,
    /// It has.
    pub done: bool,
}

impl Would {
    /// `would` or `did`.
    pub const fn name(&self) -> &'static str {
        if self.done { "did" } else { "would" }
    }
}

/// A place that records go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SinkName {
    /// Lines: `tail`, `replay`, and what `run` writes.
    Lines,
    /// Metrics.
    Metrics,
    /// Spans, over OTLP.
    Traces,
    /// Log records, over OTLP.
    Logs,
    /// Files with contents and what they mean.
    Payloads,
    /// Kafka.
    Kafka,
    /// CloudEvents over HTTP.
    Cloudevents,
}

impl SinkName {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 7] =
        [Self::Lines, Self::Metrics, Self::Traces, Self::Logs, Self::Payloads, Self::Kafka, Self::Cloudevents];

    /// Name in policies and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lines => "lines",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Payloads => "payloads",
            Self::Kafka => "kafka",
            Self::Cloudevents => "cloudevents",
        }
    }
}

/// Sinks that a record goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sinks(u8);

impl Sinks {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self((1 << SinkName::ALL.len()) - 1);

    /// Those that carry contents, not only what they mean.
    pub const CONTENTS: Self =
        Self(Self::only(SinkName::Payloads).0 | Self::only(SinkName::Kafka).0 | Self::only(SinkName::Cloudevents).0);

    /// Just this one.
    pub const fn only(name: SinkName) -> Self {
        Self(1 << name as u8)
    }

    /// Is this one among them?
    pub const fn has(self, name: SinkName) -> bool {
        self.0 & Self::only(name).0 != 0
    }

    /// Those in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = SinkName> {
        SinkName::ALL.into_iter().filter(move |name| self.has(*name))
    }
}

impl FromIterator<SinkName> for Sinks {
    fn from_iter<I: IntoIterator<Item = SinkName>>(names: I) -> Self {
        names.into_iter().fold(Self::NONE, |all, name| all.or(Self::only(name)))
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
