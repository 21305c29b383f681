use schemars::JsonSchema;
use serde::Deserialize;

use super::{At, present};
use crate::config::{Count, Period};

/// What becomes of an exchange on the inline path. One of them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Action {
    /// It is answered instead of forwarded.
    pub deny: Option<Deny>,
    /// It is sent to other backends.
    pub route: Option<Route>,
    /// It is changed on its way, in the terms of the Gateway API's filters `URLRewrite` and `RequestHeaderModifier`.
    pub rewrite: Option<At<Rewrite>>,
    /// It gets a trace context (W3C Trace Context, `traceparent`) if it has none that is valid.
    #[serde(deserialize_with = "present")]
    pub trace: Option<Trace>,
    /// Backends that fail are left alone for a while, in the terms of Istio's outlier detection.
    #[serde(rename = "break")]
    pub breaker: Option<Break>,
}

/// A trace context.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Trace {}

/// An answer instead of the backend's.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Deny {
    /// Its status code: 400 to 599. The default is 403.
    #[schemars(range(min = 400, max = 599))]
    pub status: At<u16>,
    /// Its text. The default is none.
    pub message: String,
}

impl Default for Deny {
    fn default() -> Self {
        Self { status: At { value: 403, place: (0, 0) }, message: String::new() }
    }
}

/// Other backends.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Route {
    /// They are chosen from by their weights.
    #[schemars(length(min = 1))]
    pub backend_refs: At<Vec<BackendRef>>,
}

/// A backend: a service of Kubernetes, or a host.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BackendRef {
    /// Its name.
    pub name: String,
    /// Kubernetes' namespace that it is in. The default is that of the backend that was asked for.
    #[serde(default)]
    pub namespace: Option<String>,
    /// Its port. The default is the one that was asked for.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub port: Option<At<u16>>,
    /// Its share, of the sum of all weights. The default is 1.
    #[serde(default = "one")]
    pub weight: u32,
}

const fn one() -> u32 {
    1
}

/// Changes to a request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Rewrite {
    /// To whom and for what it is.
    pub url_rewrite: Option<UrlRewrite>,
    /// Its header fields.
    pub request_header_modifier: Option<HeaderModifier>,
}

/// Another host, another path.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct UrlRewrite {
    /// `Host`, or `:authority`.
    pub hostname: Option<String>,
    /// Path.
    pub path: Option<PathModifier>,
}

/// Another path.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", deny_unknown_fields, rename_all_fields = "camelCase")]
pub enum PathModifier {
    /// The whole of it.
    ReplaceFullPath {
        /// What takes its place.
        replace_full_path: String,
    },
    /// Its beginning.
    ReplacePrefixMatch {
        /// The beginning; the Gateway API has it in the route's match.
        prefix_match: String,
        /// What takes its place.
        replace_prefix_match: String,
    },
}

/// Changes to header fields.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct HeaderModifier {
    /// They take the place of those of their names.
    pub set: Vec<Header>,
    /// They are added.
    pub add: Vec<Header>,
    /// Those of these names are removed.
    pub remove: Vec<String>,
}

/// A header field.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// When a backend is left alone, and for how long.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Break {
    /// After this many responses of class 5xx, or connections that failed, in a row. The default is 5.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_errors: Count,
    /// For this time, times how often it was left alone already. The default is `30s`.
    pub base_ejection_time: Period,
    /// Time between two looks at it. The default is `10s`.
    pub interval: Period,
}

impl Default for Break {
    fn default() -> Self {
        Self {
            consecutive_errors: Count(5),
            base_ejection_time: Period(std::time::Duration::from_secs(30)),
            interval: Period(std::time::Duration::from_secs(10)),
        }
    }
}
