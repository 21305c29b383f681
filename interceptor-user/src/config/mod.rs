//! Raw configuration to validated configuration.
//!
//! [`Config`] is the one definition of every key: its field is the YAML key, its type what is allowed, its doc comment
//! the help text and its `Default` the default. The JSON Schema is derived from it, and the command line flags and
//! environment variables are read off that schema (see [`keys`]): `metrics.address` is `--metrics-address` and
//! `INTERCEPTOR_METRICS_ADDRESS`. A flag wins over a variable, a variable over the file, the file over the default.

mod cloudevents;
mod error;
mod inline;
mod inspect;
mod kafka;
mod keys;
mod map;
mod otlp;
mod payloads;
mod place;
mod privileges;
mod quantity;
mod scalar;
mod sinks;
#[cfg(test)]
mod tests;

use std::{fs, net::Ipv4Addr, path::Path};

use schemars::{JsonSchema, Schema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use crate::{flow, model::Cidr, session};

pub use cloudevents::{Cloudevents, EventsIncomplete, EventsMode, EventsUrl};
pub use error::ConfigError;
pub(crate) use error::{closest, list, not_allowed};
pub use inline::{
    Budget, Connections, Ejection, ErrorCode, HealthCheck, HealthChecks, InboundHook, Inline, Percent, RequestLimits,
    Retry, Timeouts, Upstream, Wait,
};
pub use inspect::{Inspect, PolicyPath};
pub use kafka::{Broker, Kafka, KafkaCompression, KafkaSasl};
pub use keys::{Overrides, unknown_variables};
pub use map::Map;
pub use otlp::{Otlp, OtlpCompression, OtlpEndpoint, OtlpProtocol, OtlpSignal, Pair};
pub use payloads::{Payloads, PayloadsCompression, PayloadsFormat, PayloadsTo};
pub use place::{Address, Cgroup, Interface, LogFilter, MaybePath, Netns, Ports, SockOps};
pub use privileges::{Privileges, Switch};
pub use quantity::{Count, Fraction, Period, RingSize, Size};
pub use sinks::{Delivery, Lines, LinesTo};

/// Configuration of the daemon, `interceptor run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// What is captured, and where.
    pub capture: Capture,
    /// Limits of following TCP connections.
    pub flow: Flow,
    /// Limits of decoding and pairing.
    pub session: Session,
    /// What is made of exchanges.
    pub inspect: Inspect,
    /// The inline path: connections that policies steer (`spec.steer`) are carried by this process to where they were going.
    pub inline: Inline,
    /// Metrics, health and readiness over HTTP.
    pub metrics: Metrics,
    /// Service map: who calls whom, and how that goes.
    pub map: Map,
    /// Lines of JSON, one for each exchange, with what was found in it.
    pub lines: Lines,
    /// Bounds of each sink that delivers to somewhere else: lines, OTLP, payloads, Kafka, CloudEvents.
    pub delivery: Delivery,
    /// OTLP: metrics, traces and logs to a collector. What is left at its default here is taken from the standard `OTEL_*`
    /// variables.
    pub otlp: Otlp,
    /// Kafka: a record for each exchange, as a line of JSON, keyed by its model.
    pub kafka: Kafka,
    /// CloudEvents over HTTP, one for each payload of an inference, as KServe's logger sends them.
    pub cloudevents: Cloudevents,
    /// Payload log: what was asked of models and answered, in files by model and hour.
    pub payloads: Payloads,
    /// Logging, to standard error.
    pub log: Log,
    /// What the process gives up once everything is attached.
    pub privileges: Privileges,
}

