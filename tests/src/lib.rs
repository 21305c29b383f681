//! The test bed: what the end-to-end tests and the corpus share.
//!
//! Pods come from [`interceptor::demo::pod`], the demo's own. Everything started here ends with the value that stands
//! for it, whichever way a test goes.

mod case;
mod daemon;
mod exchanges;
mod http;
mod nginx;
mod port;
mod process;
mod python;
mod runc;
mod tail;
mod tcpdump;

pub use case::{Case, Need, run};
pub use daemon::{Daemon, Metrics};
pub use exchanges::{Exchanges, check, normalise};
pub use http::{Answer, Connection};
pub use nginx::{Nginx, Site};
pub use port::free_port;
pub use process::{Ended, Process, until};
pub use python::Python;
pub use runc::{Config, Container, RuncPod};
pub use tail::{Tail, interceptor};
pub use tcpdump::Tcpdump;

/// Prefix of the names of the tests' pods.
pub const PODS: &str = "interceptor-test";
