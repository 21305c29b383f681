//! Work in another network namespace.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, anyhow, ensure};
use caps::{CapSet, Capability};
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
    sys::statfs::{NSFS_MAGIC, statfs},
};

/// A network namespace.
///
/// It is not held open: a namespace lives as long as anybody holds it, and its pod is over before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Netns {
    /// Where it is found; none: it is our own.
    path: Option<PathBuf>,
    /// Its number, which no other has while it lives.
    inode: u32,
}

impl Netns {
    /// That of this process.
    pub(super) fn own() -> anyhow::Result<Self> {
        Ok(Self { path: None, inode: inode_of(Path::new(OWN)).context("cannot look at our network namespace")? })
    }

    /// The one at `path`; none: our own. A path may lead to our own, too.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Self::own() };
        let inode = inode_of(path).with_context(|| {
            format!(
                "no network namespace at {}: `ip netns list` names those under /run/netns; /proc/PID/ns/net is that \
                 of a process",
                path.display()
            )
        })?;
        let own = Self::own()?;
        Ok(if own.inode == inode { own } else { Self { path: Some(path.to_owned()), inode } })
    }

    /// Another one, by what [`all`] says of it.
    pub(super) const fn at(inode: u32, path: PathBuf) -> Self {
        Self { path: Some(path), inode }
    }

    pub(super) const fn inode(&self) -> u32 {
        self.inode
    }

    pub(super) const fn is_own(&self) -> bool {
        self.path.is_none()
    }

    /// Opens it, for a moment.
    pub(super) fn file(&self) -> anyhow::Result<File> {
        let path = self.path.as_deref().unwrap_or(Path::new(OWN));
        let file =
            File::open(path).with_context(|| format!("{}: cannot open the network namespace", path.display()))?;
        // Somebody may have put another one there.
        ensure!(file.metadata()?.ino() == u64::from(self.inode), "{}: this network namespace is gone", path.display());
        Ok(file)
    }

    /// Runs `work` inside, on a thread of its own: a namespace belongs to a thread, and links stay when it ends.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let Some(path) = &self.path else { return work() };
        let file = self.file()?;
        thread::scope(|scope| {
            let enter = move || {
                setns(&file, CloneFlags::CLONE_NEWNET).map_err(|error| explain(path, error))?;
                drop(file);
                work()
            };
            let inside = thread::Builder::new().spawn_scoped(scope, enter).context("cannot start a thread")?;
            inside.join().map_err(|_| anyhow!("the thread in {} panicked", path.display()))?
        })
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.as_deref().unwrap_or(Path::new(OWN)).display().fmt(f)
    }
}

/// The number of our own namespace.
pub fn own_number() -> anyhow::Result<u32> {
    Ok(Netns::own()?.inode())
}

/// May we enter any at all? It takes the same to enter the one that we are in.
pub(super) fn may_enter() -> anyhow::Result<()> {
    let own = Netns { path: Some(OWN.into()), ..Netns::own()? };
    own.run(|| Ok(())).context("pods are followed by entering their network namespaces")
}

/// Warns if we may not look at the namespaces of other users' processes.
pub(super) fn warn_of_hidden() {
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_PTRACE).unwrap_or_default() {
        tracing::warn!("without CAP_SYS_PTRACE only pods whose network namespaces have names are found");
    }
}

/// The process's own: that of its first thread, which never leaves it.
const OWN: &str = "/proc/self/ns/net";

fn inode_of(path: &Path) -> io::Result<u32> {
    // Numbers of namespaces are 32 bits wide (`ida_alloc_min` from PROC_DYNAMIC_FIRST on).
    fs::metadata(path).and_then(|found| u32::try_from(found.ino()).map_err(io::Error::other))
}

/// Every network namespace that can be seen from here: those with a name, and those of processes. One that has several
/// paths is found by its name, which stays when processes end.
pub(super) fn all() -> BTreeMap<u32, PathBuf> {
    let mut found = BTreeMap::new();
    for directory in NAMED {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path();
            if is_one(&path)
                && let Ok(inode) = inode_of(&path)
            {
                found.entry(inode).or_insert(path);
            }
        }
    }
    for pid in super::identity::processes() {
        let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
        // Without permission, or gone by now.
        let inode = fs::read_link(&path).ok().and_then(|target| inode_in(target.to_str()?));
        if let Some(inode) = inode {
            found.entry(inode).or_insert(path);
        }
    }
    found
}

/// Is there a namespace? A name is made first, and then bound to its namespace.
pub(super) fn is_one(path: &Path) -> bool {
    statfs(path).is_ok_and(|of| of.filesystem_type() == NSFS_MAGIC)
}

/// Where `ip netns` and container runtimes give names to namespaces.
const NAMED: [&str; 2] = ["/run/netns", "/run/docker/netns"];

/// Of a link `net:[4026531840]`.
fn inode_in(target: &str) -> Option<u32> {
    target.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

fn explain(path: &Path, error: Errno) -> anyhow::Error {
    let path = path.display();
    match error {
        Errno::EINVAL => anyhow!("{path} is no network namespace: `ip netns list` names those under /run/netns"),
        Errno::EPERM => {
            anyhow!("{path}: cannot enter the network namespace: run as root (sudo), or with CAP_SYS_ADMIN")
        }
        error => anyhow!("{path}: cannot enter the network namespace: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_is_found_by_any_path() {
        let own = Netns::own().unwrap();
        assert!(own.is_own());
        for path in ["/proc/self/ns/net", "/proc/thread-self/ns/net"] {
            assert_eq!(Netns::open(Some(Path::new(path))).unwrap(), own);
        }
        assert!(all().contains_key(&own.inode()));
    }

    #[test]
    fn links_name_their_namespace() {
        assert_eq!(inode_in("net:[4026531840]"), Some(4_026_531_840));
        assert_eq!(inode_in("mnt:[4026531840]"), None);
        assert_eq!(inode_in("net:[]"), None);
    }
}
