use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::Acquire, Ordering::Release},
};

use super::Plan;

/// What is in force, shared by all workers. It may be replaced while they run; flows go on.
#[derive(Debug, Default)]
pub struct Policies {
    /// Counts the replacements, so that looking whether there was one takes no lock.
    version: AtomicU64,
    plan: RwLock<Option<Arc<Plan>>>,
}

impl Policies {
    /// With this in force.
    pub fn new(plan: Plan) -> Self {
        Self { version: AtomicU64::new(1), plan: RwLock::new(Some(Arc::new(plan))) }
    }

    /// Puts another plan in force.
    pub fn replace(&self, plan: Plan) {
        *self.plan.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(plan));
        self.version.fetch_add(1, Release);
    }

    /// What is in force, if that is another version than `seen`, which becomes it.
    pub fn newer(&self, seen: &mut u64) -> Option<Arc<Plan>> {
        let version = self.version.load(Acquire);
        if std::mem::replace(seen, version) == version {
            return None;
        }
        self.plan.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
