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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::testing;

    fn plan(name: &str) -> Plan {
        testing::plan(&format!("    - {{ name: {name} }}\n"))
    }

    #[test]
    fn each_worker_gets_each_version_once() {
        let policies = Policies::new(plan("a"));
        let (mut one, mut two) = (0, 0);
        let name = |plan: Option<Arc<Plan>>| plan.map(|plan| plan.policy().rules()[0].name.to_string());
        assert_eq!(name(policies.newer(&mut one)).as_deref(), Some("p/a"));
        assert_eq!(name(policies.newer(&mut one)), None);
        policies.replace(plan("b"));
        policies.replace(plan("c"));
        assert_eq!(name(policies.newer(&mut one)).as_deref(), Some("p/c"));
        assert_eq!(name(policies.newer(&mut two)).as_deref(), Some("p/c"));
        assert_eq!((name(policies.newer(&mut one)), name(policies.newer(&mut two))), (None, None));
    }
}
