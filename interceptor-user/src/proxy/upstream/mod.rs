//! Where requests go: the address that a client's connection was going to, or a route's backend.
//!
//! ```text
//! Target ─► Upstream ─► Address ─┬─► idle connections of HTTP/1, each for one request at a time
//!   name     limits,     of two  └─► connections of HTTP/2, for many
//!            budget      the freer
//! ```
//!
//! All clients share it. A server that knows a client by its connection (NTLM, Negotiate) keeps it for that client ([`Pinned`]).
//! A connection is used again only when its last answer was read to its end.

mod address;
mod attempts;
mod budget;
mod content;
mod failure;
mod health;
mod http1;
mod http2;
mod outlier;
mod pick;
mod pinned;
mod pulse;
mod registry;
mod resolve;
mod target;

pub(super) use self::{
    attempts::{Again, Attempts, is_repeatable},
    content::{Content, Download},
    failure::Failure,
    http1::ask,
    http2::Stream,
    pinned::Pinned,
    pulse::{Pulse, in_time},
    registry::Upstreams,
    target::Target,
};

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::StatusCode;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, timeout},
};

use self::{address::Address, budget::Budget, resolve::Resolver};
use super::{counts::Counts, kernel::Kernel};
use crate::config;

/// What all upstreams have in common.
pub(super) struct Common {
    kernel: Arc<Kernel>,
    counts: Arc<Counts>,
    settings: config::Upstream,
    /// How long connecting may take.
    connect: Duration,
    /// To all of them, now.
    requests: Cell<u32>,
}

/// One of them.
pub(super) struct Upstream {
    common: Rc<Common>,
    target: Target,
    resolver: Resolver,
    addresses: RefCell<Vec<Rc<Address>>>,
    budget: RefCell<Budget>,
    /// Now.
    requests: Cell<u32>,
    /// When it was asked for last.
    used: Cell<Instant>,
}

/// A request that counts as one of those at a time, while this lives.
pub(super) struct Ticket(Rc<Upstream>);

impl Upstream {
    /// A request begins.
    pub(super) fn enter(self: &Rc<Self>) -> Result<Ticket, Failure> {
        let limits = &self.common.settings.limits;
        let counts = &self.common.counts.upstream;
        if self.common.requests.get() >= limits.requests.0 {
            counts.limited_all.fetch_add(1, Relaxed);
            return Err(Failure::Limited);
        }
        if self.requests.get() >= limits.per_upstream.0 {
            counts.limited_upstream.fetch_add(1, Relaxed);
            return Err(Failure::Limited);
        }
        self.common.requests.update(|requests| requests + 1);
        self.requests.update(|requests| requests + 1);
        let now = Instant::now();
        self.used.set(now);
        self.budget.borrow_mut().request(now);
        Ok(Ticket(Rc::clone(self)))
    }

    /// How a request may be timed.
    pub(super) fn pulse(&self) -> Option<Rc<Pulse>> {
        Pulse::new(self.common.settings.timeouts)
    }

    /// It is too late for an answer.
    pub(super) fn is_late(&self, failure: Failure) {
        self.common.is_late(failure);
    }
}

impl Ticket {
    fn target(&self) -> &Target {
        &self.0.target
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let Self(upstream) = self;
        upstream.requests.update(|requests| requests - 1);
        upstream.common.requests.update(|requests| requests - 1);
    }
}

impl Common {
    fn count(&self, of: fn(&Counts) -> &AtomicU64) {
        of(&self.counts).fetch_add(1, Relaxed);
    }

    fn is_late(&self, failure: Failure) {
        match failure {
            Failure::NotConnected => self.count(|counts| &counts.upstream.late_connect),
            Failure::Late => self.count(|counts| &counts.upstream.late_response),
            Failure::Stalled => self.count(|counts| &counts.upstream.late_idle),
            _ => {}
        }
    }

    /// The kernel is told first that the socket is ours.
    async fn connect(&self, to: SocketAddr) -> Result<TcpStream, Failure> {
        let failed = |error: io::Error| {
            tracing::debug!(%to, %error, "cannot connect");
            Failure::Unreachable
        };
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(failed)?;
        self.kernel.own(&socket).map_err(|error| failed(io::Error::other(error)))?;
        let Ok(connected) = timeout(self.connect, socket.connect(to)).await else {
            self.is_late(Failure::NotConnected);
            return Err(Failure::NotConnected);
        };
        let stream = connected.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

/// What says that who answers is not who was asked, or cannot answer now (RFC 9110 section 15.6).
pub(super) fn is_gateway_error(status: StatusCode) -> bool {
    matches!(status.as_u16(), 502..=504)
}
