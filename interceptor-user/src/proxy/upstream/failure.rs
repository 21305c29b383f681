//! Why a request has no answer of a server.

use hyper::{
    Response, StatusCode,
    header::{HeaderValue, RETRY_AFTER},
};

use crate::proxy::answer::{self, Body};

/// No answer of a server has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Failure {
    /// The backend's name has no address.
    Unresolved,
    /// Nobody takes connections.
    Unreachable,
    /// Or not in time.
    NotConnected,
    /// The connection ended, or what came was no answer.
    Unanswered,
    /// No head in time.
    Late,
    /// No byte for too long.
    Stalled,
    /// There are too many requests.
    Limited,
    /// A rule asks for the content, and there is more of it than it takes.
    TooLarge,
    /// The client does not go on.
    Slow,
    /// What it sends is no content, or it is gone.
    Incomplete,
}

/// In seconds. Who waits for less adds to what is too much.
const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("1");

/// gRPC's DEADLINE_EXCEEDED: the call may have been carried out. Its clients ask again after UNAVAILABLE (14), which a status of 504
/// would be to them.
const DEADLINE_EXCEEDED: u16 = 4;

/// As gRPC's own libraries say it of messages that are too large.
const RESOURCE_EXHAUSTED: u16 = 8;

impl Failure {
    pub(in crate::proxy) fn answer(self, grpc: bool) -> Response<Body> {
        let (status, text) = match self {
            Self::Unresolved => (StatusCode::BAD_GATEWAY, "the backend has no address"),
            Self::Unreachable => (StatusCode::BAD_GATEWAY, "the server cannot be reached"),
            Self::NotConnected => (StatusCode::GATEWAY_TIMEOUT, "the server cannot be reached in time"),
            Self::Unanswered => (StatusCode::BAD_GATEWAY, "the server did not answer"),
            Self::Late => (StatusCode::GATEWAY_TIMEOUT, "the server did not answer in time"),
            Self::Stalled => (StatusCode::GATEWAY_TIMEOUT, "nothing came for too long"),
            Self::Limited => (StatusCode::SERVICE_UNAVAILABLE, "there are too many requests at a time"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the content is larger than what is looked at"),
            Self::Incomplete => (StatusCode::BAD_REQUEST, "the request is not whole"),
            Self::Slow => (StatusCode::REQUEST_TIMEOUT, "the rest of the request did not come in time"),
        };
        let mut response = answer::error(status, text, grpc);
        match self {
            Self::Late | Self::Stalled | Self::Slow if grpc => {
                answer::set_grpc_status(&mut response, DEADLINE_EXCEEDED);
            }
            Self::TooLarge if grpc => answer::set_grpc_status(&mut response, RESOURCE_EXHAUSTED),
            Self::Limited => _ = response.headers_mut().insert(RETRY_AFTER, AGAIN_AFTER),
            _ => {}
        }
        response
    }
}
