//! Cgroups: where version 2 is mounted, ids, processes, and containers.

pub(super) mod tree;

use std::{
    fs, io,
    os::unix::{ffi::OsStringExt as _, fs::MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};

/// Where cgroup v2 is mounted: `/sys/fs/cgroup`, or `/sys/fs/cgroup/unified` beside version 1.
pub fn mount() -> Option<PathBuf> {
    mount_in(&fs::read(format!("/proc/{}/mountinfo", std::process::id())).ok()?)
}

fn mount_in(mountinfo: &[u8]) -> Option<PathBuf> {
    mountinfo.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ');
        let place = fields.nth(4)?;
        // Any number of optional fields, a dash, and the type (proc_pid_mountinfo(5)).
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == b"cgroup2").then(|| PathBuf::from(std::ffi::OsString::from_vec(unescape(place))))
    })
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

/// Where a cgroup's directory is: a path as given if that lies on a version 2 mount, else below the first one.
///
/// There may be several: a container has a mount of its own cgroup and, if it is given one, the node's.
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
    let mount = mount().context("no cgroup v2 mount: mount -t cgroup2 none /sys/fs/cgroup")?;
    let list = fs::read_to_string(format!("/proc/{pid}/cgroup"))
        .with_context(|| format!("no process {pid}, or we may not look at it"))?;
    let path = path_in(&list).with_context(|| format!("process {pid} is in no version 2 cgroup"))?;
    Ok(mount.join(path))
}

/// The version 2 line of `/proc/PID/cgroup`: `0::/path`.
fn path_in(list: &str) -> Option<&str> {
    list.lines().find_map(|line| line.strip_prefix("0::/"))
}

/// The container that a cgroup belongs to, by its path: the id that container runtimes put into directory names.
///
/// Known spellings: `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID.scope`, `libpod-ID.scope` (systemd driver),
/// `.../ID` (cgroupfs driver), `SLICE:cri-containerd:ID`. Cgroups inside the container belong to it; the runtimes' own
/// monitors (`crio-conmon-ID.scope`) do not.
pub fn container_id(cgroup: &Path) -> Option<&str> {
    cgroup.components().rev().find_map(|component| {
        let name = component.as_os_str().to_str()?;
        let name = name.strip_suffix(".scope").unwrap_or(name);
        if name.contains("-conmon-") {
            return None;
        }
        let id = name.rsplit(['-', ':']).next()?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    })
}

/// Cgroups looked at in one walk, and remembered, at the most.
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

    const ID: &str = "4f2a9c0e6b1d8f3a5c7e9b0d2f4a6c8e0b1d3f5a7c9e1b3d5f7a9c0e2b4d6f8a";

    #[test]
    fn the_v2_mount_is_found_beside_v1() {
        let hybrid = b"25 1 0:22 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw\n\
            26 25 0:23 / /sys/fs/cgroup/cpu rw shared:10 - cgroup cgroup rw,cpu\n\
            27 25 0:24 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw\n";
        assert_eq!(mount_in(hybrid), Some(PathBuf::from("/sys/fs/cgroup/uni fied")));
        assert_eq!(mount_in(b"26 25 0:23 / /sys/fs/cgroup rw - cgroup cgroup rw,cpu\n"), None);
        assert_eq!(mount_in(b"garbage\n\n- - -\n"), None);
    }

    #[test]
    fn the_v2_line_is_found_beside_v1() {
        assert_eq!(path_in("12:cpu:/a\n0::/kubepods/b\n"), Some("kubepods/b"));
        assert_eq!(path_in("0::/\n"), Some(""));
        assert_eq!(path_in("12:cpu:/a\n"), None);
    }

    #[test]
    fn containers_are_known_in_every_spelling() {
        let pod = "kubepods-burstable-pod6c2e4f1a_0b1c_4d5e_8f90_a1b2c3d4e5f6.slice";
        for path in [
            format!("/system.slice/docker-{ID}.scope"),
            format!("/docker/{ID}"),
            format!("/kubepods.slice/kubepods-burstable.slice/{pod}/cri-containerd-{ID}.scope"),
            format!("/kubepods.slice/kubepods-burstable.slice/{pod}/crio-{ID}.scope"),
            format!("/kubepods/burstable/pod6c2e4f1a-0b1c-4d5e-8f90-a1b2c3d4e5f6/{ID}"),
            format!("/system.slice/containerd.service/{pod}:cri-containerd:{ID}"),
            format!("/machine.slice/libpod-{ID}.scope/container"),
            format!("/docker/{ID}/init.scope"),
        ] {
            assert_eq!(container_id(Path::new(&path)), Some(ID), "{path}");
        }
        for path in [
            "/".to_owned(),
            "/user.slice/user-1000.slice/session-3.scope".to_owned(),
            format!("/machine.slice/crio-conmon-{ID}.scope"),
            format!("/docker/{}", &ID[1..]),
            format!("/docker/{}g", &ID[1..]),
        ] {
            assert_eq!(container_id(Path::new(&path)), None, "{path}");
        }
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
