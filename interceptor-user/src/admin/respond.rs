//! Requests to responses.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY},
};

use super::{
    accept::{Format, format},
    state::State,
};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
/// OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const INDEX: &str = "\
/metrics  Prometheus metrics
/healthz  is it alive
/readyz   is it capturing
/status   what it is doing, in JSON
/map      who calls whom, in JSON; 'interceptor map' draws it
";

/// The response; hyper leaves out the body where the request is HEAD.
pub(super) fn respond<B>(request: &Request<B>, state: &State) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => metrics(request, state),
        "/healthz" => verdict(state.healthy(Instant::now())),
        "/readyz" => verdict(state.ready()),
        "/status" => response(StatusCode::OK, JSON, format!("{:#}\n", state.status())),
        "/map" => map(state),
        "/" => response(StatusCode::OK, TEXT, INDEX),
        _ => response(StatusCode::NOT_FOUND, TEXT, INDEX),
    }
}

fn metrics<B>(request: &Request<B>, state: &State) -> Response<Full<Bytes>> {
    let mut response = match format(request.headers()) {
        Format::OpenMetrics => response(StatusCode::OK, OPEN_METRICS, state.metrics().open_metrics()),
        Format::Text => match state.metrics().text() {
            Ok(text) => response(StatusCode::OK, METRICS, text),
            Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
        },
    };
    response.headers_mut().insert(VARY, HeaderValue::from_name(ACCEPT));
    response
}

fn map(state: &State) -> Response<Full<Bytes>> {
    match serde_json::to_string(&state.map().chart()) {
        Ok(chart) => response(StatusCode::OK, JSON, chart + "\n"),
        Err(error) => response(StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{error}\n")),
    }
}

fn verdict(verdict: Result<(), String>) -> Response<Full<Bytes>> {
    match verdict {
        Ok(()) => response(StatusCode::OK, TEXT, "ok\n"),
        Err(reason) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, reason + "\n"),
    }
}

fn response(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
