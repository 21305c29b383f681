//! The tree of cgroups, watched: directories that come and go, and processes that come to live in them.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor},
};

/// Directories that are watched at the most. Each takes two of the system's watches.
const DIRECTORIES_MAX: usize = 16 * 1024;
/// The file that the kernel modifies when the first process comes and when the last one goes (cgroup-v2.rst).
const POPULATED: &str = "cgroup.events";

/// All cgroups below one directory.
pub(in crate::kernel) struct Tree {
    root: PathBuf,
    inotify: Inotify,
    directories: HashMap<WatchDescriptor, PathBuf>,
    /// There are more than can be watched.
    incomplete: bool,
}

impl Tree {
    /// Watches everything below `root`, and what will be there.
    pub(in crate::kernel) fn watch(root: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let mut tree = Self { root: root.to_owned(), inotify, directories: HashMap::new(), incomplete: false };
        tree.add(root);
        Ok(tree)
    }

    /// Is everything watched?
    pub(in crate::kernel) const fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// The directories, the root among them, in no order.
    pub(in crate::kernel) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.values().map(PathBuf::as_path)
    }

    /// Takes in what has happened. Has anything?
    pub(in crate::kernel) fn changed(&mut self) -> io::Result<bool> {
        let mut changed = false;
        loop {
            match self.inotify.read_events() {
                Ok(events) => {
                    changed = true;
                    for event in events {
                        self.take(event);
                    }
                }
                Err(Errno::EAGAIN) => return Ok(changed),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn take(&mut self, event: InotifyEvent) {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            let root = self.root.clone();
            return self.add(&root);
        }
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            self.directories.remove(&event.wd);
        }
        if event.mask.contains(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_ISDIR)
            && let (Some(parent), Some(name)) = (self.directories.get(&event.wd), event.name)
        {
            self.add(&parent.join(name));
        }
    }

    /// A directory and those below it: they may have been made before the watch was.
    fn add(&mut self, directory: &Path) {
        for found in super::walk(directory, DIRECTORIES_MAX) {
            if self.directories.len() >= DIRECTORIES_MAX {
                return self.give_up("there are too many cgroups");
            }
            let flags = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_DELETE | AddWatchFlags::IN_ONLYDIR;
            match self.inotify.add_watch(&found, flags) {
                Ok(watch) => {
                    // The root has none.
                    let _ = self.inotify.add_watch(&found.join(POPULATED), AddWatchFlags::IN_MODIFY);
                    self.directories.insert(watch, found);
                }
                Err(Errno::ENOSPC) => return self.give_up("fs.inotify.max_user_watches is too low"),
                // Gone by now.
                Err(_) => {}
            }
        }
    }

    fn give_up(&mut self, why: &str) {
        if !std::mem::replace(&mut self.incomplete, true) {
            tracing::warn!("not every cgroup is watched: {why}; new ones are noticed within a second");
        }
    }
}

impl AsFd for Tree {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_come_and_go() {
        let root = tempfile::tempdir().unwrap();
        let mut tree = Tree::watch(root.path()).unwrap();
        assert!(!tree.changed().unwrap());
        let pod = root.path().join("kubepods/pod1");
        std::fs::create_dir_all(&pod).unwrap();
        assert!(tree.changed().unwrap());
        std::fs::write(pod.join("container"), "").unwrap();
        assert!(tree.changed().unwrap());
        std::fs::create_dir(pod.join("id")).unwrap();
        assert!(tree.changed().unwrap());
        let mut found: Vec<_> = tree.directories().map(Path::to_owned).collect();
        found.sort();
        assert_eq!(found, [root.path().to_owned(), root.path().join("kubepods"), pod.clone(), pod.join("id")]);
        std::fs::remove_dir_all(root.path().join("kubepods")).unwrap();
        assert!(tree.changed().unwrap());
        assert_eq!(tree.directories().count(), 1);
    }
}
