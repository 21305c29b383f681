use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Fraction, MaybePath, Period,
    scalar::{Scalar, scalar},
};

/// OTLP: metrics, traces and logs to a collector. What is left at its default here is taken from the standard `OTEL_*`
/// variables.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// URL of the collector: `http://collector:4317`. Empty sends nothing, unless OTEL_EXPORTER_OTLP_ENDPOINT is set.
    pub endpoint: OtlpEndpoint,
    /// `grpc`, `http/protobuf`, or `auto`: HTTP for port 4318 or a URL with a path, else gRPC.
    pub protocol: OtlpProtocol,
    /// What is sent.
    pub signals: Vec<OtlpSignal>,
    /// Header fields of each request, as `name=value`. Values are secrets and are not shown.
    pub headers: Vec<Pair>,
    /// Whether requests are compressed.
    pub compression: OtlpCompression,
    /// How long a request may take.
    pub timeout: Period,
    /// PEM file of the authority that is trusted; empty trusts those that the system trusts.
    pub certificate: MaybePath,
    /// How often metrics are sent.
    pub metrics_interval: Period,
    /// The part of the traces that begin here (without a parent on the wire) that is sent. Those with a parent are sent if
    /// that is sampled.
    pub sample: Fraction,
    /// How long a client's span waits for the server's span that it may belong to.
    pub parent_wait: Period,
    /// `service.name` of what has no better one than its process.
    pub service_name: String,
    /// More attributes of every resource, as `name=value`.
    pub resource: Vec<Pair>,
}

impl Default for Otlp {
    fn default() -> Self {
        Self {
            endpoint: OtlpEndpoint::default(),
            protocol: OtlpProtocol::Auto,
            signals: vec![OtlpSignal::Traces, OtlpSignal::Metrics, OtlpSignal::Logs],
            headers: Vec::new(),
            compression: OtlpCompression::None,
            timeout: Period(Duration::from_secs(10)),
            certificate: MaybePath::default(),
            metrics_interval: Period(Duration::from_mins(1)),
            sample: Fraction(1.0),
            parent_wait: Period(Duration::from_secs(5)),
            service_name: String::new(),
            resource: Vec::new(),
        }
    }
}

/// A URL, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtlpEndpoint(pub String);

impl FromStr for OtlpEndpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url = text.trim_end_matches('/');
        let parsed = reqwest::Url::parse(url);
        let secret = |url: &reqwest::Url| {
            !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some()
        };
        if parsed.as_ref().is_ok_and(secret) {
            return Err(
                "a URL without user, password, query and fragment is expected; what authenticates belongs into \
                        the headers"
                    .to_owned(),
            );
        }
        let good = parsed.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_empty() || good {
            Ok(Self(url.to_owned()))
        } else {
            Err("expected a URL such as http://collector:4317 or https://otlp.example.com:4318".to_owned())
        }
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

scalar!(OtlpEndpoint, "url", { "type": "string", "pattern": "^(https?://.+)?$" });

/// A name and a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// Name.
    pub name: String,
    /// Value; may be a secret.
    pub value: String,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=***", self.name)
    }
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                Ok(Self { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err("expected `name=value`".to_owned()),
        }
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

scalar!(Pair, "name=value", { "type": "string", "pattern": "^[^=]+=.*$" });

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("enum" = ["auto", "grpc", "http/protobuf"]))]
pub enum OtlpProtocol {
    /// By the URL.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// gRPC.
    #[serde(rename = "grpc")]
    Grpc,
    /// Protobuf over HTTP.
    #[serde(rename = "http/protobuf")]
    Http,
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["traces", "metrics", "logs"]))]
pub enum OtlpSignal {
    /// Spans.
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

/// Whether requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["none", "gzip"]))]
pub enum OtlpCompression {
    /// They are not.
    #[default]
    None,
    /// With gzip.
    Gzip,
}
