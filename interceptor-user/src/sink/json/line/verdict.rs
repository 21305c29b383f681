use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use crate::model::{Exchange, Finding, Role, RuleVerdict, Uninspected};

/// What the policy says of the exchange, and what inspectors saw.
#[derive(Default, Serialize, JsonSchema)]
pub(super) struct VerdictLine<'a> {
    /// Rules of the policy that it matches.
    #[serde(rename = "interceptor.policy.rules", skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleLine<'a>>,
    /// What inspectors saw in it; the values themselves are never told.
    #[serde(rename = "interceptor.findings", skip_serializing_if = "Vec::is_empty")]
    findings: Vec<FindingLine<'a>>,
    /// What they did not look at.
    #[serde(rename = "interceptor.uninspected", skip_serializing_if = "Vec::is_empty")]
    uninspected: Vec<UninspectedLine<'a>>,
}

/// What one rule says.
#[derive(Serialize, JsonSchema)]
struct RuleLine<'a> {
    /// Policy and rule: `policy/rule`.
    rule: &'a str,
    /// Why it is in the rule's sample, or that it is not.
    #[schemars(extend("enum" = ["all", "rate", "always", "out"]))]
    sampled: &'static str,
    /// Values that were extracted, by the names that the rule gives them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, Value>>")]
    extracted: Option<Extracted<'a>>,
    /// What the inline path would have done.
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<ActionLine<'a>>,
    /// What the inline path has done.
    #[serde(skip_serializing_if = "Option::is_none")]
    did: Option<ActionLine<'a>>,
}

/// What the inline path does.
#[derive(Serialize, JsonSchema)]
struct ActionLine<'a> {
    /// `deny`, `route`, `rewrite`, `trace` or `break`.
    action: &'static str,
    /// How.
    #[serde(skip_serializing_if = "str::is_empty")]
    detail: &'a str,
}

struct Extracted<'a>(&'a RuleVerdict);

impl Serialize for Extracted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.extracted.iter().map(|(name, value)| (&**name, value)))
    }
}

/// Something that an inspector saw.
#[derive(Serialize, JsonSchema)]
struct FindingLine<'a> {
    /// Who saw it.
    #[schemars(extend("enum" = ["pii", "drift", "schema", "transport"]))]
    inspector: &'static str,
    /// What it is: an entity as Microsoft Presidio names it, a keyword of JSON Schema, an anomaly.
    kind: &'a str,
    /// In which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["request", "response"]))]
    direction: Option<&'static str>,
    /// Where in it: a JSONPath (RFC 9535), `header:NAME`, `query:NAME`, `form:NAME`, `tensor:NAME`, `body`.
    place: &'a str,
    /// How sure it is.
    #[schemars(range(min = 0, max = 1))]
    score: f32,
    /// The value, masked.
    #[serde(skip_serializing_if = "Option::is_none")]
    masked: Option<&'a str>,
    /// HMAC-SHA-256 of the value under this program's key, the first 16 bytes, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<&'a str>,
    /// What to say beside that.
    #[serde(skip_serializing_if = "str::is_empty")]
    text: &'a str,
    /// How often it was seen at this place.
    count: u32,
    /// The rule that asked.
    rule: &'a str,
}

/// Something that was not looked at.
#[derive(Serialize, JsonSchema)]
struct UninspectedLine<'a> {
    /// Which inspector did not.
    #[schemars(extend("enum" = ["pii", "drift", "schema", "transport"]))]
    inspector: &'static str,
    /// In which message.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["request", "response"]))]
    direction: Option<&'static str>,
    /// Why.
    #[schemars(extend("enum" = ["time", "bytes", "not_kept", "missing", "malformed", "unsupported"]))]
    reason: &'static str,
    /// The rule that asked.
    rule: &'a str,
}

impl<'a> VerdictLine<'a> {
    pub(super) fn of(exchange: &'a Exchange) -> Self {
        let Some(verdict) = &exchange.verdict else { return Self::default() };
        Self {
            rules: verdict.rules.iter().map(RuleLine::of).collect(),
            findings: verdict.findings.iter().map(FindingLine::of).collect(),
            uninspected: verdict.uninspected.iter().map(UninspectedLine::of).collect(),
        }
    }
}

impl<'a> RuleLine<'a> {
    fn of(verdict: &'a RuleVerdict) -> Self {
        let action = |done| {
            let would = verdict.would.as_ref().filter(|would| would.done == done)?;
            Some(ActionLine { action: would.action, detail: &would.detail })
        };
        Self {
            rule: &verdict.rule,
            sampled: verdict.sampled.name(),
            extracted: (!verdict.extracted.is_empty()).then_some(Extracted(verdict)),
            would: action(false),
            did: action(true),
        }
    }
}

impl<'a> FindingLine<'a> {
    fn of(finding: &'a Finding) -> Self {
        Self {
            inspector: finding.inspector.name(),
            kind: &finding.kind,
            direction: finding.role.map(Role::name),
            place: &finding.place,
            score: finding.score,
            masked: finding.value.as_ref().map(|value| value.masked.as_str()),
            hash: finding.value.as_ref().map(|value| value.hash.as_str()),
            text: &finding.text,
            count: finding.count,
            rule: &finding.rule,
        }
    }
}

impl<'a> UninspectedLine<'a> {
    fn of(uninspected: &'a Uninspected) -> Self {
        Self {
            inspector: uninspected.inspector.name(),
            direction: uninspected.role.map(Role::name),
            reason: uninspected.reason.name(),
            rule: &uninspected.rule,
        }
    }
}
