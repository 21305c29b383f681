//! The text of policies: YAML, in the style of Kubernetes' resources and of its Gateway API.
//!
//! These types are the one definition of every key: a field is the key, its type what is allowed, its comment the text in
//! the JSON Schema, which is made of them (`docs/policy.schema.json`).

mod action;
mod at;
mod steer;

use std::collections::BTreeMap;

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::Deserialize;

pub(super) use self::at::inside;
use self::at::present;
pub use self::{
    action::{
        Action, BackendRef, Break, Deny, Header, HeaderModifier, PathModifier, Rewrite, Route, Trace, UrlRewrite,
    },
    at::At,
    steer::{Direction, OnFailure, Steer, Workloads},
};
use super::settings::{Drift, Pii, Schema, Transport};
use crate::config::{ConfigError, Fraction, Size, closest, list};

/// A policy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document {
    /// Version of this format.
    #[expect(dead_code, reason = "read for its only value")]
    api_version: ApiVersion,
    /// What this is.
    #[expect(dead_code, reason = "read for its only value")]
    kind: Kind,
    /// What it is called.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
}

/// Version of this format.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum ApiVersion {
    /// The first one; it may still change.
    #[serde(rename = "interceptor/v1alpha1")]
    V1alpha1,
}

/// What a document is.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
enum Kind {
    /// A policy.
    Policy,
}

/// What a policy is called.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Metadata {
    /// Its name, of which there is only one: letters, digits, `-` and `.`, 63 at the most.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"))]
    pub name: At<String>,
    /// For the user's tools; not looked at.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, as every resource of Kubernetes may have them")]
    labels: BTreeMap<String, String>,
    /// For the user's tools; not looked at.
    #[serde(default)]
    #[expect(dead_code, reason = "accepted, as every resource of Kubernetes may have them")]
    annotations: BTreeMap<String, String>,
}

/// What a policy says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Spec {
    /// Is it in force? It is checked either way. The default is yes.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// What becomes of exchanges that no rule of any policy matches. The default is that all sinks get them. Where
    /// several policies say it, the sinks of each get them.
    #[serde(default)]
    pub unmatched: Option<Unmatched>,
    /// Tenants that entries of `steer` name.
    #[serde(default)]
    pub tenants: Vec<Workloads>,
    /// Connections that go by the inline path.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub steer: Option<At<Vec<At<Steer>>>>,
    /// Its rules. Each is asked of each exchange, so that several may match one. Without `steer`, there is at least one.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub rules: Option<At<Vec<At<Rule>>>>,
}

const fn yes() -> bool {
    true
}

/// What becomes of exchanges that no rule matches.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Unmatched {
    /// Sinks that get them; `[]` for none.
    pub sinks: Vec<Sink>,
}

/// A rule.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    /// Its name, of which its policy has only one: letters, digits, `-` and `.`, 63 at the most.
    #[schemars(regex(pattern = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"))]
    pub name: At<String>,
    /// Which exchanges it is about: a CEL expression that gives a bool (`interceptor policy explain` lists variables and
    /// functions). What has no value (no response, no such header) is no match. The default is all of them.
    #[serde(default, rename = "match")]
    pub condition: Option<At<String>>,
    /// Which part of them is looked at. The default is all.
    #[serde(default)]
    pub sample: Option<At<Sample>>,
    /// Values that are taken out of them and reported by name.
    #[serde(default)]
    pub extract: Vec<At<Extract>>,
    /// What looks at them.
    #[serde(default)]
    pub inspect: Inspect,
    /// What is not shown of them, whatever else asks for it.
    #[serde(default)]
    pub redact: Option<At<Redact>>,
    /// Sinks that get them, and what was found. The default is all.
    #[serde(default)]
    pub sinks: Option<At<Vec<Sink>>>,
    /// Bytes of content that are kept, where something looks at content.
    #[serde(default)]
    pub keep: Option<At<Keep>>,
    /// On whose behalf they are made; believed as sent.
    #[serde(default)]
    pub tenant: Option<At<Tenant>>,
    /// What becomes of them on the inline path. The passive path leaves them alone, and reports what would have become.
    #[serde(default)]
    pub action: Option<At<Action>>,
}

