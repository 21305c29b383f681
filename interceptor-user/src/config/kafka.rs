use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    MaybePath, Period, Switch,
    scalar::{Scalar, scalar},
};

/// Kafka: a record for each exchange, as a line of JSON, keyed by its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Brokers to ask for the others, as `host:port`. Without, nothing is sent.
    pub brokers: Vec<Broker>,
    /// Topic that records are written to. The cluster has it, or makes it when it is asked for.
    pub topic: String,
    /// Whether record batches are compressed.
    pub compression: KafkaCompression,
    /// Whether content is part of the records, as far as policies keep it.
    pub contents: Switch,
    /// Name that we give ourselves, in the brokers' logs and quotas.
    pub client_id: String,
    /// How long an attempt to write may take.
    pub timeout: Period,
    /// Whether connections are encrypted.
    pub tls: Switch,
    /// PEM file of the authority that is trusted; empty trusts those that the system trusts.
    pub certificate: MaybePath,
    /// How we authenticate.
    pub sasl: KafkaSasl,
    /// As whom.
    pub username: String,
    /// File with the password, up to its first line end. Without, the environment variable INTERCEPTOR_KAFKA_PASSWORD has it.
    pub password_file: MaybePath,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: Vec::new(),
            topic: "interceptor".to_owned(),
            compression: KafkaCompression::None,
            contents: Switch(false),
            client_id: "interceptor".to_owned(),
            timeout: Period(Duration::from_secs(10)),
            tls: Switch(false),
            certificate: MaybePath::default(),
            sasl: KafkaSasl::None,
            username: String::new(),
            password_file: MaybePath::default(),
        }
    }
}

/// A broker: host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker(pub String);

impl FromStr for Broker {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let good = text.rsplit_once(':').is_some_and(|(host, port)| {
            // An IPv6 address has brackets.
            let bare = host.starts_with('[') || !host.contains(':');
            !host.is_empty() && bare && !host.contains(['/', ' ', '@']) && port.parse().is_ok_and(|port: u16| port > 0)
        });
        if good { Ok(Self(text.to_owned())) } else { Err("expected host and port, such as kafka.svc:9092".to_owned()) }
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

scalar!(Broker, "host:port", { "type": "string", "pattern": "^.+:[0-9]+$" });

/// Whether record batches are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["none", "snappy", "zstd"]))]
pub enum KafkaCompression {
    /// They are not.
    #[default]
    None,
    /// With Snappy.
    Snappy,
    /// With Zstandard.
    Zstd,
}

/// How we authenticate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("enum" = ["none", "plain", "scram-sha-256", "scram-sha-512"]))]
pub enum KafkaSasl {
    /// We do not.
    #[default]
    None,
    /// PLAIN (RFC 4616); only with TLS is the password a secret then.
    Plain,
    /// SCRAM-SHA-256 (RFC 7677).
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM-SHA-512.
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}