/// What is captured, and where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Capture {
    /// Interfaces to capture on, by name or pattern (`eth0`, `veth*`), in each of the namespaces. The default is every
    /// interface that is up, if no cgroup is given either. Interfaces that appear later are taken up as they appear.
    pub interfaces: Vec<Interface>,
    /// Network namespaces of the interfaces, by name (as `ip netns` lists them) or path, or by a pattern for either, which
    /// is followed as namespaces come and go. The default is our own.
    pub netns: Vec<Netns>,
    /// `all`: follow every pod of this node as well, as it comes and goes. Of its network namespace we capture what
    /// cannot be seen at our own interfaces: `lo`, and interfaces whose other end is not here.
    pub pods: Pods,
    /// Pods to capture by their cgroup: directories below the cgroup v2 mount, relative to it or absolute, or patterns
    /// for them (`kubepods.slice/*/*`), which are followed.
    pub cgroups: Vec<Cgroup>,
    /// Where to ask the kernel for its own account of every socket: `root`, or a cgroup's directory.
    pub sock_ops: SockOps,
    /// Only connections with one of these ports (either end): `8080`, `9000-9010`.
    pub ports: Vec<Ports>,
    /// Only connections with an address (either end) in one of these networks.
    pub cidrs: Vec<Cidr>,
    /// Which way packets go that are captured, as the interface or the pod sees it.
    pub direction: Direction,
    /// The part of the connections that is captured, each whole or not at all.
    pub sample: Fraction,
    /// Payload bytes of a segment to take at the most; 0 takes all. What is cut is counted as lost.
    pub payload_limit: Size,
    /// Size of the ring buffers between kernel and userspace together: a power of two. Each CPU, up to eight, has a ring
    /// of at least 64 KiB.
    pub ring_size: RingSize,
}

/// Whether the pods of this node are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["none", "all"]))]
pub enum Pods {
    /// No: only what is named is captured.
    #[default]
    None,
    /// Each of them.
    All,
}

/// Which way packets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["both", "ingress", "egress"]))]
pub enum Direction {
    /// Either way.
    #[default]
    Both,
    /// In.
    Ingress,
    /// Out.
    Egress,
}

/// Limits of following TCP connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flow {
    /// Connections followed at a time; beyond it the least recently used is given up.
    pub max_flows: Count,
    /// Out-of-order bytes kept for one connection.
    pub buffer_per_flow: Size,
    /// Out-of-order bytes kept in total.
    pub buffer_total: Size,
    /// A gap is given up once this many bytes wait behind it.
    pub gap_bytes: Size,
    /// A gap is given up after this time.
    pub gap_timeout: Period,
    /// A connection is given up after this time without a packet.
    pub idle_timeout: Period,
    /// A closed connection is kept for this time, for late retransmissions and the kernel's account of it.
    pub linger: Period,
}

/// Limits of decoding and pairing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// Size of a request's or response's head (first line and header fields) at the most.
    pub max_head: Size,
    /// Requests of one connection that may wait for their responses.
    pub pipeline_depth: Count,
    /// Streams of one HTTP/2 connection that may be open at once; beyond that requests are not followed, which the
    /// connection's anomalies say.
    pub streams: Count,
    /// Memory for the heads of one connection's open exchanges; beside as much content as may be kept of one exchange.
    pub memory_per_flow: Size,
    /// Memory for heads, content and open exchanges of all connections in all namespaces; beyond it nothing more is
    /// kept of messages until some is free again, and what is given up is counted.
    pub memory_total: Size,
}

/// Metrics, health and readiness over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Address and port that serve /metrics, /healthz, /readyz, /status and /map.
    pub address: Address,
    /// Sets of labels that HTTP metrics may have; what is beyond is folded into `other` and counted.
    pub max_label_sets: Count,
    /// How a path becomes the label `http_route`: `template` replaces numbers, UUIDs and hashes, `keep` takes it as
    /// sent (only for a known, small set of paths), `drop` leaves it out.
    pub paths: Paths,
}

/// How a path becomes the label `http_route`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["template", "keep", "drop"]))]
pub enum Paths {
    /// Numbers, UUIDs and hashes become placeholders.
    #[default]
    Template,
    /// As sent.
    Keep,
    /// Not at all.
    Drop,
}

