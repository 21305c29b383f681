//! Cgroups: where version 2 is mounted, ids, and processes.

pub(super) mod tree;

use std::{
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use anyhow::Context as _;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// A place where cgroup v2 is mounted.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    /// The cgroup that is seen there, by its path in our cgroup namespace (`/../..` for one further up).
    root: PathBuf,
    place: PathBuf,
}

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
///
/// A container has a mount of its own cgroup and, if it is given one, the node's: that which shows more.
pub fn mount() -> Option<PathBuf> {
    widest(mounts())
}

fn widest(mounts: Vec<Mount>) -> Option<PathBuf> {
    mounts.into_iter().min_by_key(Mount::depth).map(|mount| mount.place)
}

fn mounts() -> Vec<Mount> {
    mounts_in(&fs::read(format!("/proc/{}/mountinfo", std::process::id())).unwrap_or_default())
}

fn mounts_in(mountinfo: &[u8]) -> Vec<Mount> {
    let path = |field: &[u8]| PathBuf::from(std::ffi::OsString::from_vec(unescape(field)));
    let mount = |line: &[u8]| {
        let mut fields = line.split(|byte| *byte == b' ');
        let (root, place) = (fields.nth(3)?, fields.next()?);
        // Any number of optional fields, a dash, and the type (proc_pid_mountinfo(5)).
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == b"cgroup2").then(|| Mount { root: path(root), place: path(place) })
    };
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

impl Mount {
    /// How far its root is below that of our cgroup namespace.
    fn depth(&self) -> isize {
        let step = |component| match component {
            Component::ParentDir => -1,
            Component::Normal(_) => 1,
            _ => 0,
        };
        self.root.components().map(step).sum()
    }

    /// Where a cgroup is seen below it, if it is.
    fn directory(&self, cgroup: &Path) -> Option<PathBuf> {
        let below = cgroup.strip_prefix(&self.root).ok()?;
        // What is beside our namespace's root is not below it.
        let inside = !below.components().any(|component| component == Component::ParentDir);
        inside.then(|| self.place.join(below))
    }
}

/// Blanks in paths are written `\040`.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, following @ ..] = rest {
        if let [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] = rest {
            plain.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = after;
        } else {
            plain.push(*first);
            rest = following;
        }
    }
    plain
}

/// Where a cgroup's directory is: a path as given if that lies on a version 2 mount, else below [the widest](mount).
pub fn resolve(path: &Path) -> PathBuf {
    let below = path.strip_prefix("/").unwrap_or(path);
    match mount() {
        Some(mount) if !path.is_absolute() || !path.ancestors().any(is_version_2) => mount.join(below),
        _ => path.to_owned(),
    }
}

fn is_version_2(directory: &Path) -> bool {
    statfs(directory).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// Opens a cgroup's directory, to attach to it.
pub(super) fn open(path: &Path) -> anyhow::Result<fs::File> {
    let mount = mount().context("no cgroup v2 mount: mount -t cgroup2 none /sys/fs/cgroup")?;
    let directory = resolve(path);
    fs::File::open(&directory)
        .with_context(|| format!("no cgroup at {}: name a directory below {}", directory.display(), mount.display()))
}

/// The id that the kernel gives a cgroup: its directory's inode number.
pub fn id(directory: &Path) -> io::Result<u64> {
    fs::metadata(directory).map(|metadata| metadata.ino())
}

/// The cgroup directory of a process.
pub fn of_pid(pid: u32) -> anyhow::Result<PathBuf> {
    let list = list(pid).with_context(|| format!("no process {pid}, or we may not look at it"))?;
    let path = path_in(&list).with_context(|| format!("process {pid} is in no version 2 cgroup"))?;
    mounts().iter().find_map(|mount| mount.directory(path)).with_context(|| {
        let path = path.display();
        format!("no cgroup v2 mount shows {path}, the cgroup of process {pid}: mount -t cgroup2 none /sys/fs/cgroup")
    })
}

/// `/proc/PID/cgroup`: where a process is in each hierarchy.
pub(super) fn list(pid: u32) -> io::Result<String> {
    fs::read_to_string(format!("/proc/{pid}/cgroup"))
}

/// The version 2 line of it: `0::/path`.
fn path_in(list: &str) -> Option<&Path> {
    list.lines().find_map(|line| line.strip_prefix("0::")).map(Path::new)
}

/// Cgroups looked at in one walk, and remembered, at the most; as many processes are remembered.
pub(super) const MAX: usize = 64 * 1024;

/// Every cgroup directory below (and at) `root`, parents first, up to `limit`.
pub fn walk(root: &Path, limit: usize) -> Vec<PathBuf> {
    let mut found = vec![root.to_owned()];
    let mut at = 0;
    while let Some(directory) = found.get(at) {
        // It may be gone by now.
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        let children: Vec<_> = entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .take(limit.saturating_sub(found.len()))
            .collect();
        found.extend(children);
        at += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &[u8]) -> Option<PathBuf> {
        widest(mounts_in(mountinfo))
    }

    #[test]
    fn the_v2_mount_is_found_beside_v1() {
        let hybrid = b"25 1 0:22 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n\
            26 25 0:23 / /sys/fs/cgroup/cpu rw shared:10 - cgroup cgroup rw,cpu\n\
            27 25 0:24 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n";
        assert_eq!(found(hybrid), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
        assert_eq!(found(b"26 25 0:23 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n"), None);
        assert_eq!(found(b"garbage\n\n- - -\n"), None);
    }

    #[test]
    fn in_a_container_the_nodes_mount_goes_before_its_own() {
        for (own, node) in [("/", "/../../.."), ("/kubepods/pod1/a", "/")] {
            let mountinfo = format!(
                "30 1 0:24 {own} /sys/fs/cgroup ro - cgroup2 cgroup rw\n31 1 0:24 {node} /host/cgroup ro - cgroup2 cgroup2 rw\n"
            );
            assert_eq!(found(mountinfo.as_bytes()), Some(PathBuf::from("/host/cgroup")), "{mountinfo}");
        }
    }

    #[test]
    fn a_cgroup_is_found_on_the_mount_that_shows_it() {
        let shown = |root: &str, cgroup: &str| {
            let mount = Mount { root: root.into(), place: "/m".into() };
            mount.directory(Path::new(cgroup)).map(|path| path.display().to_string())
        };
        assert_eq!(shown("/", "/a/b").as_deref(), Some("/m/a/b"));
        assert_eq!(shown("/a", "/a/b").as_deref(), Some("/m/b"));
        assert_eq!(shown("/a", "/b"), None);
        assert_eq!(shown("/..", "/../b").as_deref(), Some("/m/b"));
        assert_eq!(shown("/", "/../b"), None, "beside our root");
        assert_eq!(shown("/..", "/"), None, "what our own is called further up, nobody tells");
    }

    #[test]
    fn the_v2_line_is_found_beside_v1() {
        assert_eq!(path_in("12:cpu:/a\n0::/kubepods/b\n"), Some(Path::new("/kubepods/b")));
        assert_eq!(path_in("0::/\n"), Some(Path::new("/")));
        assert_eq!(path_in("12:cpu:/a\n"), None);
    }

    #[test]
    fn our_own_cgroup_is_found() {
        let Some(mount) = mount() else {
            // A machine with version 1 only; nothing to find.
            assert!(of_pid(std::process::id()).is_err());
            return;
        };
        let path = of_pid(std::process::id()).unwrap();
        assert!(path.starts_with(&mount), "{}", path.display());
        assert!(of_pid(u32::MAX).is_err());
        assert!(walk(&mount, 10).len() <= 10);
    }
}
