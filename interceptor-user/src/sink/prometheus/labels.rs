//! Label sets of the HTTP metrics: what a request's is, and an exchange's.

use std::{net::IpAddr, str};

use super::{
    route::push_route,
    sets::{Fold, Key},
};
use crate::{
    config::Paths,
    model::{Anomaly, Exchange, FlowInfo, Head, Side},
};

/// Labels of the histograms, in this order. Those that the head of the request determines come first.
pub(super) const NAMES: [&str; 7] = [
    "http_request_method",
    "http_route",
    "network_protocol_version",
    "server_address",
    "server_port",
    "http_response_status_code",
    "error_type",
];

/// Labels of the gauges of active requests, in this order.
pub(super) const ACTIVE_NAMES: [&str; 6] =
    ["http_request_method", "http_route", "network_protocol_version", "server_address", "server_port", "url_scheme"];

/// `url.scheme`: what is decoded was not encrypted.
const SCHEME: &str = "http";

/// Methods that the conventions know (RFC 9110, and PATCH of RFC 5789); any other is `_OTHER`.
const METHODS: [&str; 10] = ["_OTHER", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE"];

/// What all labels become where even the route's folding is too much.
const OTHER: &str = "other";

/// A label set, seen from one side.
#[derive(Clone, Copy)]
pub(super) struct Labels<'a> {
    flow: &'a FlowInfo,
    request: &'a Head,
    /// Of an exchange that is over.
    outcome: Option<Outcome>,
    side: Side,
    paths: Paths,
    fold: Fold,
}

/// How an exchange ended.
#[derive(Clone, Copy)]
struct Outcome {
    status: Option<u16>,
    error: ErrorType,
}

impl<'a> Labels<'a> {
    /// Of an exchange with this request that is over.
    pub(super) fn over(exchange: &'a Exchange, request: &'a Head, side: Side, paths: Paths) -> Self {
        Self { outcome: Some(Outcome::of(exchange, side)), ..Self::active(exchange, request, side, paths) }
    }

    /// Of a request that has no answer yet, or not all of it.
    pub(super) fn active(exchange: &'a Exchange, request: &'a Head, side: Side, paths: Paths) -> Self {
        Self { flow: &exchange.flow, request, outcome: None, side, paths, fold: Fold::Nothing }
    }

    /// The same with more given up.
    pub(super) const fn folded(self, fold: Fold) -> Self {
        Self { fold, ..self }
    }

    pub(super) const fn fold(&self) -> Fold {
        self.fold
    }

    pub(super) const fn side(&self) -> Side {
        self.side
    }

    /// Writes the key; the hot path, which allocates nothing once `key` has grown.
    pub(super) fn write_key(&self, key: &mut Key) {
        key.clear();
        key.extend_from_slice(&[self.side as u8, self.fold as u8]);
        if self.fold == Fold::All {
            return;
        }
        key.extend_from_slice(&[self.method() as u8, self.request.version as u8]);
        if let Some(Outcome { status, error }) = self.outcome {
            key.push(error as u8);
            key.extend_from_slice(&status.unwrap_or(0).to_be_bytes());
        }
        if self.fold == Fold::Nothing {
            push_route(self.request.target().unwrap_or_default(), self.paths, key);
            // No route holds a NUL: the request line would not have parsed.
            key.push(0);
        }
        let (host, port) = self.server();
        key.extend_from_slice(&port.to_be_bytes());
        match host {
            Host::Named(name) => key.extend(name.bytes().map(|byte| byte.to_ascii_lowercase())),
            Host::Address(IpAddr::V4(ip)) => key.extend_from_slice(&ip.octets()),
            Host::Address(IpAddr::V6(ip)) => key.extend_from_slice(&ip.octets()),
            Host::Folded => {}
        }
    }

    /// The values, in the order of [`NAMES`] or [`ACTIVE_NAMES`]; only for label sets seen for the first time.
    pub(super) fn values(&self) -> Vec<String> {
        if self.fold == Fold::All {
            let labels = if self.outcome.is_some() { NAMES.len() } else { ACTIVE_NAMES.len() };
            return vec![OTHER.to_owned(); labels];
        }
        let mut route = Vec::new();
        match self.fold {
            Fold::Nothing => push_route(self.request.target().unwrap_or_default(), self.paths, &mut route),
            Fold::Route | Fold::All => route.extend_from_slice(OTHER.as_bytes()),
        }
        let (host, port) = self.server();
        let address = match host {
            Host::Named(name) => name.to_ascii_lowercase(),
            Host::Address(ip) => ip.to_string(),
            Host::Folded => OTHER.to_owned(),
        };
        let mut values = vec![
            METHODS.get(self.method()).copied().unwrap_or_default().to_owned(),
            String::from_utf8_lossy(&route).into_owned(),
            self.request.version.name().to_owned(),
            address,
            port.to_string(),
        ];
        match self.outcome {
            Some(outcome) => values.extend(outcome.values()),
            None => values.push(SCHEME.to_owned()),
        }
        values
    }

    /// Index into [`METHODS`].
    fn method(&self) -> usize {
        let method = self.request.method().unwrap_or_default();
        METHODS.iter().position(|known| *known == method).unwrap_or(0)
    }

    /// A server knows its own address; what a stranger writes into `Host` shall not make label sets. A client's requests
    /// are named as the client names them.
    fn server(&self) -> (Host<'a>, u16) {
        let endpoint = self.flow.server.endpoint;
        let host = match (self.side, self.fold) {
            (Side::Server, _) => None,
            (Side::Client, Fold::Route) => Some(Host::Folded),
            (Side::Client, _) => {
                let host = self.request.fields.get("host");
                host.and_then(|host| str::from_utf8(host).ok()).and_then(name_of).map(Host::Named)
            }
        };
        (host.unwrap_or_else(|| Host::Address(endpoint.ip())), endpoint.port())
    }
}

impl Outcome {
    fn of(exchange: &Exchange, side: Side) -> Self {
        let status = exchange.response.as_ref().and_then(|response| response.head.status());
        let failed_from = if side == Side::Server { 500 } else { 400 };
        let error = match status {
            Some(status) if status >= failed_from => ErrorType::Status,
            _ if exchange.anomalies.contains(Anomaly::Reset) => ErrorType::Reset,
            None => ErrorType::NoResponse,
            Some(_) if exchange.anomalies.contains(Anomaly::Truncated) => ErrorType::Truncated,
            Some(_) => ErrorType::None,
        };
        Self { status, error }
    }

    /// The status code and the type of the error.
    fn values(self) -> [String; 2] {
        let status = self.status.map(|status| status.to_string()).unwrap_or_default();
        let error = match self.error {
            ErrorType::Status => status.clone(),
            error => error.name().to_owned(),
        };
        [status, error]
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
