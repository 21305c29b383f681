//! All upstreams, by their names.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Budget, Common, Failure, Resolver, Target, Upstream, address::Address, health};
use crate::{
    config,
    proxy::{counts::Counts, kernel::Kernel},
};

/// How often idle connections, and upstreams that nobody asks for, are looked for.
const SWEEP: Duration = Duration::from_secs(1);
/// After so long without a request an upstream is forgotten, and what is known of its addresses.
const FORGET: Duration = Duration::from_mins(5);
/// That are known at a time. What comes beyond shares nothing.
const MOST: usize = 4096;

pub(in crate::proxy) struct Upstreams {
    common: Rc<Common>,
    known: RefCell<HashMap<Target, Rc<Upstream>>>,
}

impl Upstreams {
    pub(in crate::proxy) fn new(
        kernel: Arc<Kernel>,
        counts: Arc<Counts>,
        settings: config::Upstream,
        connect: Duration,
    ) -> Self {
        let common = Common { kernel, counts, settings, connect, requests: Cell::new(0) };
        Self { common: Rc::new(common), known: RefCell::default() }
    }

    pub(in crate::proxy) fn get(&self, target: &Target) -> Rc<Upstream> {
        if let Some(known) = self.known.borrow().get(target) {
            return Rc::clone(known);
        }
        let upstream = Rc::new(Upstream::new(&self.common, target.clone()));
        if let Target::Backend(_) = target {
            health::watch(&upstream);
        }
        let mut known = self.known.borrow_mut();
        if known.len() < MOST {
            known.insert(target.clone(), Rc::clone(&upstream));
        }
        upstream
    }

    /// To where a connection was going.
    pub(in crate::proxy) async fn connect(&self, to: SocketAddr) -> Result<TcpStream, Failure> {
        self.common.connect(to).await
    }

    /// Is there a connection that a request to this address could have at once?
    pub(in crate::proxy) fn is_open(&self, to: SocketAddr) -> bool {
        let known = self.known.borrow();
        known
            .get(&Target::Destination(to))
            .is_some_and(|upstream| upstream.addresses.borrow().iter().any(|a| a.is_open()))
    }

    /// How long a request and its answer may stand still.
    pub(in crate::proxy) fn idle_timeout(&self) -> Option<Duration> {
        self.common.settings.timeouts.idle.0
    }

    /// An answer has stood still for so long.
    pub(in crate::proxy) fn stands_still(&self) {
        self.common.is_late(Failure::Stalled);
    }

    /// Takes a connection on which nothing was said yet, for HTTP/1.
    pub(in crate::proxy) async fn take_http1(&self, to: SocketAddr, stream: TcpStream) {
        if let Some(address) = self.destination(to) {
            address.take_http1(stream).await;
        }
    }

    /// The same, for HTTP/2. Where there is one already that has room it is closed.
    pub(in crate::proxy) async fn take_http2(&self, to: SocketAddr, stream: TcpStream) {
        if let Some(address) = self.destination(to) {
            address.take_http2(stream).await;
        }
    }

    fn destination(&self, to: SocketAddr) -> Option<Rc<Address>> {
        let upstream = self.get(&Target::Destination(to));
        upstream.addresses.borrow().first().map(Rc::clone)
    }

    /// Closes what is not used, as long as the inline path runs.
    pub(in crate::proxy) async fn sweep(&self) {
        let mut sweep = interval(SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = sweep.tick().await;
            self.known.borrow_mut().retain(|_, upstream| {
                upstream.sweep(now);
                upstream.requests.get() > 0 || upstream.used.get() + FORGET > now
            });
        }
    }
}

impl Upstream {
    fn new(common: &Rc<Common>, target: Target) -> Self {
        let now = Instant::now();
        let upstream = Self {
            common: Rc::clone(common),
            resolver: Resolver::new(&target),
            target,
            addresses: RefCell::default(),
            budget: RefCell::new(Budget::new(&common.settings.retry.budget, now)),
            requests: Cell::new(0),
            used: Cell::new(now),
        };
        if let Some(known) = upstream.resolver.known() {
            upstream.addresses.borrow_mut().push(Rc::new(Address::new(common, known)));
        }
        upstream
    }

    fn sweep(&self, now: Instant) {
        for address in self.addresses.borrow().iter() {
            address.sweep(now);
        }
    }
}
