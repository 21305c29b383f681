use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, Period, Size,
    scalar::{Scalar, scalar},
};
use crate::sink::delivery::Limits;

/// Lines of JSON, one for each exchange, with what was found in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lines {
    /// `none`, `stdout`, or the path of a file, which is continued.
    pub to: LinesTo,
    /// Size at which the file is renamed to `NAME.1` and a new one begun; 0 for never.
    pub max_size: Size,
    /// Files that are kept, the one that is written included.
    pub files: Count,
}

impl Default for Lines {
    fn default() -> Self {
        Self { to: LinesTo::None, max_size: Size(100 << 20), files: Count(5) }
    }
}

/// Where lines go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LinesTo {
    /// Nowhere.
    #[default]
    None,
    /// Standard output.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl FromStr for LinesTo {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "stdout" | "-" => Ok(Self::Stdout),
            path if path.contains('/') => Ok(Self::File(path.into())),
            _ => {
                Err("expected `none`, `stdout`, or the path of a file with a `/` in it, such as ./lines.jsonl"
                    .to_owned())
            }
        }
    }
}

impl fmt::Display for LinesTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Stdout => f.write_str("stdout"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

scalar!(LinesTo, "where", { "type": "string", "minLength": 1 });

/// Bounds of each sink that delivers to somewhere else: lines, OTLP, payloads, Kafka, CloudEvents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// Records of one sink that may wait; what comes beyond is dropped and counted.
    pub queue_records: Count,
    /// Memory that they may hold.
    pub queue_size: Size,
    /// How long a batch is tried again before it is dropped and counted.
    pub retry_for: Period,
    /// How long sinks go on delivering what waits once the daemon is asked to end.
    pub grace: Period,
}

impl Default for Delivery {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            queue_records: Count(u32::try_from(limits.queue_records).unwrap_or(u32::MAX)),
            queue_size: Size(limits.queue_bytes as u64),
            retry_for: Period(limits.retry_for),
            grace: Period(limits.grace),
        }
    }
}

impl From<&Delivery> for Limits {
    fn from(delivery: &Delivery) -> Self {
        Self {
            queue_records: delivery.queue_records.0 as usize,
            queue_bytes: delivery.queue_size.to_usize(),
            retry_for: delivery.retry_for.0.max(Duration::from_millis(1)),
            grace: delivery.grace.0,
            ..Self::default()
        }
    }
}
