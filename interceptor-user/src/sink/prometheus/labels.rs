//! Label sets of the HTTP metrics: what an exchange's is, and how many there may be.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::IpAddr,
    str,
    sync::{Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, Registry};

use super::route::push_route;
use crate::{
    config::Paths,
    model::{Anomaly, Exchange, Side},
};

/// Labels of every HTTP metric, in this order.
pub(super) const NAMES: [&str; 7] = [
    "http_request_method",
    "http_route",
    "http_response_status_code",
    "network_protocol_version",
    "server_address",
    "server_port",
    "error_type",
];

/// Boundaries that the OpenTelemetry conventions give for `http.*.request.duration`, in seconds.
pub(super) const DURATION_BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Boundaries of body sizes: 0, then powers of four from 64 B to 64 MiB. The conventions give none.
pub(super) const SIZE_BOUNDS: [f64; 12] = [
    0.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Methods that the conventions know (RFC 9110, and PATCH of RFC 5789); any other is `_OTHER`.
const METHODS: [&str; 10] = ["_OTHER", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// What all labels become where even the route's folding is too much.
const OTHER: &str = "other";

/// The metrics of one label set.
#[derive(Clone)]
pub(super) struct Handles {
    pub(super) duration: Histogram,
    pub(super) request_size: Histogram,
    pub(super) response_size: Histogram,
}

/// The histograms of one side, and the names of OpenTelemetry that they stand for.
struct Family {
    duration: HistogramVec,
    request_size: HistogramVec,
    response_size: HistogramVec,
}

impl Family {
    fn new(registry: &Registry, side: &str) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, bounds: &[f64]| {
            let opts = HistogramOpts::new(format!("http_{side}_{name}"), help).buckets(bounds.to_vec());
            let histogram = HistogramVec::new(opts, &NAMES)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok::<_, prometheus::Error>(histogram)
        };
        let who = if side == "server" { "served by local sockets" } else { "made by local sockets" };
        Ok(Self {
            duration: histogram(
                "request_duration_seconds",
                &format!("Duration of HTTP requests {who}, from the request's first to the response's last byte."),
                &DURATION_BOUNDS,
            )?,
            request_size: histogram(
                "request_body_size_bytes",
                &format!("Size of the bodies of HTTP requests {who}, as transferred."),
                &SIZE_BOUNDS,
            )?,
            response_size: histogram(
                "response_body_size_bytes",
                &format!("Size of the bodies of responses to HTTP requests {who}, as transferred."),
                &SIZE_BOUNDS,
            )?,
        })
    }

    fn handles(&self, values: &[String]) -> prometheus::Result<Handles> {
        Ok(Handles {
            duration: self.duration.get_metric_with_label_values(values)?,
            request_size: self.request_size.get_metric_with_label_values(values)?,
            response_size: self.response_size.get_metric_with_label_values(values)?,
        })
    }
}

/// An exact, compact form of a label set. Two exchanges with the same one have the same labels.
pub(super) type Key = Vec<u8>;

/// How much of a label set is given up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fold {
    /// Nothing.
    Nothing,
    /// The route (and, for a client, the server's name) becomes `other`.
    Route,
    /// Every label does.
    All,
}

/// Every label set in use, shared by the sinks of all workers. Sinks keep what they have seen, so this lock is taken for
/// the first exchange of a label set, and beyond the cap.
pub(super) struct LabelSets {
    server: Family,
    client: Family,
    cap: usize,
    folded: IntCounter,
    known: Mutex<HashMap<Key, Handles, RandomState>>,
}

impl LabelSets {
    pub(super) fn new(registry: &Registry, cap: usize, folded: IntCounter) -> prometheus::Result<Self> {
        Ok(Self {
            server: Family::new(registry, "server")?,
            client: Family::new(registry, "client")?,
            cap,
            folded,
            known: Mutex::default(),
        })
    }

    /// The metrics of a label set, if there is room for it.
    pub(super) fn admit(&self, key: &[u8], labels: &Labels<'_>) -> prometheus::Result<Option<Handles>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = known.get(key) {
            return Ok(Some(handles.clone()));
        }
        // A tenth is kept for sets without a route, so that a flood of paths does not cost methods and status codes.
        let room = match labels.fold {
            Fold::Nothing => self.cap - self.cap / 10,
            Fold::Route => self.cap,
            Fold::All => usize::MAX,
        };
        if known.len() >= room {
            return Ok(None);
        }
        let family = if labels.side == Side::Server { &self.server } else { &self.client };
        let handles = family.handles(&labels.values())?;
        known.insert(key.to_vec(), handles.clone());
        Ok(Some(handles))
    }

    pub(super) fn count_folded(&self) {
        self.folded.inc();
    }

    /// How many label sets there are.
    pub(super) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// The label set of an exchange, seen from one side.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    exchange: &'a Exchange,
    side: Side,
    paths: Paths,
    fold: Fold,
}

impl<'a> Labels<'a> {
    /// Nothing folded yet.
    pub(super) const fn new(exchange: &'a Exchange, side: Side, paths: Paths) -> Self {
        Self { exchange, side, paths, fold: Fold::Nothing }
    }

    /// The same with more given up.
    pub(super) const fn folded(self, fold: Fold) -> Self {
        Self { fold, ..self }
    }

