//! Values that say where, and what to log. Each is valid by construction: what parses can be used.

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::scalar::{Scalar, scalar};
use crate::model::{Cidr, glob};

/// A port or a range of ports, both ends included: `8080`, `9000-9010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.trim().parse(), last.trim().parse()) {
            (Ok(first), Ok(last)) if 0 < first && first <= last => Ok(Self { first, last }),
            _ => Err("expected a port from 1 to 65535 or a range, such as 8080 or 9000-9010".to_owned()),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self { first, last } if first == last => first.fmt(f),
            Self { first, last } => write!(f, "{first}-{last}"),
        }
    }
}

scalar!(Ports, "ports", {
    "type": ["integer", "string"],
    "minimum": 1,
    "maximum": 65535,
    "pattern": "^[0-9]+(-[0-9]+)?$"
});

scalar!(Cidr, "network", { "type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]+)?$" });

/// The name of a network interface, or a pattern with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface(pub String);

impl FromStr for Interface {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // IFNAMSIZ is 16 with the closing NUL.
        let allowed = |c: char| c != '/' && !c.is_whitespace();
        if (1..16).contains(&text.len()) && text.chars().all(allowed) {
            return Ok(Self(text.to_owned()));
        }
        Err("expected an interface name of up to 15 characters, such as eth0".to_owned())
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Interface, "interface", { "type": "string", "minLength": 1, "maxLength": 15 });

/// A network namespace: a name as `ip netns` knows it, or a path such as `/proc/1234/ns/net`; its last part may be a
/// pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netns(pub PathBuf);

impl FromStr for Netns {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "." | ".." => Err("expected a namespace's name or path, such as pod1 or /proc/1234/ns/net".to_owned()),
            path if path.starts_with('/') => {
                let directory = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
                if glob::is_pattern(directory) {
                    return Err("expected * and ? in the last part of the path only".to_owned());
                }
                Ok(Self(path.into()))
            }
            name if name.contains('/') => Err("expected a name without slashes, or an absolute path".to_owned()),
            name => Ok(Self(PathBuf::from("/run/netns").join(name))),
        }
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

scalar!(Netns, "netns", { "type": "string", "minLength": 1 });

/// The path of a file or directory, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaybePath(pub Option<PathBuf>);

impl FromStr for MaybePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }
}

impl fmt::Display for MaybePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_deref().map_or(Ok(()), |path| path.display().fmt(f))
    }
}

scalar!(MaybePath, "path", { "type": "string" });

/// The directory of a cgroup, or a pattern: absolute, or below the cgroup v2 mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup(pub PathBuf);

impl FromStr for Cgroup {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected a cgroup's directory, absolute or below the cgroup v2 mount".to_owned());
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

scalar!(Cgroup, "cgroup", { "type": "string", "minLength": 1 });

/// Where sockets are watched by sock_ops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SockOps {
    /// At the root of the cgroup v2 mount: every socket.
    Root,
    /// At this cgroup.
    Cgroup(Cgroup),
}

impl FromStr for SockOps {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "root" => Ok(Self::Root),
            path => path.parse().map(Self::Cgroup).map_err(|_| "expected root or a cgroup's directory".to_owned()),
        }
    }
}

impl fmt::Display for SockOps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Cgroup(cgroup) => cgroup.fmt(f),
        }
    }
}

scalar!(SockOps, "root|cgroup", { "type": "string", "minLength": 1 });

/// An address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse().map(Self);
        address.map_err(|_| "expected an IP address and a port, such as 127.0.0.1:9464 or [::]:9464".to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(Address, "address", { "type": "string", "pattern": ":[0-9]+$" });

/// What to log: a level, or directives of `tracing-subscriber`'s filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let directive = |directive: &str| {
            let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
            LEVELS.contains(&level.trim())
        };
        if !text.is_empty() && text.split(',').all(directive) && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
            return Ok(Self(text.to_owned()));
        }
        Err("expected off, error, warn, info, debug or trace, or a list such as warn,interceptor::admin=debug"
            .to_owned())
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(LogFilter, "filter", { "type": "string", "minLength": 1 });
