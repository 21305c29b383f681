//! Policies are read anew when their files change. A bad one changes nothing but a metric.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    cli::policy,
    inspect::{Policies, pii::Key},
    sink::prometheus::Metrics,
};

/// What tells that a file is another one, or has other text: device, inode, size, change.
type Mark = (u64, u64, u64, i64, i64);

/// The policies in force, and where they are from.
pub(super) struct Reload {
    paths: Vec<PathBuf>,
    key: Key,
    policies: Arc<Policies>,
    metrics: Arc<Metrics>,
    seen: BTreeMap<PathBuf, Option<Mark>>,
}

impl Reload {
    /// Reads them for the first time; they have to be right. None where there are none.
    pub(super) fn start(paths: Vec<PathBuf>, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Self>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let (key, seen) = (policy::key()?, marks(&paths));
        let plan = policy::plan(&paths, &key)?;
        metrics.policy_taken(plan.policy().rules().len());
        tracing::info!(rules = plan.policy().rules().len(), "policies are in force");
        let policies = Arc::new(Policies::new(plan));
        Ok(Some(Self { paths, key, policies, metrics: Arc::clone(metrics), seen }))
    }

    /// What workers look at.
    pub(super) const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// Looks whether a file has changed, and reads all of them if one has.
    pub(super) fn look(&mut self) {
        let now = marks(&self.paths);
        if std::mem::replace(&mut self.seen, now.clone()) == now {
            return;
        }
        match policy::plan(&self.paths, &self.key) {
            Ok(plan) => {
                self.metrics.policy_taken(plan.policy().rules().len());
                tracing::info!(rules = plan.policy().rules().len(), "policies were read anew and are in force");
                self.policies.replace(plan);
            }
            Err(error) => {
                self.metrics.policy_refused();
                tracing::error!("a policy is refused, what was in force stays so: {error:#}");
            }
        }
    }
}

/// Of each file, and of a directory and the files in it. Links are followed: Kubernetes changes a mounted volume by one.
fn marks(paths: &[PathBuf]) -> BTreeMap<PathBuf, Option<Mark>> {
    let inside = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let all = paths.iter().flat_map(|path| {
        let beside = path.parent().filter(|parent| !path.is_dir() && !parent.as_os_str().is_empty());
        // Baselines and schemas are beside the policy that names them.
        inside(path).into_iter().chain(beside.map(inside).unwrap_or_default()).chain([path.clone()])
    });
    all.map(|path| (path.clone(), mark(&path))).collect()
}

fn mark(path: &Path) -> Option<Mark> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_is_noticed_and_so_is_one_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let policy = directory.path().join("policy.yaml");
        fs::write(&policy, "a").expect("a file");
        let before = marks(std::slice::from_ref(&policy));
        assert_eq!(marks(std::slice::from_ref(&policy)), before);
        fs::write(directory.path().join("new"), "b").expect("a file");
        fs::rename(directory.path().join("new"), &policy).expect("renamed");
        let after = marks(std::slice::from_ref(&policy));
        assert_ne!(after, before);
        fs::write(directory.path().join("baseline.json"), "{}").expect("a file");
        assert_ne!(marks(std::slice::from_ref(&policy)), after);
    }
}