/// Logging, to standard error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `off`, `error`, `warn`, `info`, `debug` or `trace`, or a list such as `warn,interceptor::admin=debug`.
    pub level: LogFilter,
    /// Text for people, or one JSON object a line.
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["text", "json"]))]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            netns: Vec::new(),
            pods: Pods::None,
            cgroups: Vec::new(),
            sock_ops: SockOps::Root,
            ports: Vec::new(),
            cidrs: Vec::new(),
            direction: Direction::Both,
            sample: Fraction(1.0),
            payload_limit: Size(0),
            ring_size: RingSize(8 << 20),
        }
    }
}

// The stages know what limits are good; here they get names and units.
impl Default for Flow {
    fn default() -> Self {
        let limits = flow::Limits::default();
        Self {
            max_flows: Count(u32::try_from(limits.flows).unwrap_or(u32::MAX)),
            buffer_per_flow: Size(limits.flow_bytes as u64),
            buffer_total: Size(limits.total_bytes as u64),
            gap_bytes: Size(limits.gap_bytes as u64),
            gap_timeout: Period(limits.gap_time),
            idle_timeout: Period(limits.idle),
            linger: Period(limits.linger),
        }
    }
}

impl From<&Flow> for flow::Limits {
    fn from(flow: &Flow) -> Self {
        Self {
            flows: flow.max_flows.0 as usize,
            flow_bytes: flow.buffer_per_flow.to_usize(),
            total_bytes: flow.buffer_total.to_usize(),
            gap_bytes: flow.gap_bytes.to_usize(),
            gap_time: flow.gap_timeout.0,
            idle: flow.idle_timeout.0,
            linger: flow.linger.0,
            ..Self::default()
        }
    }
}

impl Default for Session {
    fn default() -> Self {
        let limits = session::Limits::default();
        Self {
            max_head: Size(limits.head as u64),
            pipeline_depth: Count(u32::try_from(limits.pipeline).unwrap_or(u32::MAX)),
            streams: Count(u32::try_from(limits.streams).unwrap_or(u32::MAX)),
            memory_per_flow: Size(limits.memory as u64),
            memory_total: Size(256 << 20),
        }
    }
}

impl From<&Session> for session::Limits<'_> {
    fn from(session: &Session) -> Self {
        Self {
            head: session.max_head.to_usize(),
            // What looks into content says so.
            body: 0,
            decide: None,
            pipeline: session.pipeline_depth.0 as usize,
            streams: session.streams.0 as usize,
            memory: session.memory_per_flow.to_usize(),
            messages: false,
            room: usize::MAX,
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            address: Address((Ipv4Addr::LOCALHOST, 9464).into()),
            max_label_sets: Count(500),
            paths: Paths::Template,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { level: LogFilter("info".to_owned()), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads the file, if there is one, and lays variables and flags over it.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        let config = match file {
            Some(path) => {
                let text = fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
                Self::parse(&path.display().to_string(), &text)?
            }
            None => Self::default(),
        };
        overrides.lay_over(&config)
    }

    /// The same, with secrets made unreadable: to be shown.
    #[must_use]
    pub fn masked(&self) -> Self {
        let mut masked = self.clone();
        let headers = masked.otlp.headers.iter_mut().chain(&mut masked.cloudevents.headers);
        headers.for_each(|header| "***".clone_into(&mut header.value));
        masked
    }

    /// From YAML. `name` is what errors call it.
    pub fn parse(name: &str, text: &str) -> Result<Self, ConfigError> {
        // A file without any key, or only comments, is a null document to YAML.
        let config: Option<Self> =
            serde_saphyr::from_str(text).map_err(|error| ConfigError::in_file(name, text, &error))?;
        Ok(config.unwrap_or_default())
    }
}

/// The JSON Schema of the configuration file.
pub fn schema() -> Schema {
    // Inlined, because the flags are read off the leaves, and because it is easier to read for people and editors.
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>();
    schema.insert("title".into(), "interceptor configuration".into());
    schema
}

/// The JSON Schema as it is committed under `docs/` and printed.
pub fn schema_text() -> String {
    format!("{:#}\n", schema().to_value())
}
