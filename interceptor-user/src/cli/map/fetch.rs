//! The map of a running daemon.

use std::time::Duration;

use anyhow::Context as _;

use crate::sink::{http, map::Chart};

/// It answers from memory.
const TIME: Duration = Duration::from_secs(10);
/// A map of thousands of edges is a few megabytes.
const BYTES_MAX: usize = 64 << 20;

/// What `/map` below that address answers.
pub(super) fn chart(address: &str) -> anyhow::Result<Chart> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
    let advice = || {
        format!(
            "no map from {} ('--address URL' names another daemon, whose metrics.address it is; a FILE or '--for 10s' \
             needs none)",
            shown(address)
        )
    };
    runtime.block_on(ask(address)).with_context(advice)
}

/// The address without a password.
fn shown(address: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(address) else { return address.to_owned() };
    if url.password().is_none() {
        return address.to_owned();
    }
    let hidden = url.set_password(Some("***"));
    hidden.map_or_else(|()| "there".to_owned(), |()| url.to_string())
}

async fn ask(address: &str) -> anyhow::Result<Chart> {
    let client = http::client(TIME, None)?;
    let url = format!("{}/map", address.trim_end_matches('/'));
    let mut response = client.get(url).send().await.map_err(reqwest::Error::without_url)?.error_for_status()?;
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await? {
        body.extend_from_slice(&bytes);
        anyhow::ensure!(body.len() <= BYTES_MAX, "the answer is larger than {BYTES_MAX} bytes");
    }
    serde_json::from_slice(&body).context("the answer is no map")
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn no_password_is_shown() {
        assert_eq!(shown("http://me:secret@host:9464/at"), "http://me:***@host:9464/at");
        for as_it_is in ["http://host:9464", "http://me@host", "host:9464", "not a URL"] {
            assert_eq!(shown(as_it_is), as_it_is);
        }
    }
}
