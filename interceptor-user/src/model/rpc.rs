use super::{Anomaly, Exchange, Part};

/// What a gRPC call says of itself in its head and trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc<'a> {
    /// `package.Service/Method`: the path without its first slash.
    pub method: Option<&'a str>,
    /// Status code (0 is OK), once it is known.
    pub status: Option<u32>,
    /// `grpc-message`, percent-encoded as sent.
    pub message: Option<&'a [u8]>,
    /// `grpc-status-details-bin`: base64 of a `google.rpc.Status`.
    pub details: Option<&'a [u8]>,
    /// `grpc-timeout` as sent: at most 8 digits and a unit of `H M S m u n`.
    pub timeout: Option<&'a [u8]>,
}

impl Exchange {
    /// What it says as a gRPC call, if it is one: its content type begins with `application/grpc`. Where that field is not
    /// known, because it was referred to a table that we do not have, the status in the trailers tells.
    pub fn rpc(&self) -> Option<Rpc<'_>> {
        let (request, response) = (self.request.as_ref(), self.response.as_ref());
        let of_trailers = |name: &'static str| response.and_then(|part| closing(part, name));
        let declared = request.is_some_and(is_grpc) || response.is_some_and(is_grpc);
        let guessed = self.anomalies.contains(Anomaly::UnknownField) && of_trailers("grpc-status").is_some();
        if !declared && !guessed {
            return None;
        }
        let status = of_trailers("grpc-status").and_then(|status| str::from_utf8(status).ok()?.parse().ok());
        Some(Rpc {
            method: request.and_then(|part| part.target().path).map(|path| path.strip_prefix('/').unwrap_or(path)),
            status,
            message: of_trailers("grpc-message"),
            details: of_trailers("grpc-status-details-bin"),
            timeout: request.and_then(|part| part.head.fields.get("grpc-timeout")),
        })
    }
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web-text` and the like.
fn is_grpc(part: &Part) -> bool {
    let is = |value: &[u8]| value.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"));
    part.head.fields.get("content-type").is_some_and(is)
}

/// A field of the trailers; of the head, where the response is trailers only.
fn closing<'a>(part: &'a Part, name: &str) -> Option<&'a [u8]> {
    part.trailers.get(name).or_else(|| part.head.fields.get(name))
}

/// Name of a status code ("Status codes and their use in gRPC"), as in `rpc.response.status_code`.
pub const fn status_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0 => "OK",
        1 => "CANCELLED",
        2 => "UNKNOWN",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        11 => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        15 => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => return None,
    })
}