/// Which part of what matches is looked at.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sample {
    /// The part: above 0 and up to 1.
    pub rate: Fraction,
    /// A CEL expression that gives a string: exchanges with the same are all in the sample or all not, in every run and on
    /// every node. Where it has no value, and by default, each exchange is drawn by itself.
    #[serde(default)]
    pub key: Option<At<String>>,
    /// A CEL expression that gives a bool: exchanges of which it is true are in the sample whatever the draw says. With it,
    /// content is kept until an exchange is over.
    #[serde(default)]
    pub always: Option<At<String>>,
}

/// A value that is taken out. One of `header`, `trailer`, `query`, `jsonPath`, `protobuf` and `tensor` says where it is.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Extract {
    /// Name that it is reported by; a rule has only one of it.
    pub name: At<String>,
    /// Which message has it. The default is the request.
    #[serde(default)]
    pub from: From,
    /// A header field, by its name.
    #[serde(default)]
    pub header: Option<At<String>>,
    /// A trailer field, by its name.
    #[serde(default)]
    pub trailer: Option<At<String>>,
    /// A parameter of the request's query, by its name.
    #[serde(default)]
    pub query: Option<At<String>>,
    /// A JSONPath (RFC 9535) in a content that is JSON, or in each message of it: event, line.
    #[serde(default)]
    pub json_path: Option<At<String>>,
    /// A field of each message of a gRPC call: `a.b[0].c`, by the names in its definition.
    #[serde(default)]
    pub protobuf: Option<At<String>>,
    /// A tensor or column of an inference, by its name.
    #[serde(default)]
    pub tensor: Option<At<String>>,
}

/// Which message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum From {
    /// The request.
    #[default]
    Request,
    /// The response.
    Response,
}

/// What looks at exchanges. Each is off unless it is named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Inspect {
    /// Models, tokens and timings: what an exchange means to a model server.
    #[serde(deserialize_with = "present")]
    pub inference: Option<Inference>,
    /// Personal data and secrets.
    #[serde(deserialize_with = "present")]
    pub pii: Option<Pii>,
    /// Features compared with a baseline.
    #[serde(deserialize_with = "present")]
    pub drift: Option<Drift>,
    /// Contents compared with what is declared.
    #[serde(deserialize_with = "present")]
    pub schema: Option<Schema>,
    /// What is odd about how exchanges were carried.
    #[serde(deserialize_with = "present")]
    pub transport: Option<Transport>,
}

/// What is read of inferences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Inference {
    /// Tokens that the wire does not state are estimated from the text, and said to be. The default is no.
    pub estimate_tokens: bool,
}

/// What is not shown.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Redact {
    /// Header and trailer fields, by their names. Those that are known to hold secrets are masked in any case.
    pub headers: Vec<At<String>>,
    /// Parameters of the query, by their names.
    pub query: Vec<At<String>>,
    /// JSONPaths (RFC 9535) in contents that are JSON.
    pub json_path: Vec<At<String>>,
    /// What `inspect.pii` finds.
    pub pii: bool,
}

/// A sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Sink {
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

/// Bytes of content that are kept, decompressed, of each message.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Keep {
    /// Of the request: `64KiB`, up to `64MiB`; 0 for none. The default is `1MiB`.
    #[serde(default = "keep")]
    pub request: Size,
    /// Of the response, likewise.
    #[serde(default = "keep")]
    pub response: Size,
}

const fn keep() -> Size {
    Size(1 << 20)
}

impl Default for Keep {
    fn default() -> Self {
        Self { request: keep(), response: keep() }
    }
}

/// On whose behalf a request is made. Nothing of it is verified. One of the two.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Tenant {
    /// A header field, by its name.
    #[serde(default)]
    pub header: Option<At<String>>,
    /// A claim of the bearer token (RFC 7519) in `Authorization`: `sub`, `https://example.com/tenant`.
    #[serde(default)]
    pub jwt_claim: Option<At<String>>,
}

impl Document {
    /// The documents of a file. `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Vec<Self>, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_multiple_with_options(text, options)
            .map_err(|error| ConfigError::in_yaml(name, text, &error, unknown_key))
    }
}

fn unknown_key(key: &str, expected: &[&str]) -> String {
    match closest(key, expected.iter().copied()) {
        Some(meant) => format!("unknown key `{key}`; did you mean `{meant}`?"),
        None if expected.is_empty() => format!("unknown key `{key}`; there are none here"),
        None => format!("unknown key `{key}`; expected one of {}", list(expected)),
    }
}

/// The JSON Schema of a policy, as it is committed under `docs/` and printed.
pub fn schema_text() -> String {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    schema.insert("title".into(), "interceptor policy".into());
    format!("{:#}\n", schema.to_value())
}
