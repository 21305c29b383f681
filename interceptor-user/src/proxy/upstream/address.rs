//! One address of an upstream: its connections, and what is known of it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    net::SocketAddr,
    rc::Rc,
};

use tokio::{sync::Mutex, time::Instant};

use super::{Common, Failure, health::Health, http1::Idle, http2::Connection, outlier::Outlier};

pub(in crate::proxy) struct Address {
    pub(super) at: SocketAddr,
    pub(super) common: Rc<Common>,
    requests: Cell<u32>,
    pub(super) outlier: RefCell<Outlier>,
    pub(super) health: RefCell<Health>,
    /// Those of HTTP/1 without a request, the last used last.
    pub(super) idle: RefCell<VecDeque<Idle>>,
    /// Those of HTTP/2.
    pub(super) shared: RefCell<Vec<Rc<Connection>>>,
    /// Who opens one of HTTP/2 is waited for; with when that failed last, and how.
    pub(super) opening: Mutex<Option<(Instant, Failure)>>,
}

/// A request at an address, while this lives.
pub(in crate::proxy) struct Flight(Rc<Address>);

impl Address {
    pub(super) fn new(common: &Rc<Common>, at: SocketAddr) -> Self {
        Self {
            at,
            common: Rc::clone(common),
            requests: Cell::new(0),
            outlier: RefCell::default(),
            health: RefCell::default(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            opening: Mutex::default(),
        }
    }

    pub(in crate::proxy) fn at(&self) -> SocketAddr {
        self.at
    }

    /// At a time, now.
    pub(super) fn requests(&self) -> u32 {
        self.requests.get()
    }

    pub(in crate::proxy) fn flight(self: &Rc<Self>) -> Flight {
        self.requests.update(|requests| requests + 1);
        Flight(Rc::clone(self))
    }

    pub(super) fn is_good(&self, now: Instant) -> bool {
        self.health.borrow().is_good() && !self.outlier.borrow_mut().is_ejected(now)
    }

    /// Could a request have a connection at once?
    pub(super) fn is_open(&self) -> bool {
        !self.idle.borrow().is_empty() || self.shared.borrow().iter().any(|connection| connection.is_usable())
    }

    /// Closes connections that were not used for too long, and forgets those that are closed.
    pub(super) fn sweep(&self, now: Instant) {
        let keep = self.common.settings.connections.idle_timeout.0;
        self.idle.borrow_mut().retain(|idle| idle.is_usable() && idle.since + keep > now);
        self.shared.borrow_mut().retain(|connection| connection.is_to_be_kept(keep, now));
        self.outlier.borrow_mut().is_ejected(now);
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.requests.update(|requests| requests - 1);
    }
}
