//! The HTTP client that sinks share: its settings, and what a response means for what was sent.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use reqwest::{Certificate, Client, Response, StatusCode, header::RETRY_AFTER, redirect};
use rustls::crypto::ring;

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// What a response that is no success means.
#[derive(Debug)]
pub enum Refusal {
    /// It may be taken later, after this time if it says so.
    Later(anyhow::Error, Option<Duration>),
    /// It will never be taken.
    Never(anyhow::Error),
}

/// A client that waits so long for a response, and trusts what the system trusts; with `authority`, a PEM file, only that.
pub fn client(timeout: Duration, authority: Option<&Path>) -> anyhow::Result<Client> {
    secure();
    let agent = concat!("interceptor/", env!("CARGO_PKG_VERSION"));
    let builder = Client::builder()
        .user_agent(agent)
        .timeout(timeout)
        .connect_timeout(CONNECT.min(timeout))
        // Telemetry goes where it was configured to go, and nowhere else.
        .redirect(redirect::Policy::none());
    let builder = match authority {
        None => builder,
        Some(path) => {
            let pem = std::fs::read(path).with_context(|| format!("cannot read the certificate {}", path.display()))?;
            let certificates = Certificate::from_pem_bundle(&pem)
                .with_context(|| format!("{} holds no certificate in PEM format", path.display()))?;
            builder.tls_certs_only(certificates)
        }
    };
    builder.build().context("cannot make an HTTP client")
}

/// Chooses who encrypts, for the process; once is enough.
pub fn secure() {
    // An error says that somebody has chosen already.
    let _chosen = ring::default_provider().install_default();
}

/// What the response says of what was sent; the response if it was taken.
pub fn judged(sent: reqwest::Result<Response>) -> Result<Response, Refusal> {
    let response = sent.map_err(|error| Refusal::Later(anyhow::Error::new(error.without_url()), None))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let error = anyhow::anyhow!("the other side answers {status}");
    let passing =
        status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
    Err(if passing { Refusal::Later(error, wait) } else { Refusal::Never(error) })
}

/// Seconds (RFC 9110 section 10.2.3); a date is passed over, because clocks differ.
fn retry_after(value: &str) -> Option<Duration> {
    value.trim().parse().ok().map(Duration::from_secs)
}
