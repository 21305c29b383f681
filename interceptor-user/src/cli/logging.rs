use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Says what the daemon says this with, so that one name serves both.
const VARIABLE: &str = "INTERCEPTOR_LOG_LEVEL";

/// Warnings to standard error, for commands that a person looks at; more of them if the environment asks for it.
pub(super) fn start() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .without_time();
    // Only a second start could fail, and the first one serves.
    let _ = subscriber.try_init();
}
