//! OTLP: metrics, traces and logs to a collector or a store that takes them
//! (<https://opentelemetry.io/docs/specs/otlp/>, version 1.9).

mod client;
mod settings;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::{
    logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse},
    metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
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

/// A signal: its messages, and its name in paths.
pub trait Signal: 'static {
    /// What is sent.
    type Request: prost::Message + Clone + Default + 'static;
    /// What comes back.
    type Response: prost::Message + Default + 'static;
    /// The method of its service.
    const GRPC: &'static str;
    /// Its path below a general endpoint.
    const HTTP: &'static str;

    /// How many records were refused, and why, where not all were taken.
    fn refused(response: &Self::Response) -> Option<(u64, &str)>;
}

/// Spans.
#[derive(Debug)]
pub enum Traces {}
/// Metrics.
#[derive(Debug)]
pub enum MetricPoints {}
/// Log records.
#[derive(Debug)]
pub enum Logs {}

macro_rules! signal {
    ($signal:ty, $request:ty, $response:ty, $grpc:literal, $http:literal, $rejected:ident) => {
        impl Signal for $signal {
            type Request = $request;
            type Response = $response;
            const GRPC: &'static str = concat!("/opentelemetry.proto.collector.", $grpc, "/Export");
            const HTTP: &'static str = concat!("/v1/", $http);

            fn refused(response: &Self::Response) -> Option<(u64, &str)> {
                let partial = response.partial_success.as_ref()?;
                let count = u64::try_from(partial.$rejected).unwrap_or(0);
                // Without a count it is a warning.
                (count > 0 || !partial.error_message.is_empty()).then_some((count, &*partial.error_message))
            }
        }
    };
}

signal!(
    Traces,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
    "trace.v1.TraceService",
    "traces",
    rejected_spans
);
signal!(
    MetricPoints,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
    "metrics.v1.MetricsService",
    "metrics",
    rejected_data_points
);
signal!(Logs, ExportLogsServiceRequest, ExportLogsServiceResponse, "logs.v1.LogsService", "logs", rejected_log_records);
