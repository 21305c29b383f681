//! Label sets of the metrics of gRPC calls, by the OpenTelemetry conventions for RPC (release candidate).

use super::{
    labels::{OTHER, Outcome},
    server::Server,
    sets::{Fold, Key},
};
use crate::model::{Exchange, Head, Rpc, Side, status_name};

/// Labels, in this order.
pub(super) const NAMES: [&str; 6] =
    ["rpc_system_name", "rpc_method", "rpc_response_status_code", "error_type", "server_address", "server_port"];

/// What the conventions call a method that is none or one too many.
const OTHER_METHOD: &str = "_OTHER";
/// No `package.Service/Method` is as long.
const METHOD_MAX: usize = 255;
/// Statuses that are a server's fault, not its caller's ("Semantic conventions for gRPC").
const SERVER_ERRORS: [u32; 6] = [2, 4, 12, 13, 14, 15];

/// A label set, seen from one side.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    exchange: &'a Exchange,
    request: &'a Head,
    /// Empty where it is not known.
    method: &'a str,
    status: Option<u32>,
    side: Side,
}

impl<'a> Call<'a> {
    pub(super) fn new(exchange: &'a Exchange, request: &'a Head, rpc: &Rpc<'a>, side: Side) -> Self {
        Self { exchange, request, method: method(rpc), status: rpc.status, side }
    }

    /// Writes the key of the label set with so much given up.
    pub(super) fn write_key(&self, fold: Fold, key: &mut Key) {
        key.clear();
        key.extend_from_slice(&[self.side as u8, fold as u8]);
        if fold == Fold::All {
            return;
        }
        // A status that no code has is none of 32 bits either.
        key.push(self.status.map_or(u8::MAX, |status| status.min(17) as u8));
        if self.status.is_none() {
            Outcome::of(self.exchange, self.side).write_key(key);
        }
        self.server(fold).write_key(key);
        if fold == Fold::Nothing {
            key.extend_from_slice(self.method.as_bytes());
        }
    }

    /// The values, in the order of [`NAMES`].
    pub(super) fn values(&self, fold: Fold) -> Vec<String> {
        let method = if fold == Fold::Nothing { self.method } else { OTHER_METHOD };
        let [system, method] = ["grpc", method].map(str::to_owned);
        if fold == Fold::All {
            return [system, method].into_iter().chain([OTHER; 4].map(str::to_owned)).collect();
        }
        let status = self.status.map_or("", |status| status_name(status).unwrap_or("_OTHER")).to_owned();
        let [address, port] = self.server(fold).values();
        vec![system, method, status.clone(), self.error(status), address, port]
    }

    /// `error.type`.
    pub(super) fn error_type(&self) -> String {
        self.error(self.status.map_or("", |status| status_name(status).unwrap_or("_OTHER")).to_owned())
    }

    /// The status where it is an error; where there is none, what kept it away.
    fn error(&self, status: String) -> String {
        let failed = |status: u32| match self.side {
            Side::Server => SERVER_ERRORS.contains(&status),
            Side::Client => status != 0,
        };
        match self.status {
            Some(code) if failed(code) => status,
            Some(_) => String::new(),
            None => {
                let [_, error] = Outcome::of(self.exchange, self.side).values();
                error
            }
        }
    }

    fn server(&self, fold: Fold) -> Server<'a> {
        Server::of(&self.exchange.flow, self.request, self.side, fold)
    }
}

/// The method; empty where it is not known.
pub(super) fn method<'a>(rpc: &Rpc<'a>) -> &'a str {
    rpc.method.map_or("", |method| if is_method(method) { method } else { OTHER_METHOD })
}

/// Paths come from the wire: what cannot be the name of a service and a method is none.
fn is_method(path: &str) -> bool {
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    path.len() <= METHOD_MAX && path.contains('/') && path.bytes().all(valid)
}
