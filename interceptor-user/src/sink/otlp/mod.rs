//! OTLP: metrics, traces and logs to a collector or a store that takes them
//! (<https://opentelemetry.io/docs/specs/otlp/>, version 1.9).

mod attributes;
mod client;
mod export;
pub mod logs;
pub mod metrics;
mod resource;
mod settings;
mod status;
#[cfg(test)]
mod tests;
pub mod trace;

use std::{marker::PhantomData, time::Duration};

use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::ExportTraceServiceResponse,
};

pub use self::{
    client::{Client, Sent},
    settings::{Lookup, Settings},
};

/// How requests travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    #[default]
    Grpc,
    /// Protobuf in the body of an HTTP POST.
    Http,
}

/// Where the requests of one signal go, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// For gRPC scheme and authority, for HTTP the whole URL.
    pub url: String,
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// Header fields, or metadata, of each request. Values are secrets.
    pub headers: Vec<(String, String)>,
    /// Requests are compressed.
    pub gzip: bool,
    /// How long a request may take.
    pub timeout: Duration,
    /// Who is trusted, as a PEM file; None for whom the system trusts.
    pub authority: Option<std::path::PathBuf>,
}

/// The service that takes one signal: its messages, and its names in paths.
#[derive(Debug)]
pub struct Service<Q, A> {
    /// The method that is called over gRPC.
    grpc: &'static str,
    /// The path below a general endpoint.
    pub(super) http: &'static str,
    /// How many records were refused, and why, where not all were taken.
    refused: fn(&A) -> Option<(u64, &str)>,
    request: PhantomData<fn(Q)>,
}

macro_rules! service {
    ($request:ty, $response:ty, $grpc:literal, $http:literal, $rejected:ident) => {
        Service {
            grpc: concat!("/opentelemetry.proto.collector.", $grpc, "/Export"),
            http: concat!("/v1/", $http),
            refused: |response: &$response| {
                let partial = response.partial_success.as_ref()?;
                let count = u64::try_from(partial.$rejected).unwrap_or(0);
                // Without a count it is a warning.
                (count > 0 || !partial.error_message.is_empty()).then_some((count, &*partial.error_message))
            },
            request: PhantomData,
        }
    };
}

/// Takes spans.
pub const TRACES: Service<trace::Request, ExportTraceServiceResponse> =
    service!(trace::Request, ExportTraceServiceResponse, "trace.v1.TraceService", "traces", rejected_spans);

/// Takes metrics.
pub const METRICS: Service<ExportMetricsServiceRequest, ExportMetricsServiceResponse> = service!(
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "metrics.v1.MetricsService",
    "metrics",
    rejected_data_points
);

/// Takes log records.
pub const LOGS: Service<ExportLogsServiceRequest, ExportLogsServiceResponse> =
    service!(ExportLogsServiceRequest, ExportLogsServiceResponse, "logs.v1.LogsService", "logs", rejected_log_records);
