use std::{fs, io, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use interceptor::kernel::cgroup;

use crate::until;

/// Directories looked at below a pod's cgroup at the most.
const MAX: usize = 64;

/// A pod's cgroup in every hierarchy that is mounted. Dropping it removes what runc, and the kubelet's part of the
/// work, leave behind: runc takes away a container's directory, but not those above.
pub(super) struct Cgroups {
    /// That of the test's pods. In the version 2 hierarchy it is there before and after.
    parent: PathBuf,
    /// The pod's, in the kubelet's form, below.
    pod: String,
}

/// Where the kubelet keeps pods.
const PODS: &str = "kubepods";

impl Cgroups {
    pub(super) fn new(parent: PathBuf, uid: &str) -> Self {
        Self { parent, pod: format!("{PODS}/burstable/pod{uid}") }
    }

    /// Path of the pod's cgroup in each hierarchy.
    pub(super) fn pod(&self) -> PathBuf {
        self.parent.join(&self.pod)
    }

    /// All that is there of it, below and above, deepest first.
    pub(super) fn directories(&self) -> Result<Vec<PathBuf>> {
        let version_2 = cgroup::mount().context("no cgroup v2 mount")?;
        let mut found = Vec::new();
        for root in hierarchies()? {
            let parent = root.join(self.parent.strip_prefix("/")?);
            found.extend(cgroup::walk(&parent.join(PODS), MAX).into_iter().rev());
            if root != version_2 {
                found.push(parent);
            }
        }
        found.retain(|directory| directory.exists());
        Ok(found)
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        for directory in self.directories().unwrap_or_default() {
            // A killed process leaves its cgroup a moment later.
            let removed = until(Duration::from_secs(5), "an empty cgroup", || match fs::remove_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Ok(None),
                _ => Ok(Some(())),
            });
            if let Err(error) = removed {
                eprintln!("{} is left behind: {error:#}", directory.display());
            }
        }
    }
}

/// Where whole hierarchies of either version are mounted.
fn hierarchies() -> Result<Vec<PathBuf>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let place = |line: &str| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, place) = (fields.next()?, fields.next()?);
        (root == "/" && kind.starts_with("cgroup")).then(|| place.into())
    };
    Ok(mountinfo.lines().filter_map(place).collect())
}
