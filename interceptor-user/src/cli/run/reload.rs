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
    inspect::{Plan, Policies, pii::Key},
    model::{Ports, Reach},
    policy::Steer,
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
    /// Connections that they are about.
    reach: Reach,
    /// Ports that are captured at all.
    captured: Ports,
    /// Files that the policies name.
    named: Vec<PathBuf>,
    seen: BTreeMap<PathBuf, Option<Mark>>,
}

impl Reload {
    /// Reads them for the first time; they have to be right. None where there are none.
    pub(super) fn start(paths: Vec<PathBuf>, captured: Ports, metrics: &Arc<Metrics>) -> anyhow::Result<Option<Self>> {
        if paths.is_empty() {
            return Ok(None);
        }
        let (key, mut named) = (policy::key()?, Vec::new());
        let before = marks(&paths, &[]);
        let plan = policy::plan_of_files(&paths, &key, &mut named)?;
        let seen = marks_before(before, &paths, &named);
        metrics.policy_taken(plan.policy().rules().len());
        let (rules, steer) = (plan.policy().rules().len(), plan.policy().steer().len());
        tracing::info!(rules, steer, "policies are in force");
        let reach = plan.policy().reach();
        if !reach.is_all() {
            tell(&reach, &captured);
        }
        let (policies, metrics) = (Arc::new(Policies::new(plan)), Arc::clone(metrics));
        Ok(Some(Self { paths, key, policies, metrics, reach, captured, named, seen }))
    }

    /// Connections that the policies are about; the others need not be captured.
    pub(super) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Connections that the policies steer.
    pub(super) fn steer(&self) -> Vec<Steer> {
        self.policies.newer(&mut 0).map(|plan| plan.policy().steer().to_vec()).unwrap_or_default()
    }

    /// What workers look at.
    pub(super) const fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// Looks whether a file has changed, and reads all of them if one has. `capture` has nothing else captured than what it is
    /// given, `steer` nothing else steered; where that cannot be, the policies are refused.
    pub(super) fn look(&mut self, capture: impl Fn(&Reach), steer: impl Fn(&[Steer]) -> anyhow::Result<()>) {
        let now = marks(&self.paths, &self.named);
        if std::mem::replace(&mut self.seen, now.clone()) == now {
            return;
        }
        let mut named = Vec::new();
        let plan = policy::plan_of_files(&self.paths, &self.key, &mut named);
        // Of a policy that is refused early, what it names is not known.
        if !named.is_empty() || plan.is_ok() {
            self.named = named;
            self.seen = marks_before(now, &self.paths, &self.named);
        }
        match plan.map_err(anyhow::Error::from).and_then(|plan| steer(plan.policy().steer()).map(|()| plan)) {
            Ok(plan) => {
                self.metrics.policy_taken(plan.policy().rules().len());
                tracing::info!(rules = plan.policy().rules().len(), "policies were read anew and are in force");
                self.put_in_force(plan, capture);
            }
            Err(error) => {
                self.metrics.policy_refused();
                tracing::error!("a policy is refused, what was in force stays so: {error:#}");
            }
        }
    }
}

impl Reload {
    /// No connection is left out that the policies before, or these, are about while they are in force.
    fn put_in_force(&mut self, plan: Plan, capture: impl Fn(&Reach)) {
        let reach = plan.policy().reach();
        if reach == self.reach {
            return self.policies.replace(plan);
        }
        let before = std::mem::replace(&mut self.reach, reach);
        capture(&before.or(self.reach.clone()));
        self.policies.replace(plan);
        capture(&self.reach);
        tell(&self.reach, &self.captured);
    }
}

fn tell(reach: &Reach, captured: &Ports) {
    if reach.is_none() {
        tracing::warn!("no rule of the policies can be about any connection: nothing is captured");
    } else if reach.is_all() {
        tracing::info!("policies need all connections: the kernel leaves out none of them");
    } else if captured.clone().and(&reach.ports).is_none() {
        tracing::warn!("policies need {reach} only, and capture.ports has none of these: nothing is captured");
    } else {
        tracing::info!("policies need {reach} only: the kernel leaves out the rest");
    }
}

/// Of files that were marked before they were read, what they were then: one that was changed meanwhile is read again.
fn marks_before(
    before: BTreeMap<PathBuf, Option<Mark>>,
    paths: &[PathBuf],
    named: &[PathBuf],
) -> BTreeMap<PathBuf, Option<Mark>> {
    let mut marks = marks(paths, named);
    for (path, mark) in before {
        if let Some(there) = marks.get_mut(&path) {
            *there = mark;
        }
    }
    marks
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
