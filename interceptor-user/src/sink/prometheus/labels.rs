//! Label sets of the HTTP metrics: what a request's is, and an exchange's.

use super::{
    route::push_route,
    server::Server,
    sets::{Fold, Key},
};
use crate::{
    config::Paths,
    model::{Anomaly, Exchange, FlowInfo, Head, Side},
};

/// Labels of the histograms, in this order. Those that the head of the request determines come first.
pub(super) const NAMES: [&str; 8] = [
    "http_request_method",
    "http_route",
    "network_protocol_version",
    "server_address",
    "server_port",
    "url_scheme",
    "http_response_status_code",
    "error_type",
];

/// Labels of the gauges of active requests, in this order: those of the request's head.
pub(super) const ACTIVE_NAMES: &[&str] = NAMES.split_at(6).0;

/// Methods that the conventions know (RFC 9110, and PATCH of RFC 5789); any other is `_OTHER`, and one that is not known
/// has no label.
const METHODS: [&str; 11] =
    ["_OTHER", "GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "CONNECT", "TRACE", ""];

/// What all labels become where even the route's folding is too much.
pub(super) const OTHER: &str = "other";

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
pub(super) struct Outcome {
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
        key.extend_from_slice(&[self.method() as u8, self.request.version as u8, u8::from(self.is_https())]);
        if let Some(outcome) = self.outcome {
            outcome.write_key(key);
        }
        self.server().write_key(key);
        if self.fold == Fold::Nothing {
            push_route(self.request.target().unwrap_or_default(), self.paths, key);
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
        let [address, port] = self.server().values();
        let mut values = vec![
            METHODS.get(self.method()).copied().unwrap_or_default().to_owned(),
            String::from_utf8_lossy(&route).into_owned(),
            self.request.version.name().to_owned(),
            address,
            port,
            if self.is_https() { "https" } else { "http" }.to_owned(),
        ];
        values.extend(self.outcome.into_iter().flat_map(Outcome::values));
        values
    }

    /// Index into [`METHODS`].
    fn method(&self) -> usize {
        let method = self.request.method().unwrap_or_default();
        METHODS.iter().position(|known| *known == method).unwrap_or(0)
    }

    /// `url.scheme`. What is decoded was not encrypted, but HTTP/2 may say that it was or will be. What else a client says is not
    /// told: it could be anything.
    fn is_https(&self) -> bool {
        self.request.fields.get(":scheme").is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
    }

    fn server(&self) -> Server<'a> {
        Server::of(self.flow, self.request, self.side, self.fold)
    }
}

impl Outcome {
    pub(super) fn of(exchange: &Exchange, side: Side) -> Self {
        let status = exchange.response.as_ref().and_then(|response| response.head.status());
        let failed_from = if side == Side::Server { 500 } else { 400 };
        let error = match status {
            Some(status) if status >= failed_from => ErrorType::Status,
            _ if exchange.anomalies.contains(Anomaly::Reset) => ErrorType::Reset,
            _ if exchange.anomalies.contains(Anomaly::Refused) => ErrorType::Refused,
            _ if exchange.anomalies.contains(Anomaly::StreamReset) => ErrorType::StreamReset,
            None => ErrorType::NoResponse,
            Some(_) if exchange.anomalies.contains(Anomaly::Truncated) => ErrorType::Truncated,
            Some(_) => ErrorType::None,
        };
        Self { status, error }
    }

    /// Writes its part of a key.
    pub(super) fn write_key(self, key: &mut Key) {
        key.push(self.error as u8);
        key.extend_from_slice(&self.status.unwrap_or(0).to_be_bytes());
    }

    /// The status code and the type of the error.
    pub(super) fn values(self) -> [String; 2] {
        let status = self.status.map(|status| status.to_string()).unwrap_or_default();
        let error = match self.error {
            ErrorType::Status => status.clone(),
            error => error.name().to_owned(),
        };
        [status, error]
    }
}

/// `error.type`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ErrorType {
    None,
    /// The status code says it.
    Status,
    Reset,
    /// Of the stream, by either end.
    StreamReset,
    /// By GOAWAY.
    Refused,
    NoResponse,
    Truncated,
}

impl ErrorType {
    const fn name(self) -> &'static str {
        match self {
            Self::None | Self::Status => "",
            Self::Reset => "reset",
            Self::StreamReset => "stream_reset",
            Self::Refused => "refused",
            Self::NoResponse => "no_response",
            Self::Truncated => "truncated",
        }
    }
}
