//! Answers of our own, in the caller's protocol.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderName, HeaderValue},
};

use super::upstream::Download;

/// What the client gets: the server's content, or one of ours.
pub(super) type Body = Either<Download, Full<Bytes>>;

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Does the caller speak gRPC, so that an error is to be a status of its own?
pub(super) fn is_grpc(request: &HeaderMap) -> bool {
    let content = request.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    content.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// An error with a few words: problem details (RFC 9457), or for gRPC a response without messages (Trailers-Only).
pub(super) fn error(status: StatusCode, detail: &str, grpc: bool) -> Response<Body> {
    let mut response = Response::new(Either::Right(Full::default()));
    let fields = response.headers_mut();
    if grpc {
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        fields.insert(GRPC_STATUS, HeaderValue::from(grpc_status(status)));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(detail)) {
            fields.insert(HeaderName::from_static("grpc-message"), message);
        }
        return response;
    }
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    let mut problem = serde_json::Map::new();
    problem.insert("title".to_owned(), status.canonical_reason().unwrap_or("Error").into());
    problem.insert("status".to_owned(), status.as_u16().into());
    if !detail.is_empty() {
        problem.insert("detail".to_owned(), detail.into());
    }
    *response.body_mut() = Either::Right(Full::from(serde_json::Value::from(problem).to_string()));
    *response.status_mut() = status;
    response
}

pub(super) fn set_grpc_status(response: &mut Response<Body>, status: u16) {
    response.headers_mut().insert(GRPC_STATUS, HeaderValue::from(status));
}

/// As gRPC's clients take a status of HTTP (gRPC's doc/http-grpc-status-mapping.md).
const fn grpc_status(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Percent-encoded (gRPC over HTTP/2, "Responses"): all but printable ASCII, and the sign itself.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut all, byte| {
        match byte {
            b'%' | 0..b' ' | 0x7f.. => _ = write!(all, "%{byte:02X}"),
            _ => all.push(char::from(byte)),
        }
        all
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn callers_are_answered_in_their_own_protocol() {
        let plain = error(StatusCode::FORBIDDEN, "not \"you\"", false);
        assert_eq!(plain.status(), 403);
        assert_eq!(plain.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = plain.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem, serde_json::json!({ "title": "Forbidden", "status": 403, "detail": "not \"you\"" }));

        let grpc = error(StatusCode::TOO_MANY_REQUESTS, "später, 100 %", true);
        assert_eq!((grpc.status().as_u16(), &grpc.headers()["grpc-status"]), (200, &HeaderValue::from(14)));
        assert_eq!(grpc.headers()["grpc-message"], "sp%C3%A4ter, 100 %25");
        let typed =
            |value: &'static str| HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert!(is_grpc(&typed("application/grpc")) && is_grpc(&typed("Application/gRPC+proto")));
        assert!(!is_grpc(&typed("application/json")) && !is_grpc(&HeaderMap::new()));
    }
}
