//! Which gRPC errors pass (OTLP specification, "Failures").

use std::time::Duration;

use prost::Message;
use tonic::{Code, Status};

use crate::sink::http::Refusal;

/// `google.rpc.Status`, as the header field `grpc-status-details-bin` holds it.
#[derive(Clone, PartialEq, Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// What a call that failed means for what it carried.
pub(super) fn refusal(status: &Status) -> Refusal {
    let error = anyhow::anyhow!("the other side answers {:?}: {}", status.code(), status.message());
    let wait = delay(status);
    let passing = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unavailable
        | Code::DataLoss => true,
        // Too much for now, if it says until when; else for good.
        Code::ResourceExhausted => wait.is_some(),
        // What the connection's end, or tonic itself, reports.
        Code::Unknown => std::error::Error::source(status).is_some(),
        _ => false,
    };
    if passing { Refusal::Later(error, wait) } else { Refusal::Never(error) }
}

fn delay(status: &Status) -> Option<Duration> {
    let details = Details::decode(status.details()).ok()?.details;
    let info = details.into_iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.retry_delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?.min(999_999_999)))
}
