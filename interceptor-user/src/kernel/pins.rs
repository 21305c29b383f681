//! What outlives its process: links and maps, as files of a BPF file system.
//!
//! ```text
//! DIR/ZONE/outbound/steer_conn4@4711     a link: the program's name, and what it is attached to
//! DIR/ZONE/outbound/maps-1/ORIGINALS     a map: by the number of its layout
//! ```
//!
//! Who comes next puts its programs into these links, and they use these maps: there is no moment without one. Removing the files
//! detaches.

use std::{
    fs::{self, File},
    io,
    os::fd::{BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, ensure};
use aya::EbpfLoader;
use interceptor_common::STEER_LAYOUT;
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    sys::statfs::{BPF_FS_MAGIC, statfs},
};

use super::link;

/// A directory of them.
pub(super) struct Pins {
    directory: PathBuf,
    /// Two that start at once do so one after the other.
    _lock: Flock<File>,
}

impl Pins {
    /// Makes the directory, if it is not there.
    pub(super) fn open(directory: &Path) -> anyhow::Result<Self> {
        let there = directory.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
        let kind = statfs(there).with_context(|| format!("cannot look at {}", there.display()))?.filesystem_type();
        ensure!(
            kind == BPF_FS_MAGIC,
            "{} is not on a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf) and name a directory in it, such as \
             /sys/fs/bpf/interceptor",
            directory.display()
        );
        let failed = || format!("cannot pin in {}", directory.display());
        fs::create_dir_all(maps(directory)).with_context(failed)?;
        let lock = Flock::lock(File::open(directory).with_context(failed)?, FlockArg::LockExclusive);
        let lock = lock.map_err(|(_, error)| error).with_context(failed)?;
        Ok(Self { directory: directory.to_owned(), _lock: lock })
    }

    /// The object gets those maps that are pinned, and the others are pinned once they are made.
    pub(super) fn maps<'a>(&self, loader: &mut EbpfLoader<'a>, names: &[&'a str]) {
        for name in names {
            loader.map_pin_path(name, maps(&self.directory).join(name));
        }
    }

    /// Puts a program into the link of this name to `place`, or pins a new one.
    pub(super) fn link(
        &self,
        name: &str,
        place: u64,
        program: BorrowedFd<'_>,
        create: impl FnOnce() -> anyhow::Result<OwnedFd>,
    ) -> anyhow::Result<()> {
        let path = self.directory.join(format!("{name}@{place}"));
        let failed = || format!("cannot take the place of the program at {}", path.display());
        match link::pinned(&path).and_then(|link| link::update(&link, program)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // What it was attached to is gone, and something else has its number.
            Err(error) if error.raw_os_error() == Some(Errno::ENOLINK as i32) => {
                fs::remove_file(&path).with_context(failed)?;
            }
            Err(error) => return Err(error).with_context(failed),
        }
        link::pin(&create()?, &path).with_context(|| format!("cannot pin {}", path.display()))
    }

    /// Removes what is pinned of programs that are at none of these places any more, and maps of other versions.
    pub(super) fn keep_only(&self, places: &[u64]) -> anyhow::Result<()> {
        let entries = fs::read_dir(&self.directory)?.collect::<io::Result<Vec<_>>>()?;
        for path in entries.into_iter().map(|entry| entry.path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let place = name.split_once('@').and_then(|(_, place)| place.parse().ok());
            if place.is_some_and(|place| !places.contains(&place)) {
                fs::remove_file(&path)?;
            } else if place.is_none() && path.is_dir() && path != maps(&self.directory) {
                fs::remove_dir_all(&path)?;
            }
        }
        Ok(())
    }
}

fn maps(directory: &Path) -> PathBuf {
    directory.join(format!("maps-{STEER_LAYOUT}"))
}
