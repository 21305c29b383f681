use super::{Anomaly, Exchange, Format, Part};

/// What a gRPC call says of itself in its head and trailers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rpc<'a> {
    /// `package.Service/Method`: the path without its first slash.
    pub method: Option<&'a str>,
    /// Status code (0 is OK), once it is known.
    pub status: Option<u32>,
    /// `grpc-message`, percent-encoded as sent.
    pub message: Option<&'a [u8]>,
    /// `grpc-status-details-bin`: base64 of a `google.rpc.Status`, or a zero byte and the message itself.
    pub details: Option<&'a [u8]>,
    /// `grpc-timeout` as sent: at most 8 digits and a unit of `H M S m u n`.
    pub timeout: Option<&'a [u8]>,
}

impl Exchange {
    /// What it says as a gRPC call, if it is one: its content type begins with `application/grpc`. Where that field is not
    /// known, because it was referred to a table that we do not have, trailers and contents tell that look like gRPC's.
    pub fn rpc(&self) -> Option<Rpc<'_>> {
        let (request, response) = (self.request.as_ref(), self.response.as_ref());
        let of_trailers = |name: &'static str| response.and_then(|part| closing(part, name));
        let declared = request.is_some_and(is_grpc) || response.is_some_and(is_grpc);
        let guessed =
            || response.is_some_and(closes_like_grpc) || [request, response].into_iter().flatten().any(holds_grpc);
        let is_call = declared || (self.anomalies.contains(Anomaly::UnknownField) && guessed());
        if !is_call {
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

/// `grpc-status`, `grpc-message` and the like, in the trailers or, where the response is trailers only, in the head. As often
/// as not the status is in the table, and the message is not.
fn closes_like_grpc(part: &Part) -> bool {
    let of_grpc = |(name, _): (&str, _)| name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("grpc-"));
    part.trailers.iter().any(of_grpc) || part.head.fields.iter().any(of_grpc)
}

/// Its content was read as gRPC.
fn holds_grpc(part: &Part) -> bool {
    part.pieces.as_ref().is_some_and(|pieces| pieces.format == Format::Grpc)
}

/// A field of the trailers; of the head, where the response is trailers only.
fn closing<'a>(part: &'a Part, name: &str) -> Option<&'a [u8]> {
    part.trailers.get(name).or_else(|| part.head.fields.get(name))
}

/// Status codes that have a name: from 0 to below this.
pub const STATUS_CODES: u32 = 17;

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

/// Without percent-encoding ("gRPC over HTTP2", Percent-Encoded; RFC 3986 section 2.1); what is no encoding stays as it is.
pub fn percent_decoded(text: &[u8]) -> String {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Head, Kind, Version},
        sink::sample,
    };

    /// Joined late: of the heads' fields nothing is known.
    fn late(trailers: &[(&str, &str)]) -> Exchange {
        let mut exchange = sample::call();
        let unknown = || sample::fields(&[("?1", "?")]);
        exchange.request = Some(sample::part(Head::unknown_request(Version::Http2, unknown()), b"", 0, 1));
        exchange.response = Some(sample::part(Head::response(200, Version::Http2, unknown()), b"", 0, 1));
        exchange.response.as_mut().unwrap().trailers = sample::fields(trailers);
        exchange.anomalies.insert(Anomaly::UnknownField);
        exchange
    }

    #[test]
    fn a_call_is_known_by_its_trailers_where_its_type_is_not() {
        let status = |exchange: &Exchange| exchange.rpc().map(|rpc| (rpc.method.is_some(), rpc.status));
        assert_eq!(status(&late(&[("grpc-status", "5")])), Some((false, Some(5))));
        assert_eq!(status(&late(&[("?2", "?"), ("Grpc-Message", "x")])), Some((false, None)));
        assert_eq!(status(&late(&[("?2", "?"), ("other", "x")])), None);
        let known = Exchange { anomalies: crate::model::Anomalies::NONE, ..late(&[("grpc-status", "5")]) };
        assert_eq!(status(&known), None, "it has another type");
    }

    #[test]
    fn a_call_is_known_by_its_messages_where_nothing_else_is() {
        let mut exchange = late(&[("?2", "?")]);
        exchange.request = exchange.request.map(|part| sample::framed(part, Format::Grpc, &[(Kind::Data, b"a")]));
        assert!(exchange.rpc().is_some());
        exchange.request.as_mut().and_then(|part| part.pieces.as_mut()).unwrap().format = Format::JsonLines;
        assert!(exchange.rpc().is_none());
    }

    #[test]
    fn percent_encoding_is_undone() {
        assert_eq!(percent_decoded(b"100%25 na%C3%AFve%"), "100% naïve%");
        assert_eq!(percent_decoded(b"%zz%4"), "%zz%4");
        assert_eq!(percent_decoded(b"%ff"), "\u{fffd}");
    }
}