    /// Writes the key; the hot path, which allocates nothing once `key` has grown.
    pub(super) fn write_key(&self, key: &mut Key) {
        key.clear();
        key.extend_from_slice(&[self.side as u8, self.fold as u8]);
        if self.fold == Fold::All {
            return;
        }
        key.extend_from_slice(&[self.method() as u8, self.version(), self.error() as u8]);
        key.extend_from_slice(&self.status().unwrap_or(0).to_be_bytes());
        if self.fold == Fold::Nothing {
            let target = self.exchange.request.as_ref().and_then(|request| request.head.target());
            push_route(target.unwrap_or_default(), self.paths, key);
            // No route holds a NUL: the request line would not have parsed.
            key.push(0);
        }
        let (host, port) = self.server();
        key.extend_from_slice(&port.unwrap_or(0).to_be_bytes());
        match host {
            Host::Named(name) => key.extend(name.bytes().map(|byte| byte.to_ascii_lowercase())),
            Host::Address(IpAddr::V4(ip)) => key.extend_from_slice(&ip.octets()),
            Host::Address(IpAddr::V6(ip)) => key.extend_from_slice(&ip.octets()),
            Host::Folded => {}
        }
    }

    /// The values, in the order of [`NAMES`]; only for label sets seen for the first time.
    fn values(&self) -> [String; NAMES.len()] {
        if self.fold == Fold::All {
            return [OTHER; NAMES.len()].map(str::to_owned);
        }
        let mut route = Vec::new();
        match (self.fold, self.exchange.request.as_ref().and_then(|request| request.head.target())) {
            (Fold::Nothing, Some(target)) => push_route(target, self.paths, &mut route),
            (Fold::Nothing, None) => {}
            (Fold::Route | Fold::All, _) => route.extend_from_slice(OTHER.as_bytes()),
        }
        let (host, port) = self.server();
        let address = match host {
            Host::Named(name) => name.to_ascii_lowercase(),
            Host::Address(ip) => ip.to_string(),
            Host::Folded => OTHER.to_owned(),
        };
        let mut status = String::new();
        if let Some(code) = self.status() {
            // Writing to a String does not fail.
            let _ = write!(status, "{code}");
        }
        let error = match self.error() {
            ErrorType::None => String::new(),
            ErrorType::Status => status.clone(),
            error => error.name().to_owned(),
        };
        [
            METHODS.get(self.method()).copied().unwrap_or_default().to_owned(),
            String::from_utf8_lossy(&route).into_owned(),
            status,
            self.exchange.request.as_ref().map(|request| request.head.version.name().to_owned()).unwrap_or_default(),
            address,
            port.map(|port| port.to_string()).unwrap_or_default(),
            error,
        ]
    }

    /// Index into [`METHODS`].
    fn method(&self) -> usize {
        let method = self.exchange.request.as_ref().and_then(|request| request.head.method()).unwrap_or_default();
        METHODS.iter().position(|known| *known == method).unwrap_or(0)
    }

    fn version(&self) -> u8 {
        self.exchange.request.as_ref().map_or(0, |request| request.head.version as u8 + 1)
    }

    fn status(&self) -> Option<u16> {
        self.exchange.response.as_ref().and_then(|response| response.head.status())
    }

    /// A server knows its own address; what a stranger writes into `Host` shall not make label sets. A client's requests
    /// are named as the client names them.
    fn server(&self) -> (Host<'a>, Option<u16>) {
        let endpoint = self.exchange.flow.server.endpoint;
        let address = (Host::Address(endpoint.ip()), Some(endpoint.port()));
        if self.side == Side::Server {
            return address;
        }
        if self.fold == Fold::Route {
            return (Host::Folded, Some(endpoint.port()));
        }
        let host = self.exchange.request.as_ref().and_then(|request| request.head.fields.get("host"));
        let named = host.and_then(|host| str::from_utf8(host).ok()).and_then(name_of);
        named.map_or(address, |name| (Host::Named(name), Some(endpoint.port())))
    }

    fn error(&self) -> ErrorType {
        let anomalies = self.exchange.anomalies;
        let failed_from = if self.side == Side::Server { 500 } else { 400 };
        match self.status() {
            Some(status) if status >= failed_from => ErrorType::Status,
            _ if anomalies.contains(Anomaly::Reset) => ErrorType::Reset,
            None => ErrorType::NoResponse,
            Some(_) if anomalies.contains(Anomaly::Truncated) => ErrorType::Truncated,
            Some(_) => ErrorType::None,
        }
    }
}

enum Host<'a> {
    Named(&'a str),
    Address(IpAddr),
    Folded,
}

/// The name in a `Host` field (RFC 9110 section 7.2), if it is one; addresses are taken from the flow.
fn name_of(host: &str) -> Option<&str> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let named = name.bytes().any(|byte| byte.is_ascii_alphabetic()) && name.bytes().all(valid);
    (named && name.len() <= 253).then_some(name)
}

/// `error.type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorType {
    None,
    /// The status code says it.
    Status,
    Reset,
    NoResponse,
    Truncated,
}

impl ErrorType {
    const fn name(self) -> &'static str {
        match self {
            Self::None | Self::Status => "",
            Self::Reset => "reset",
            Self::NoResponse => "no_response",
            Self::Truncated => "truncated",
        }
    }
}
