//! What goes where: our configuration, and below it the standard variables
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).

use std::{path::PathBuf, time::Duration};

use super::{LOGS, METRICS, Protocol, TRACES, Target};
use crate::config::{Otlp, OtlpCompression, OtlpProtocol, OtlpSignal};

/// Looks up an environment variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What is to be sent, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Spans go here.
    pub traces: Option<Target>,
    /// Metrics go here.
    pub metrics: Option<Target>,
    /// Log records go here.
    pub logs: Option<Target>,
    /// How often metrics do.
    pub metrics_interval: Duration,
    /// The part of the traces that begin here that is sent.
    pub sample: f64,
    /// How long a client's span waits for the server's span that it may belong to.
    pub parent_wait: Duration,
    /// `service.name` of what has no better one.
    pub service_name: Option<String>,
    /// Attributes of every resource.
    pub resource: Vec<(String, String)>,
    /// What was passed over, and why: to be told.
    pub warnings: Vec<String>,
}

impl Settings {
    /// From our configuration and the variables.
    pub fn new(config: &Otlp, lookup: Lookup<'_>) -> Self {
        let mut read = Reader { config, lookup, warnings: Vec::new() };
        let [traces, metrics, logs] = [
            (OtlpSignal::Traces, "TRACES", TRACES.http),
            (OtlpSignal::Metrics, "METRICS", METRICS.http),
            (OtlpSignal::Logs, "LOGS", LOGS.http),
        ]
        .map(|(signal, name, path)| read.target(signal, name, path));
        if metrics.is_some() {
            read.temporality();
        }
        let service_name = Some(config.service_name.clone()).filter(|name| !name.is_empty());
        let mut resource = read.pairs("OTEL_RESOURCE_ATTRIBUTES");
        lay_over(&mut resource, config.resource.iter().map(|pair| (pair.name.clone(), pair.value.clone())));
        let named = resource.iter().position(|(name, _)| name == "service.name").map(|at| resource.remove(at).1);
        Self {
            traces,
            metrics,
            logs,
            metrics_interval: read.interval(),
            sample: config.sample.0,
            parent_wait: config.parent_wait.0,
            service_name: service_name.or_else(|| read.get("OTEL_SERVICE_NAME")).or(named),
            resource,
            warnings: read.warnings,
        }
    }
}

struct Reader<'a> {
    config: &'a Otlp,
    lookup: Lookup<'a>,
    warnings: Vec<String>,
}

