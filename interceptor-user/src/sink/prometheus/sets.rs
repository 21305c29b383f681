//! How many label sets there may be, and what becomes of those that find no room.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use foldhash::fast::RandomState;
use prometheus::IntCounter;

/// An exact, compact form of a label set. Two requests with the same one have the same labels.
pub(super) type Key = Vec<u8>;

/// How much of a label set is given up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fold {
    /// Nothing.
    Nothing,
    /// The route (and, for a client, the server's name) becomes `other`.
    Route,
    /// Every label does.
    All,
}

impl Fold {
    /// From what is wanted to what there is always room for.
    pub(super) const ALL: [Self; 3] = [Self::Nothing, Self::Route, Self::All];
}

/// Every label set in use and its metrics, shared by the sinks of all workers. Sinks keep what they have seen, so this
/// lock is taken for the first request of a label set, and beyond the cap.
pub(super) struct Sets<H> {
    cap: usize,
    known: Mutex<HashMap<Key, H, RandomState>>,
}

impl<H: Clone> Sets<H> {
    pub(super) fn new(cap: usize) -> Self {
        Self { cap, known: Mutex::default() }
    }

    /// The metrics of a label set, which `create` makes, if there is room for it.
    pub(super) fn admit(
        &self,
        key: &[u8],
        fold: Fold,
        create: impl FnOnce() -> prometheus::Result<H>,
    ) -> prometheus::Result<Option<H>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = known.get(key) {
            return Ok(Some(handles.clone()));
        }
        // A tenth is kept for sets without a route, so that a flood of paths does not cost methods and status codes.
        let room = match fold {
            Fold::Nothing => self.cap - self.cap / 10,
            Fold::Route => self.cap,
            Fold::All => usize::MAX,
        };
        if known.len() >= room {
            return Ok(None);
        }
        let handles = create()?;
        known.insert(key.to_vec(), handles.clone());
        Ok(Some(handles))
    }

    /// How many label sets there are.
    pub(super) fn len(&self) -> usize {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Label sets in use, of metrics whose sets are folded in one way only.
pub(super) struct Few<S> {
    cap: usize,
    known: Mutex<HashSet<S, RandomState>>,
    folded: IntCounter,
}

impl<S: Clone + Eq + Hash> Few<S> {
    /// As many as `cap`; what is folded beyond that is counted.
    pub(super) fn new(cap: usize, folded: IntCounter) -> Self {
        Self { cap, known: Mutex::default(), folded }
    }

    /// Is it in use, or is there room for it?
    pub(super) fn admits(&self, set: &S) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(set) {
            return true;
        }
        let room = known.len() < self.cap;
        if room {
            known.insert(set.clone());
        } else {
            self.folded.inc();
        }
        room
    }
}
