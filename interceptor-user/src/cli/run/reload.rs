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
    /// Files that the policies name.
    named: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Option<Mark>>,
}

impl Reload {
    /// Reads them for the first time; they have to be right. None where there are none.
    pub(super) fn start(paths: Vec<PathBuf>, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Self>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let (key, mut named) = (policy::key()?, Vec::new());
        let plan = policy::plan_of_files(&paths, &key, &mut named)?;
        let seen = marks(&paths, &named);
        metrics.policy_taken(plan.policy().rules().len());
        tracing::info!(rules = plan.policy().rules().len(), "policies are in force");
        let policies = Arc::new(Policies::new(plan));
        Ok(Some(Self { paths, key, policies, metrics: Arc::clone(metrics), named, seen }))
    }

    /// What workers look at.
    pub(super) const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// Looks whether a file has changed, and reads all of them if one has.
    pub(super) fn look(&mut self) {
        let now = marks(&self.paths, &self.named);
        if std::mem::replace(&mut self.seen, now.clone()) == now {
            return;
        }
        let mut named = Vec::new();
        let plan = policy::plan_of_files(&self.paths, &self.key, &mut named);
        // Of a policy that is refused early, what it names is not known.
        if !named.is_empty() || plan.is_ok() {
            self.named = named;
            self.seen = marks(&self.paths, &self.named);
        }
        match plan {
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

/// Of each file, of a directory with the policies in it, and of the files that they name. Links are followed: Kubernetes changes a
/// mounted volume by one.
fn marks(paths: &[PathBuf], named: &[PathBuf]) -> BTreeMap<PathBuf, Option<Mark>> {
    let is_policy = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let inside = |path: &PathBuf| {
        let entries = fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
        entries.filter(is_policy).collect::<Vec<_>>()
    };
    let directories: Vec<PathBuf> = paths.iter().flat_map(inside).collect();
    let files = paths.iter().filter(|path| !path.is_dir()).chain(&directories).chain(named);
    files.map(|path| (path.clone(), mark(path))).collect()
}

fn mark(path: &Path) -> Option<Mark> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_replaced_is_noticed_and_so_is_one_that_it_names() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| fs::write(file(name), text).expect("a file");
        write("policy.yaml", "a");
        let (policy, baseline) = ([file("policy.yaml")], [file("baseline.json")]);
        let before = marks(&policy, &baseline);
        write("log", "grows");
        assert_eq!(marks(&policy, &baseline), before, "nobody named it");
        write("new", "b");
        fs::rename(file("new"), file("policy.yaml")).expect("renamed");
        let after = marks(&policy, &baseline);
        assert_ne!(after, before);
        write("baseline.json", "{}");
        assert_ne!(marks(&policy, &baseline), after);
        let all = [directory.path().to_owned()];
        let before = marks(&all, &[]);
        write("other.yml", "c");
        assert_ne!(marks(&all, &[]), before);
    }
}
