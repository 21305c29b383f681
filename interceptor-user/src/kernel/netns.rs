//! Work in another network namespace.

use std::{
    fs::File,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context as _, anyhow};
use nix::{
    errno::Errno,
    sched::{CloneFlags, setns},
};

/// A network namespace: our own, or one that we hold open.
#[derive(Debug)]
pub(super) struct Netns(Option<(PathBuf, File)>);

impl Netns {
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self(None)) };
        let file = File::open(path).with_context(|| {
            format!(
                "no network namespace at {}: `ip netns list` names those under /run/netns; /proc/PID/ns/net is that \
                 of a process",
                path.display()
            )
        })?;
        Ok(Self(Some((path.to_owned(), file))))
    }

    /// Runs `work` inside, on a thread of its own: a namespace belongs to a thread, and links stay when it ends.
    pub(super) fn run<T: Send>(&self, work: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let Some((path, file)) = &self.0 else { return work() };
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| explain(path, error))?;
                work()
            });
            inside.join().map_err(|_| anyhow!("the thread in {} panicked", path.display()))?
        })
    }
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

/// Cookie of this thread's network namespace; 0 where the kernel (before 5.14) does not tell.
pub(super) fn cookie() -> u64 {
    use nix::libc;
    use std::os::fd::AsRawFd as _;
    /// `SO_NETNS_COOKIE`, which libc does not have everywhere.
    const NETNS_COOKIE: libc::c_int = 71;
    let Ok(socket) = std::net::UdpSocket::bind("127.0.0.1:0").or_else(|_| std::net::UdpSocket::bind("0.0.0.0:0"))
    else {
        return 0;
    };
    let mut cookie = 0_u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: the option writes at most `len` bytes to `cookie`, which is that long.
    #[expect(unsafe_code, reason = "no crate wraps this socket option")]
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, NETNS_COOKIE, (&raw mut cookie).cast(), &raw mut len)
    };
    if result == 0 { cookie } else { 0 }
}
