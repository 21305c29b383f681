use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, anyhow};

use crate::{
    config::{Cgroup, Netns},
    kernel::cgroup,
    policy::ProcessPattern,
};

/// Where to watch, resolved to what the kernel knows: files and directories.
#[derive(Debug, Default)]
pub(in crate::cli) struct Place {
    /// Network namespace; none: our own.
    pub(in crate::cli) netns: Option<PathBuf>,
    /// Directories of cgroups.
    pub(in crate::cli) cgroups: Vec<PathBuf>,
    /// The process that all this was for.
    pub(in crate::cli) process: Option<ProcessPattern>,
}

/// Cgroups looked at for a process at the most; pods have a handful.
const CGROUPS_MAX: usize = 64;

impl Place {
    /// By the process's cgroup if it has one of its own; else by the interfaces of its network namespace.
    pub(super) fn of_process(pid: u32) -> anyhow::Result<Self> {
        let process = format!("/proc/{pid}");
        fs::metadata(&process)
            .map_err(|error| anyhow!("cannot find process {pid}: {error}; 'ps -e' lists those there are"))?;
        let netns = Some(netns_of(pid));
        let own = cgroup::of_pid(pid).ok().filter(|directory| cgroup::mount().as_ref() != Some(directory));
        let Some(directory) = own else {
            return Ok(Self { netns, cgroups: Vec::new(), process: Some(ProcessPattern { pid, cgroup: None }) });
        };
        let id = cgroup::id(&directory).with_context(|| format!("cannot look at cgroup {}", directory.display()))?;
        Ok(Self { netns, cgroups: vec![directory], process: Some(ProcessPattern { pid, cgroup: Some(id) }) })
    }

    /// By cgroups. Their sockets are found whatever their network namespace; who listens there is known only in one
    /// namespace, which is that of the first process, unless interfaces are watched too (`alone` is false).
    pub(super) fn of_cgroups(wanted: &[Cgroup], netns: Option<&Netns>, alone: bool) -> anyhow::Result<Self> {
        let cgroups = wanted.iter().map(directory).collect::<anyhow::Result<Vec<_>>>()?;
        let netns = match netns {
            Some(netns) => Some(netns.0.clone()),
            None if alone => cgroups.iter().find_map(|directory| first_process(directory)).map(netns_of),
            None => None,
        };
        Ok(Self { netns, cgroups, process: None })
    }
}

fn netns_of(pid: u32) -> PathBuf {
    format!("/proc/{pid}/ns/net").into()
}

/// The directory that the user means: as it is, or below the cgroup v2 mount.
fn directory(wanted: &Cgroup) -> anyhow::Result<PathBuf> {
    let mount = cgroup::mount().context("cgroup v2 is not mounted; 'mount -t cgroup2 none /sys/fs/cgroup' does it")?;
    let below = wanted.0.strip_prefix("/").unwrap_or(&wanted.0);
    let directory = cgroup::resolve(&wanted.0);
    directory.is_dir().then_some(directory).with_context(|| {
        format!(
            "there is no cgroup {} below {}; 'systemd-cgls' shows those there are",
            below.display(),
            mount.display()
        )
    })
}

/// A process in this cgroup, or below: containers of a pod have cgroups of their own.
fn first_process(directory: &Path) -> Option<u32> {
    cgroup::walk(directory, CGROUPS_MAX).iter().find_map(|directory| {
        let processes = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        // A process outside of our pid namespace is shown as 0.
        processes.lines().filter_map(|line| line.parse().ok()).find(|pid| *pid > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_in_a_cgroup_or_below() {
        let root = tempfile::tempdir().expect("a directory");
        assert_eq!(first_process(root.path()), None);
        fs::create_dir_all(root.path().join("pod/container")).expect("made");
        fs::write(root.path().join("cgroup.procs"), "0\n").expect("written");
        fs::write(root.path().join("pod/container/cgroup.procs"), "42\n43\n").expect("written");
        assert_eq!(first_process(root.path()), Some(42));
        fs::write(root.path().join("cgroup.procs"), "7\n").expect("written");
        assert_eq!(first_process(root.path()), Some(7));
    }

    #[test]
    fn our_own_process_has_a_place() {
        let pid = std::process::id();
        let place = Place::of_process(pid).expect("we are there");
        assert_eq!(place.netns, Some(netns_of(pid)));
        let pattern = place.process.expect("ours");
        assert_eq!((pattern.pid, pattern.cgroup.is_some()), (pid, !place.cgroups.is_empty()));
    }
}
