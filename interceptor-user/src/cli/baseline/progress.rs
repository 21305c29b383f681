use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crate::inspect::drift::baseline::Learner;

const EVERY: Duration = Duration::from_millis(500);

/// Tells whoever waits at a terminal how far it is.
pub(super) struct Progress {
    terminal: bool,
    last: Instant,
    shown: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { terminal: io::stderr().is_terminal(), last: Instant::now(), shown: false }
    }

    pub(super) fn tell(&mut self, learner: &Learner) {
        if self.terminal && self.last.elapsed() >= EVERY {
            (self.last, self.shown) = (Instant::now(), true);
            // A terminal that is gone is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K{} features, {} values", learner.features(), learner.values());
        }
    }

    /// Takes it away.
    pub(super) fn end(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
