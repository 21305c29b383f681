//! The containers of this machine, by their cgroups.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::due;
use crate::{
    kernel::{
        cgroup::{self, tree::Tree},
        container,
    },
    model::{Container, FlowInfo, Peer},
};

/// The tree is read at most this often: it takes milliseconds.
const SOON: Duration = Duration::from_millis(100);

/// Answers are kept. The cgroup tree is read if a flow shows a cgroup that is new, and the tree has changed since; where it
/// cannot be watched, at most once a second.
#[derive(Default)]
pub(super) struct Containers {
    /// By cgroup id; `None` for a cgroup that is of no container.
    of_cgroups: HashMap<u64, Option<Arc<Container>>>,
    tree: Option<Tree>,
    /// It has changed since we read it.
    changed: bool,
    walked: Option<Instant>,
    /// By process, for as long as a process id may be trusted to be the same one's.
    of_processes: HashMap<u32, Option<Arc<Container>>>,
    cleared: Option<Instant>,
}

impl Containers {
    /// Fills in those of both ends, where they are not known.
    pub(super) fn fill(&mut self, info: &mut FlowInfo) {
        for peer in [&mut info.client, &mut info.server] {
            if peer.container.is_none() {
                peer.container = self.of(peer);
            }
        }
    }

    /// The container of an end: by its socket's cgroup, else by its process.
    ///
    /// A socket knows its version 2 cgroup only. Where the runtime sorts containers in the hierarchies of version 1, the
    /// process has to be asked; so it has where its cgroup is too new to be known.
    fn of(&mut self, peer: &Peer) -> Option<Arc<Container>> {
        let of_socket = peer.cgroup.and_then(|cgroup| self.of_cgroup(cgroup));
        of_socket.or_else(|| self.of_process(peer))
    }

    fn of_cgroup(&mut self, id: u64) -> Option<Arc<Container>> {
        if !self.of_cgroups.contains_key(&id) && self.is_stale() {
            self.walk();
        }
        self.of_cgroups.get(&id).cloned().flatten()
    }

    /// May there be cgroups that we have not seen?
    fn is_stale(&mut self) -> bool {
        if let Some(tree) = &mut self.tree
            && let Ok(changed) = tree.changed()
            && tree.is_complete()
        {
            self.changed |= changed;
            return self.changed && self.walked.is_none_or(|walked| walked.elapsed() >= SOON);
        }
        if self.tree.is_none() {
            self.tree = cgroup::mount().and_then(|mount| Tree::watch(&mount).ok());
        }
        due(&mut self.walked)
    }

    fn of_process(&mut self, peer: &Peer) -> Option<Arc<Container>> {
        let process = peer.process.as_ref()?;
        if due(&mut self.cleared) || self.of_processes.len() >= cgroup::MAX {
            self.of_processes.clear();
        }
        let ask = || {
            // The kernel's number may be another process's in our pid namespace.
            let same = super::process(process.pid).as_ref() == Some(process);
            let list = same.then(|| cgroup::list(process.pid).ok()).flatten()?;
            container::of_list(&list).map(Arc::new)
        };
        self.of_processes.entry(process.pid).or_insert_with(ask).clone()
    }

    /// Reads the tree anew; what is gone is forgotten.
    fn walk(&mut self) {
        self.changed = false;
        self.walked = Some(Instant::now());
        self.of_cgroups.clear();
        let Some(mount) = cgroup::mount() else { return };
        for directory in cgroup::walk(&mount, cgroup::MAX) {
            self.learn(&mount, &directory);
        }
    }

    /// Remembers a cgroup. It may be gone by now.
    fn learn(&mut self, mount: &Path, directory: &Path) {
        if let Ok(id) = cgroup::id(directory) {
            let path = directory.strip_prefix(mount).unwrap_or(directory).to_str();
            self.of_cgroups.insert(id, path.and_then(container::of_path).map(Arc::new));
        }
    }
}
