//! Structured logs, to standard error.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::{Log, LogFormat};

/// Begins to log, panics included.
pub(super) fn start(config: &Log) {
    // The configuration took the filter only after it parsed.
    let filter = EnvFilter::new(&config.level.0);
    let started = match config.format {
        LogFormat::Text => {
            let layer = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
            tracing_subscriber::registry().with(filter).with(layer).try_init()
        }
        LogFormat::Json => {
            let layer = fmt::layer().json().flatten_event(true).with_writer(io::stderr);
            tracing_subscriber::registry().with(filter).with(layer).try_init()
        }
    };
    // There is one only where this is called twice in one process.
    drop(started);
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, thread = std::thread::current().name(), "panic: {message}");
    }));
}
