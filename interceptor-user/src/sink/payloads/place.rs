//! Where files go: a directory, or a store of objects.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use object_store::{
    ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::GoogleCloudStorageBuilder,
    path::Path as Key,
};
use tokio::{runtime, task, time};

use crate::{config::PayloadsTo, sink::http};

/// How long the start waits to see whether a store answers.
const PROBE: Duration = Duration::from_secs(3);

/// Where files go. Each is there whole or not at all.
#[derive(Clone, Debug)]
pub enum Place {
    /// A directory.
    Directory(PathBuf),
    /// A store, and what names in it begin with.
    Store(Arc<dyn ObjectStore>, String),
}

impl Place {
    /// Opens it. Whether a store's settings make sense is seen here, whether it answers is not.
    pub fn open(to: &PayloadsTo) -> anyhow::Result<Option<Self>> {
        match to {
            PayloadsTo::None => Ok(None),
            PayloadsTo::Directory(path) => Ok(Some(Self::Directory(path.clone()))),
            PayloadsTo::Store(url) => {
                let store = store(url).with_context(|| {
                    format!(
                        "payloads.to: cannot use {url}; credentials, region and endpoint are read from the environment \
                         (AWS_*, GOOGLE_*, AZURE_*; docs/payloads.md)"
                    )
                })?;
                let prefix = url.path().trim_matches('/').to_owned();
                Ok(Some(Self::Store(store, prefix)))
            }
        }
    }

    /// Why it cannot be reached now, if it cannot. It may be reached later.
    pub fn probe(to: &PayloadsTo) -> anyhow::Result<()> {
        // Opened anew: connections belong to the runtime that they were made in.
        let Some(Self::Store(store, prefix)) = Self::open(to)? else { return Ok(()) };
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")?;
        let key = key(&prefix, ".interceptor")?;
        let answer = runtime.block_on(async { time::timeout(PROBE, store.head(&key)).await });
        runtime.shutdown_background();
        match answer {
            // Whoever may only write is told so, or that there is nothing.
            Ok(Ok(_) | Err(object_store::Error::NotFound { .. } | object_store::Error::PermissionDenied { .. })) => {
                Ok(())
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(anyhow::anyhow!("no answer within {} s", PROBE.as_secs())),
        }
    }

    /// Writes a file of this name, or writes it again.
    pub(super) async fn put(&self, name: &str, bytes: Vec<u8>) -> anyhow::Result<()> {
        match self {
            Self::Directory(directory) => {
                let path = directory.join(name);
                task::spawn_blocking(move || {
                    write(&path, &bytes).with_context(|| format!("cannot write {}", path.display()))
                })
                .await?
            }
            Self::Store(store, prefix) => {
                let key = key(prefix, name)?;
                store.put(&key, bytes.into()).await.with_context(|| format!("cannot put {key}"))?;
                Ok(())
            }
        }
    }
}

fn key(prefix: &str, name: &str) -> anyhow::Result<Key> {
    Ok(Key::parse(format!("{prefix}/{name}"))?)
}

fn store(url: &reqwest::Url) -> anyhow::Result<Arc<dyn ObjectStore>> {
    http::secure();
    // Whoever delivers tries again himself, and counts it.
    let once = RetryConfig { max_retries: 0, ..RetryConfig::default() };
    let plain = |endpoint: Option<String>| endpoint.is_some_and(|url| url.starts_with("http://"));
    Ok(match url.scheme() {
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_url(url.as_str()).with_retry(once);
            // Who names an endpoint without TLS wants it.
            let allow = plain(builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
            Arc::new(if allow { builder.with_allow_http(true) } else { builder }.build()?)
        }
        "gs" => Arc::new(GoogleCloudStorageBuilder::from_env().with_url(url.as_str()).with_retry(once).build()?),
        _ => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(url.as_str()).with_retry(once);
            let allow = plain(builder.get_config_value(&AzureConfigKey::Endpoint));
            Arc::new(if allow { builder.with_allow_http(true) } else { builder }.build()?)
        }
    })
}

/// Under a name that readers pass over, until it is whole and on the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(directory)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    let hidden = directory.join(hidden);
    let written = File::create(&hidden)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&hidden, path))
        .and_then(|()| File::open(directory)?.sync_all());
    if written.is_err() {
        // What is half written takes room that is needed; the error that counts is the first one.
        let _ = fs::remove_file(&hidden);
    }
    written
}
