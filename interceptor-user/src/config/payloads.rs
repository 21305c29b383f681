use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Period, Size,
    scalar::{Scalar, scalar},
};

/// Payload log: what was asked of models and answered, in files by model and hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Payloads {
    /// `none`, a directory, or the URL of a store: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`. Its
    /// credentials are read from the environment (AWS_*, GOOGLE_*, AZURE_*).
    pub to: PayloadsTo,
    /// Format of the files.
    pub format: PayloadsFormat,
    /// How they are compressed; `snappy` is for Parquet only.
    pub compression: PayloadsCompression,
    /// How long records wait for others to be in one file with them.
    pub interval: Period,
    /// Memory of records whose files are written earlier than that. Twice as much may wait, or `delivery.queue_size` where
    /// that is more.
    pub max_size: Size,
}

impl Default for Payloads {
    fn default() -> Self {
        Self {
            to: PayloadsTo::None,
            format: PayloadsFormat::Parquet,
            compression: PayloadsCompression::Zstd,
            interval: Period(Duration::from_mins(1)),
            max_size: Size(32 << 20),
        }
    }
}

/// Format of the files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["parquet", "jsonl"]))]
pub enum PayloadsFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// A JSON object a line.
    Jsonl,
}

/// How files are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("enum" = ["none", "snappy", "gzip", "zstd"]))]
pub enum PayloadsCompression {
    /// Not at all.
    None,
    /// Snappy, of which every reader knows.
    Snappy,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    #[default]
    Zstd,
}

/// Where files go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PayloadsTo {
    /// Nowhere.
    #[default]
    None,
    /// A directory.
    Directory(PathBuf),
    /// A store of objects: `SCHEME://BUCKET/PREFIX`.
    Store(reqwest::Url),
}

/// Schemes of stores that we know.
const SCHEMES: [&str; 6] = ["s3", "s3a", "gs", "az", "abfs", "abfss"];

impl FromStr for PayloadsTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        if text.contains("://") {
            let url = reqwest::Url::parse(text).ok().filter(|url| SCHEMES.contains(&url.scheme()) && url.has_host());
            let whole = url.filter(|url| url.query().is_none() && url.fragment().is_none() && url.password().is_none());
            return whole.map(Self::Store).ok_or_else(|| {
                "expected s3://bucket/prefix, gs://bucket/prefix or az://container/prefix; credentials are read from the \
                 environment"
                    .to_owned()
            });
        }
        if text.contains('/') {
            return Ok(Self::Directory(text.into()));
        }
        Err("expected `none`, the path of a directory with a `/` in it, or the URL of a store such as s3://bucket/prefix"
            .to_owned())
    }
}

impl fmt::Display for PayloadsTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Directory(path) => path.display().fmt(f),
            Self::Store(url) => url.fmt(f),
        }
    }
}

scalar!(PayloadsTo, "place", { "type": "string", "minLength": 1 });
