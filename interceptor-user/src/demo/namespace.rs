//! Named network namespaces, where `ip netns` and `--netns` look for them.

use std::{
    fs::{self, File},
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
};

/// Where named namespaces are (iproute2's `NETNS_RUN_DIR`).
const DIRECTORY: &str = "/run/netns";

/// A network namespace with a name. Dropping it removes the name; the namespace goes once nobody is in it.
#[derive(Debug)]
pub struct Namespace {
    path: PathBuf,
    file: File,
}

impl Namespace {
    /// A new, empty one.
    pub fn create(name: &str) -> anyhow::Result<Self> {
        let path = Path::new(DIRECTORY).join(name);
        let context = || format!("cannot create the network namespace {}", path.display());
        prepare_directory().with_context(context)?;
        File::options().write(true).create_new(true).open(&path).with_context(context)?;
        // From here on the name is ours to remove, whatever fails.
        let file = pin_new_namespace(&path).and_then(|()| File::open(&path));
        match file {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => {
                remove(&path);
                Err(error).with_context(context)
            }
        }
    }

    /// Its name's place in the file system.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The handle that `setns` takes.
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Runs `work` on a thread that is inside.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let inside = || {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)?;
            work()
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread in the namespace panicked")))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the name of a namespace that an earlier process left.
pub(super) fn remove_leftover(name: &str) {
    remove(&Path::new(DIRECTORY).join(name));
}

fn remove(path: &Path) {
    // Either may fail because it is gone already.
    let _ = umount2(path, MntFlags::MNT_DETACH);
    let _ = fs::remove_file(path);
}

/// A thread makes the namespace and mounts it on `path`; then the mount keeps it, and the thread may end.
fn pin_new_namespace(path: &Path) -> io::Result<()> {
    let pin = || -> io::Result<()> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(mount(Some("/proc/thread-self/ns/net"), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
    };
    thread::scope(|scope| scope.spawn(pin).join()).unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

/// `/run/netns` as a shared mount of its own, as iproute2 has it: otherwise the first `ip netns add` after us would
/// cover our names with copies that our clean-up cannot reach.
fn prepare_directory() -> io::Result<()> {
    fs::create_dir_all(DIRECTORY)?;
    let _lock = Flock::lock(File::open(DIRECTORY)?, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
    let share = || {
        let flags = MsFlags::MS_SHARED | MsFlags::MS_REC;
        mount(Some(""), DIRECTORY, Some("none"), flags, None::<&str>)
    };
    match share() {
        // It is no mount point yet.
        Err(Errno::EINVAL) => {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
            mount(Some(DIRECTORY), DIRECTORY, Some("none"), flags, None::<&str>)?;
            share()?;
        }
        other => other?,
    }
    Ok(())
}
