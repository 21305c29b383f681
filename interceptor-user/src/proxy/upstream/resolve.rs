//! Addresses of a backend's name.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use tokio::{
    net::lookup_host,
    sync::Mutex,
    task::spawn_local,
    time::{Instant, timeout},
};

use super::{Failure, Target, Upstream, address::Address};

/// How old addresses may be before they are looked up anew. The C library does not tell for how long they are good.
const FRESH: Duration = Duration::from_secs(30);
/// After a lookup that failed there is none for so long.
const PAUSE: Duration = Duration::from_secs(1);
/// Of one name at the most.
const MOST: usize = 256;

/// When a name was looked up, and whether somebody is at it.
pub(super) struct Resolver {
    /// None where there is nothing to be looked up.
    name: Option<Rc<str>>,
    known: Option<SocketAddr>,
    at: Cell<Option<Instant>>,
    running: Cell<bool>,
    first: Mutex<()>,
    /// What was found last, to tell changes.
    last: RefCell<Vec<SocketAddr>>,
}

impl Resolver {
    pub(super) fn new(target: &Target) -> Self {
        let (name, known) = match target {
            Target::Destination(to) => (None, Some(*to)),
            Target::Backend(name) => match name.parse() {
                Ok(known) => (None, Some(known)),
                Err(_) => (Some(Rc::clone(name)), None),
            },
        };
        let (at, running, first) = (Cell::default(), Cell::default(), Mutex::default());
        Self { name, known, at, running, first, last: RefCell::default() }
    }

    /// What needs no lookup.
    pub(super) fn known(&self) -> Option<SocketAddr> {
        self.known
    }

    fn is_due(&self, now: Instant, after: Duration) -> bool {
        self.at.get().is_none_or(|at| at + after <= now)
    }
}

impl Upstream {
    /// Waits for the first lookup only: later ones run beside, and until they are over the addresses are as they were.
    pub(super) async fn resolve(self: &Rc<Self>) -> Result<(), Failure> {
        let Some(name) = &self.resolver.name else { return Ok(()) };
        if self.addresses.borrow().is_empty() {
            let _one = self.resolver.first.lock().await;
            if self.addresses.borrow().is_empty() && self.resolver.is_due(Instant::now(), PAUSE) {
                self.look_up(name).await;
            }
            return if self.addresses.borrow().is_empty() { Err(Failure::Unresolved) } else { Ok(()) };
        }
        if self.resolver.is_due(Instant::now(), FRESH) && !self.resolver.running.replace(true) {
            let (upstream, name) = (Rc::clone(self), Rc::clone(name));
            spawn_local(async move {
                upstream.look_up(&name).await;
                upstream.resolver.running.set(false);
            });
        }
        Ok(())
    }

    async fn look_up(&self, name: &str) {
        let found = timeout(self.common.connect, lookup_host(name)).await;
        self.resolver.at.set(Some(Instant::now()));
        let mut found: Vec<SocketAddr> = match found {
            Ok(Ok(found)) => found.take(MOST).collect(),
            Ok(Err(error)) => {
                tracing::debug!(name, %error, "a backend has no address");
                Vec::new()
            }
            Err(_) => Vec::new(),
        };
        found.sort_unstable();
        found.dedup();
        if found.is_empty() {
            // Those that are known may be good all the same.
            self.common.count(|counts| &counts.unresolved);
        } else if *self.resolver.last.borrow() != found {
            self.change(&found);
            *self.resolver.last.borrow_mut() = found;
        }
    }

    /// What is known of addresses that stay is kept.
    fn change(&self, found: &[SocketAddr]) {
        let mut addresses = self.addresses.borrow_mut();
        addresses.retain(|address| found.contains(&address.at));
        for at in found {
            if !addresses.iter().any(|address| address.at == *at) {
                addresses.push(Rc::new(Address::new(&self.common, *at)));
            }
        }
    }
}