impl Reader<'_> {
    /// Empty is as good as unset (specification, "Empty value").
    fn get(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The variable of the signal, else the general one, with its name.
    fn of(&self, signal: &str, what: &str) -> Option<(String, String)> {
        [format!("OTEL_EXPORTER_OTLP_{signal}_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| Some((self.get(&name)?, name)))
    }

    fn odd(&mut self, name: &str, value: &str, expected: &str) {
        let warning = format!("the environment variable {name} is passed over: {expected}, not `{value}`");
        // General variables are read for each signal.
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    fn target(&mut self, signal: OtlpSignal, name: &str, path: &str) -> Option<Target> {
        if !self.config.signals.contains(&signal) {
            return None;
        }
        let ours = Some(self.config.endpoint.0.clone()).filter(|endpoint| !endpoint.is_empty());
        // A URL of a signal is taken as it is; to a general one HTTP adds the signal's path.
        let (url, whole) = match ours {
            Some(url) => (url, false),
            None => self.endpoint(name)?,
        };
        let protocol = self.protocol(name, &url, whole);
        let url = match protocol {
            Protocol::Http if !whole => format!("{}{path}", url.trim_end_matches('/')),
            Protocol::Http => url,
            Protocol::Grpc => authority_of(&url),
        };
        Some(Target {
            url,
            protocol,
            headers: self.headers(name),
            gzip: self.gzip(name),
            timeout: self.timeout(name),
            authority: self
                .config
                .certificate
                .0
                .clone()
                .or_else(|| Some(PathBuf::from(self.of(name, "CERTIFICATE")?.0))),
        })
    }

    /// What the variables say, unless they forbid it.
    fn endpoint(&mut self, name: &str) -> Option<(String, bool)> {
        let disabled = self.get("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let exporter = self.get(&format!("OTEL_{name}_EXPORTER"));
        if disabled
            || exporter.as_deref().is_some_and(|exporters| !exporters.split(',').any(|one| one.trim() == "otlp"))
        {
            return None;
        }
        let Some((url, variable)) = self.of(name, "ENDPOINT") else {
            // Asked for by name, the place is the standard's default, which is another for HTTP.
            let port = match self.protocol(name, "http://localhost", false) {
                Protocol::Grpc => 4317,
                Protocol::Http => 4318,
            };
            return exporter.map(|_| (format!("http://localhost:{port}"), false));
        };
        let whole = variable.contains(name);
        let url = if url.contains("://") { url } else { self.with_scheme(name, &url) };
        match url.parse::<crate::config::OtlpEndpoint>() {
            Ok(url) => Some((url.0, whole)),
            Err(expected) => {
                // It may hold a secret.
                self.odd(&variable, "…", &expected);
                None
            }
        }
    }

    fn with_scheme(&self, name: &str, authority: &str) -> String {
        let insecure = self.of(name, "INSECURE").is_some_and(|(value, _)| value.eq_ignore_ascii_case("true"));
        format!("{}://{authority}", if insecure { "http" } else { "https" })
    }

    fn protocol(&mut self, name: &str, url: &str, whole: bool) -> Protocol {
        match self.config.protocol {
            OtlpProtocol::Grpc => return Protocol::Grpc,
            OtlpProtocol::Http => return Protocol::Http,
            OtlpProtocol::Auto => {}
        }
        if let Some((value, variable)) = self.of(name, "PROTOCOL") {
            match value.as_str() {
                "grpc" => return Protocol::Grpc,
                "http/protobuf" => return Protocol::Http,
                _ => self.odd(&variable, &value, "expected `grpc` or `http/protobuf`"),
            }
        }
        let url = reqwest::Url::parse(url).ok();
        let http = url.is_some_and(|url| url.port() == Some(4318) || !matches!(url.path(), "" | "/"));
        if http || whole { Protocol::Http } else { Protocol::Grpc }
    }

    fn headers(&mut self, name: &str) -> Vec<(String, String)> {
        let variable = self.of(name, "HEADERS").map(|(_, variable)| variable);
        let mut headers = variable.map(|variable| self.pairs(&variable)).unwrap_or_default();
        for (name, _) in &mut headers {
            name.make_ascii_lowercase();
        }
        lay_over(
            &mut headers,
            self.config.headers.iter().map(|pair| (pair.name.to_ascii_lowercase(), pair.value.clone())),
        );
        headers
    }

    fn gzip(&mut self, name: &str) -> bool {
        if self.config.compression == OtlpCompression::Gzip {
            return true;
        }
        match self.of(name, "COMPRESSION") {
            Some((value, _)) if value == "gzip" => true,
            Some((value, variable)) if value != "none" => {
                self.odd(&variable, &value, "expected `gzip` or `none`");
                false
            }
            _ => false,
        }
    }

    fn timeout(&mut self, name: &str) -> Duration {
        let ours = self.config.timeout.0;
        if ours != Otlp::default().timeout.0 {
            return ours;
        }
        let Some((value, variable)) = self.of(name, "TIMEOUT") else { return ours };
        self.milliseconds(&variable, &value).unwrap_or(ours)
    }

    /// What we count is cumulative, and is not kept twice to tell what came since the last time.
    fn temporality(&mut self) {
        let variable = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
        if let Some(value) = self.get(variable).filter(|value| !value.eq_ignore_ascii_case("cumulative")) {
            self.odd(variable, &value, "metrics are `cumulative`");
        }
    }

    fn interval(&mut self) -> Duration {
        let ours = self.config.metrics_interval.0;
        let variable = "OTEL_METRIC_EXPORT_INTERVAL";
        match self.get(variable) {
            Some(value) if ours == Otlp::default().metrics_interval.0 => {
                self.milliseconds(variable, &value).unwrap_or(ours)
            }
            _ => ours,
        }
    }

    fn milliseconds(&mut self, variable: &str, value: &str) -> Option<Duration> {
        let milliseconds = value.parse().ok().filter(|value| *value > 0).map(Duration::from_millis);
        if milliseconds.is_none() {
            self.odd(variable, value, "expected a number of milliseconds");
        }
        milliseconds
    }

    /// `name=value,name=value`, percent-encoded (W3C Baggage).
    fn pairs(&mut self, variable: &str) -> Vec<(String, String)> {
        let Some(text) = self.get(variable) else { return Vec::new() };
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            Some((decoded(name.trim()), decoded(value.trim()))).filter(|(name, _)| !name.is_empty())
        };
        let given = text.split(',').filter(|text| !text.trim().is_empty());
        let pairs: Option<Vec<_>> = given.map(pair).collect();
        pairs.unwrap_or_else(|| {
            // What it holds may be a secret.
            self.odd(variable, "…", "expected `name=value,name=value`");
            Vec::new()
        })
    }
}

/// Names that are there already get the new values.
fn lay_over(pairs: &mut Vec<(String, String)>, over: impl Iterator<Item = (String, String)>) {
    for (name, value) in over {
        pairs.retain(|(there, _)| *there != name);
        pairs.push((name, value));
    }
}

fn authority_of(url: &str) -> String {
    let end = url.find("://").map_or(0, |at| at + 3);
    let rest = url.get(end..).unwrap_or_default();
    let path = rest.find('/').map_or(url.len(), |at| end + at);
    url.get(..path).unwrap_or(url).to_owned()
}

/// Percent-decoding (RFC 3986 section 2.1); what is no such sequence stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |digit: &u8| char::from(*digit).to_digit(16);
        rest = match (first, after) {
            (b'%', [high, low, after @ ..]) if hex(high).is_some() && hex(low).is_some() => {
                let value = hex(high).unwrap_or_default() * 16 + hex(low).unwrap_or_default();
                bytes.push(u8::try_from(value).unwrap_or_default());
                after
            }
            _ => {
                bytes.push(*first);
                after
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
