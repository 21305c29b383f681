use std::{fmt, str::FromStr, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{
    Count, Period,
    scalar::{Scalar, scalar},
};

/// Servers that requests go to: where the client's connection was going, or the backends of a route.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// How long servers are waited for.
    pub timeouts: Timeouts,
    /// Requests that are tried again.
    pub retry: Retry,
    /// Addresses of backends that fail are left alone for a while.
    pub ejection: Ejection,
    /// Addresses of backends are checked, whether there are requests or not.
    pub health: HealthChecks,
    /// Connections that are kept for later requests, of any client.
    pub connections: Connections,
    /// Requests at a time.
    pub limits: RequestLimits,
}

/// How long servers are waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// From the end of the request to the head of the answer: a time, or `none`. The client is answered with 504.
    pub response: Wait,
    /// For the next byte of a request or its answer, either way: a time, or `none`.
    pub idle: Wait,
}

/// Requests that are tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// How often a request is tried at the most, the first time included. What no server has looked at is tried again whatever
    /// its method is; 1 turns that off.
    pub attempts: Count,
    /// Status codes after which requests of idempotent methods without a content are tried again, and after resets, too; none: neither.
    pub codes: Vec<ErrorCode>,
    /// How long is waited before the second attempt at the least; twice as long before each further one.
    pub backoff: Period,
    /// Bounds of what is tried again, so that it does not add to the load of who fails.
    pub budget: Budget,
}

impl Default for Retry {
    fn default() -> Self {
        let backoff = Period(Duration::from_millis(25));
        Self { attempts: Count(3), codes: Vec::new(), backoff, budget: Budget::default() }
    }
}

/// Bounds of what is tried again, of each upstream, over ten seconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Attempts beside the first, in percent of the requests.
    pub percent: Percent,
    /// The same a second, where there are few requests.
    pub minimum: Count,
}

impl Default for Budget {
    fn default() -> Self {
        Self { percent: Percent(20), minimum: Count(10) }
    }
}

/// Addresses of backends that fail are left alone for a while. Never the last one, and never where a connection was going by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ejection {
    /// After so many failures in a row: no connection, no answer in time, 502, 503, 504.
    pub failures: Count,
    /// For this time, times how often it happened lately.
    pub time: Period,
    /// Part of a backend's addresses that may be left alone at a time, but one at the least; 0: none ever is.
    pub percent: Percent,
}

impl Default for Ejection {
    fn default() -> Self {
        Self { failures: Count(5), time: Period(Duration::from_secs(30)), percent: Percent(10) }
    }
}

/// Addresses of backends are checked, whether there are requests or not, from the first request to a backend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HealthChecks {
    /// `none`; `tcp`: connect; a path: ask for it by HTTP/1, where 200 to 399 is healthy.
    pub check: HealthCheck,
    /// Time between two checks.
    pub interval: Period,
    /// How long one may take.
    pub timeout: Period,
    /// After so many good ones in a row an address is healthy again.
    pub healthy: Count,
    /// After so many bad ones in a row it is not.
    pub unhealthy: Count,
}

impl Default for HealthChecks {
    fn default() -> Self {
        Self {
            check: HealthCheck::None,
            interval: Period(Duration::from_secs(10)),
            timeout: Period(Duration::from_secs(1)),
            healthy: Count(2),
            unhealthy: Count(3),
        }
    }
}

/// Connections that are kept for later requests, of any client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Connections {
    /// To one address without a request, at the most.
    pub idle: Count,
    /// How long they are kept without one. Servers ought to keep them for longer (uvicorn, Node.js and Apache do, for 5 s), so that
    /// none of them ends one that a request is on its way on.
    pub idle_timeout: Period,
}

impl Default for Connections {
    fn default() -> Self {
        Self { idle: Count(64), idle_timeout: Period(Duration::from_secs(4)) }
    }
}

/// Requests at a time; what comes beyond is answered with 503.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// To all upstreams.
    pub requests: Count,
    /// To each.
    pub per_upstream: Count,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { requests: Count(10_000), per_upstream: Count(5_000) }
    }
}

/// A length of time, or `none`: for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wait(pub Option<Duration>);

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(None));
        }
        let Period(time) = text.parse().map_err(|expected| format!("{expected}, or `none`"))?;
        Ok(Self(Some(time)))
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => Period(time).fmt(f),
            None => f.write_str("none"),
        }
    }
}

scalar!(Wait, "period|none", { "type": "string", "pattern": "^none$|[0-9] *[a-zA-Zµ]+$" });

/// A part of the whole: 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text.parse().ok().filter(|percent| *percent <= 100);
        percent.map(Self).ok_or_else(|| "expected a whole number from 0 to 100, without a sign".to_owned())
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Percent, "percent", { "type": ["integer", "string"], "minimum": 0, "maximum": 100, "pattern": "^[0-9]+$" });

/// A status code of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode(pub u16);

impl FromStr for ErrorCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let code = text.parse().ok().filter(|code| (400..=599).contains(code));
        code.map(Self).ok_or_else(|| "expected a status code from 400 to 599, such as 503".to_owned())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(ErrorCode, "code", { "type": ["integer", "string"], "minimum": 400, "maximum": 599, "pattern": "^[45][0-9]{2}$" });

/// How addresses are checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HealthCheck {
    /// Not at all.
    #[default]
    None,
    /// They take connections.
    Tcp,
    /// They answer well when they are asked for this path.
    Http(String),
}

impl FromStr for HealthCheck {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "tcp" => Ok(Self::Tcp),
            path if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(Self::Http(path.to_owned()))
            }
            _ => Err("expected `none`, `tcp`, or a path such as /healthz".to_owned()),
        }
    }
}

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tcp => f.write_str("tcp"),
            Self::Http(path) => f.write_str(path),
        }
    }
}

scalar!(HealthCheck, "none|tcp|path", { "type": "string", "pattern": "^(none|tcp|/[!-~]*)$" });
