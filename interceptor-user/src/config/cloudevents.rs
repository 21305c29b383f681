use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MaybePath, Pair, Period,
    scalar::{Scalar, scalar},
};

/// CloudEvents over HTTP, one for each payload of an inference, as KServe's logger sends them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cloudevents {
    /// URL that events are posted to: `http://detector.models.svc/`. Empty sends nothing.
    pub url: EventsUrl,
    /// Which payloads are sent.
    pub mode: EventsMode,
    /// Attribute `source` of each event; empty for the address of the server.
    pub source: String,
    /// Attribute `inferenceservicename`; empty for the name of the model.
    pub inference_service: String,
    /// Attribute `namespace`; empty leaves it out.
    pub namespace: String,
    /// Attribute `endpoint`: `default` or `canary`.
    pub endpoint: String,
    /// Attribute `component`: `predictor`, `transformer` or `explainer`.
    pub component: String,
    /// Header fields of the request that the attribute `metadata` holds, by name. Their values are not masked.
    pub metadata_headers: Vec<String>,
    /// What becomes of a payload that is not whole: cut, redacted, or with bytes missing.
    pub incomplete: EventsIncomplete,
    /// Header fields of each event's request, as `name=value`. Values are secrets and are not shown.
    pub headers: Vec<Pair>,
    /// How long the receiver may take for one event.
    pub timeout: Period,
    /// PEM file of the authority that is trusted; empty trusts those that the system trusts.
    pub certificate: MaybePath,
}

impl Default for Cloudevents {
    fn default() -> Self {
        Self {
            url: EventsUrl::default(),
            mode: EventsMode::All,
            source: String::new(),
            inference_service: String::new(),
            namespace: String::new(),
            endpoint: "default".to_owned(),
            component: "predictor".to_owned(),
            metadata_headers: Vec::new(),
            incomplete: EventsIncomplete::Mark,
            headers: Vec::new(),
            timeout: Period(Duration::from_secs(10)),
            certificate: MaybePath::default(),
        }
    }
}

/// A URL, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventsUrl(pub String);

impl FromStr for EventsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = reqwest::Url::parse(text).is_ok_and(|url| {
            // What is in a URL is shown in errors and by --check.
            let secret = !url.username().is_empty() || url.password().is_some();
            matches!(url.scheme(), "http" | "https") && url.has_host() && !secret
        });
        if text.is_empty() || good {
            Ok(Self(text.to_owned()))
        } else {
            Err("expected a URL such as http://detector.models.svc/ (what authenticates belongs into `headers`)"
                .to_owned())
        }
    }
}

impl fmt::Display for EventsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

scalar!(EventsUrl, "url", { "type": "string", "pattern": "^(https?://.+)?$" });

/// Which payloads are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["all", "request", "response"]))]
pub enum EventsMode {
    /// Those of requests, and of responses that succeeded.
    #[default]
    All,
    /// Those of requests.
    Request,
    /// Those of responses that succeeded.
    Response,
}

/// What becomes of a payload that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["mark", "skip"]))]
pub enum EventsIncomplete {
    /// What there is of it is sent, with an attribute that says so.
    #[default]
    Mark,
    /// It is not sent, and counted as refused.
    Skip,
}
