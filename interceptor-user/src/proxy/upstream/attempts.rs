//! What is tried again: what no server has looked at, and what may be asked twice (RFC 9110 section 9.2.2).

use std::{rc::Rc, sync::atomic::AtomicU64, time::Duration};

use hyper::{Method, StatusCode};
use tokio::time::{Instant, sleep};

use super::{Failure, Pinned, Upstream, address::Address, http1::Lease, http2::Stream};
use crate::proxy::{counts::Counts, fields::random};

/// Why a request is to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Again {
    /// There was no connection.
    Connect,
    /// A connection that was kept is closed, and nothing was answered on it. So is the next one that was kept, perhaps, so that a new
    /// one is opened; this happens once at the most, and costs the server nothing: the budget is not asked.
    Closed,
    /// The server has not looked at it (RFC 9113 section 8.7).
    Refused,
    /// The answer's status is one of those that are configured.
    Status,
    /// A new connection has ended without an answer, or the stream was reset.
    Reset,
}

/// Those at one request.
pub(in crate::proxy) struct Attempts {
    upstream: Rc<Upstream>,
    left: u32,
    made: u32,
    /// It may be asked twice, and there is nothing of it that could not be sent twice.
    is_repeatable: bool,
    /// Only on a new connection.
    is_fresh: bool,
    /// Where it failed last.
    tried: Option<Rc<Address>>,
}

/// Idempotent, and without a content: what has passed of a content is not kept.
pub(in crate::proxy) fn is_repeatable(method: &Method, has_no_content: bool) -> bool {
    method.is_idempotent() && has_no_content
}

impl Upstream {
    pub(in crate::proxy) fn attempts(self: &Rc<Self>, is_repeatable: bool) -> Attempts {
        let left = self.common.settings.retry.attempts.0 - 1;
        Attempts { upstream: Rc::clone(self), left, made: 0, is_repeatable, is_fresh: false, tried: None }
    }
}

impl Attempts {
    /// A connection of HTTP/1.
    pub(super) async fn http1(&mut self, pinned: &Pinned) -> Result<Lease, Failure> {
        if !self.is_fresh
            && let Some(mut lease) = pinned.take(&self.upstream.target)
            && lease.server.ready().await.is_ok()
        {
            return Ok(lease);
        }
        loop {
            let address = self.upstream.pick(self.tried.as_ref()).await?;
            let kept = if self.is_fresh { None } else { address.kept() };
            let failure = match kept {
                Some(lease) => return Ok(lease),
                None => match address.open_http1().await {
                    Ok(lease) => return Ok(lease),
                    Err(failure) => failure,
                },
            };
            self.not_connected(failure, &address).await?;
        }
    }

    /// A stream's place on a connection of HTTP/2.
    pub(in crate::proxy) async fn http2(&mut self) -> Result<Stream, Failure> {
        loop {
            let address = self.upstream.pick(self.tried.as_ref()).await?;
            match address.http2().await {
                Ok(stream) => return Ok(stream),
                Err(failure) => self.not_connected(failure, &address).await?,
            }
        }
    }

    async fn not_connected(&mut self, failure: Failure, address: &Rc<Address>) -> Result<(), Failure> {
        self.upstream.report(address, false);
        // Who has waited for an address in vain does not wait for the same one again.
        let is_other = failure != Failure::NotConnected || self.upstream.addresses.borrow().len() > 1;
        if is_other && self.again(Again::Connect, address).await { Ok(()) } else { Err(failure) }
    }

    pub(in crate::proxy) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// May it have to be sent twice?
    pub(super) fn needs_spare(&self, was_kept: bool) -> bool {
        self.is_repeatable && (was_kept || self.retries_answers())
    }

    fn retries_answers(&self) -> bool {
        self.left > 0 && !self.upstream.common.settings.retry.codes.is_empty()
    }

    /// Is an answer with this status one to be asked for again?
    pub(in crate::proxy) fn is_wanted_after(&self, status: StatusCode) -> bool {
        let codes = &self.upstream.common.settings.retry.codes;
        self.is_repeatable && codes.iter().any(|code| code.0 == status.as_u16())
    }

    /// Waits until it is time for another attempt. No: there is none.
    pub(in crate::proxy) async fn again(&mut self, why: Again, address: &Rc<Address>) -> bool {
        let counts = &self.upstream.common;
        match why {
            Again::Closed if self.is_fresh => return false,
            Again::Closed => {
                self.is_fresh = true;
                counts.count(why.counter());
                return true;
            }
            Again::Reset if !(self.is_repeatable && self.retries_answers()) => return false,
            Again::Connect | Again::Refused | Again::Status | Again::Reset if self.left == 0 => return false,
            Again::Connect | Again::Refused | Again::Status | Again::Reset => {}
        }
        if !self.upstream.budget.borrow_mut().retry(Instant::now()) {
            counts.count(|counts| &counts.upstream.over_budget);
            return false;
        }
        counts.count(why.counter());
        self.tried = Some(Rc::clone(address));
        self.left -= 1;
        self.made += 1;
        sleep(self.backoff()).await;
        true
    }

    /// Twice as long each time, and up to as much again by chance: those that failed together do not come back together.
    fn backoff(&self) -> Duration {
        let least = self.upstream.common.settings.retry.backoff.0.saturating_mul(1 << (self.made - 1).min(10));
        let chance = u32::try_from(random() % 1024).unwrap_or_default();
        least.saturating_add(least.saturating_mul(chance) / 1024)
    }
}

impl Again {
    const fn counter(self) -> fn(&Counts) -> &AtomicU64 {
        match self {
            Self::Connect => |counts| &counts.upstream.retry_connect,
            Self::Closed => |counts| &counts.upstream.retry_closed,
            Self::Refused => |counts| &counts.upstream.retry_refused,
            Self::Status => |counts| &counts.upstream.retry_status,
            Self::Reset => |counts| &counts.upstream.retry_reset,
        }
    }
}
