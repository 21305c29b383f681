//! How long a request and its answer have been waited for.

use std::{cell::Cell, future::Future, pin::pin, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::Failure;
use crate::config::Timeouts;

/// When something of them passed last.
pub(in crate::proxy) struct Pulse {
    response: Option<Duration>,
    idle: Option<Duration>,
    last: Cell<Instant>,
    /// When the request was whole.
    asked: Cell<Option<Instant>>,
}

impl Pulse {
    /// None where nothing is to be timed.
    pub(super) fn new(timeouts: Timeouts) -> Option<Rc<Self>> {
        let Timeouts { response, idle } = timeouts;
        if response.0.is_none() && idle.0.is_none() {
            return None;
        }
        let last = Cell::new(Instant::now());
        Some(Rc::new(Self { response: response.0, idle: idle.0, last, asked: Cell::new(None) }))
    }

    /// Something has passed.
    pub(in crate::proxy) fn beat(&self) {
        self.last.set(Instant::now());
    }

    /// The request is whole, so that it is the server's turn.
    pub(in crate::proxy) fn asked(&self) {
        self.beat();
        self.asked.set(Some(self.last.get()));
    }

    /// Waits until an answer's head is too late.
    pub(in crate::proxy) async fn is_late(&self) -> Failure {
        loop {
            let now = Instant::now();
            let response = self.response.map(|time| self.asked.get().unwrap_or(now) + time);
            let idle = self.idle.map(|time| self.last.get() + time);
            match (response, idle) {
                (Some(end), _) if end <= now => return Failure::Late,
                (_, Some(end)) if end <= now => return Failure::Stalled,
                (Some(end), Some(other)) => sleep_until(end.min(other)).await,
                (Some(end), None) | (None, Some(end)) => sleep_until(end).await,
                (None, None) => std::future::pending().await,
            }
        }
    }

    /// Waits until nothing has passed for too long.
    pub(in crate::proxy) async fn stands_still(&self) {
        let Some(idle) = self.idle else { return std::future::pending().await };
        while self.last.get() + idle > Instant::now() {
            sleep_until(self.last.get() + idle).await;
        }
    }

    pub(in crate::proxy) fn last(&self) -> Instant {
        self.last.get()
    }
}

/// What is waited for, unless it is too late.
pub(in crate::proxy) async fn in_time<T>(pulse: Option<&Pulse>, wanted: impl Future<Output = T>) -> Result<T, Failure> {
    let Some(pulse) = pulse else { return Ok(wanted.await) };
    let (wanted, late) = (pin!(wanted), pin!(pulse.is_late()));
    tokio::select! {
        biased;
        got = wanted => Ok(got),
        failure = late => Err(failure),
    }
}
