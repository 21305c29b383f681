//! A client's connection: how long it has been without a request, and when it is to end.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::upstream::Pulse;

/// Requests on a connection.
pub(super) struct Activity {
    open: Cell<u32>,
    last: Cell<Instant>,
    /// Of the last answer that has begun, where it is timed.
    pulse: RefCell<Option<Rc<Pulse>>>,
}

/// A request, to the end of its answer.
pub(super) struct Busy(Rc<Activity>);

impl Activity {
    pub(super) fn new() -> Rc<Self> {
        let (open, pulse) = (Cell::new(0), RefCell::default());
        Rc::new(Self { open, last: Cell::new(Instant::now()), pulse })
    }

    pub(super) fn begin(self: &Rc<Self>) -> Busy {
        self.open.update(|open| open + 1);
        Busy(Rc::clone(self))
    }

    /// Waits until there was no request for so long.
    pub(super) async fn is_idle(&self, time: Duration) {
        loop {
            let now = Instant::now();
            let end = if self.open.get() > 0 { now } else { self.last.get() } + time;
            if end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Waits until an answer that has begun stands still for so long; for ever if there is no such time.
    pub(super) async fn stands_still(&self, time: Option<Duration>) {
        let Some(time) = time else { return std::future::pending().await };
        loop {
            let last = self.pulse.borrow().as_ref().map(|pulse| pulse.last());
            let end = last.unwrap_or_else(Instant::now) + time;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }
}

impl Busy {
    /// Its answer has begun.
    pub(super) fn watch(&self, pulse: &Rc<Pulse>) {
        *self.0.pulse.borrow_mut() = Some(Rc::clone(pulse));
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.open.update(|open| open - 1);
        self.0.last.set(Instant::now());
        *self.0.pulse.borrow_mut() = None;
    }
}

/// Whether the inline path ends.
#[derive(Default)]
pub(super) struct Drain {
    has_begun: Cell<bool>,
    told: Notify,
}

impl Drain {
    pub(super) fn begin(&self) {
        self.has_begun.set(true);
        self.told.notify_waiters();
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.get()
    }

    /// Waits until it has.
    pub(super) async fn begun(&self) {
        // One thread: nobody tells between these two.
        if !self.has_begun.get() {
            self.told.notified().await;
        }
    }
}
