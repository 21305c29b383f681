//! Pods as a kernel sees them: a network namespace and a cgroup each, joined by a veth pair.
//!
//! The end-to-end tests are built on them too. Everything is named `PREFIX-PID-N-…`, so that many can run at once, and
//! goes away when it is dropped. A process that was killed leaves its pods behind; [`remove_leftovers`] finds them: the
//! owner of a set of pods holds a lock on the set's cgroup directory, and the kernel drops it with the process.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use nix::{
    fcntl::{Flock, FlockArg},
    sched::{CloneFlags, setns},
    sys::signal::{SigSet, Signal, kill},
    unistd::Pid,
};

use super::{namespace, namespace::Namespace};
use crate::kernel::{cgroup, netlink::link};

/// The interface that joins a pod to the other.
pub const INTERFACE: &str = "eth0";
/// How long a cgroup may take to lose its last process, which has been killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Two pods on one network.
#[derive(Debug)]
pub struct Pair {
    /// Where the server runs.
    pub server: Pod,
    /// Where the client runs.
    pub client: Pod,
    /// The pods have IPv6 addresses (a host may have IPv6 switched off).
    pub ipv6: bool,
    // Last: the directories of the pods are inside.
    group: Group,
}

impl Pair {
    /// Makes both, with addresses, and the interfaces up.
    pub fn create(prefix: &str) -> anyhow::Result<Self> {
        if !nix::unistd::geteuid().is_root() {
            bail!("making pods (network namespaces and cgroups) takes root: run it with sudo");
        }
        let group = Group::create(prefix)?;
        let server =
            Pod::create(&group, "server", Ipv4Addr::new(10, 70, 0, 1), Ipv6Addr::new(0xfd70, 0, 0, 0, 0, 0, 0, 1))?;
        let client =
            Pod::create(&group, "client", Ipv4Addr::new(10, 70, 0, 2), Ipv6Addr::new(0xfd70, 0, 0, 0, 0, 0, 0, 2))?;
        let peer = client.namespace.file().as_fd();
        server
            .namespace
            .enter(|| link::add_veth(INTERFACE, peer))
            .context("cannot create a veth pair (does the kernel have the `veth` module?)")?;
        let mut ipv6 = true;
        for pod in [&server, &client] {
            let context = || format!("cannot set up {INTERFACE} in {}", pod.namespace.path().display());
            ipv6 &= pod.configure().with_context(context)?;
        }
        Ok(Self { server, client, ipv6, group })
    }

    /// The cgroup that holds both pods' cgroups.
    pub fn cgroup(&self) -> &Path {
        &self.group.path
    }
}

/// A network namespace and a cgroup.
#[derive(Debug)]
pub struct Pod {
    name: String,
    namespace: Namespace,
    cgroup: Cgroup,
    /// Its address.
    pub ipv4: Ipv4Addr,
    /// Its other address.
    pub ipv6: Ipv6Addr,
}

impl Pod {
    fn create(group: &Group, role: &str, ipv4: Ipv4Addr, ipv6: Ipv6Addr) -> anyhow::Result<Self> {
        let name = format!("{}-{role}", group.name);
        let cgroup = Cgroup::create(group.path.join(role))?;
        let namespace = Namespace::create(&name)?;
        Ok(Self { name, namespace, cgroup, ipv4, ipv6 })
    }

    /// Name of the network namespace, as `ip netns` and `--netns` take it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its network namespace.
    pub const fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Directory of its cgroup.
    pub fn cgroup(&self) -> &Path {
        &self.cgroup.0
    }

    /// A command that will run in this pod, and not outlive the thread that started it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> io::Result<Command> {
        let namespace = self.namespace.file().try_clone()?;
        let procs = File::options().write(true).open(self.cgroup.0.join("cgroup.procs"))?;
        let mut command = Command::new(program);
        let enter = move || {
            // "0" stands for the writer itself.
            (&procs).write_all(b"0")?;
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            // A child inherits what its parent blocks.
            Ok(SigSet::empty().thread_set_mask()?)
        };
        // SAFETY: `enter` makes four system calls on what was opened before the fork; it neither allocates nor locks.
        #[expect(unsafe_code, reason = "only the child can move itself into the pod")]
        unsafe {
            command.pre_exec(enter);
        }
        Ok(command)
    }

    /// Interfaces up, addresses set. Says whether IPv6 is to be had.
    fn configure(&self) -> io::Result<bool> {
        self.namespace.enter(|| {
            link::set_up("lo")?;
            link::add_address(INTERFACE, IpAddr::V4(self.ipv4), 24)?;
            link::set_up(INTERFACE)?;
            Ok(link::add_address(INTERFACE, IpAddr::V6(self.ipv6), 64).is_ok())
        })
    }
}

/// The cgroup directory of a set of pods, locked while its owner lives.
#[derive(Debug)]
struct Group {
    name: String,
    path: PathBuf,
    _cgroup: Cgroup,
    _lock: Flock<File>,
}

impl Group {
    fn create(prefix: &str) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let root = cgroup_root()?;
        loop {
            let name = format!("{prefix}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let cgroup = Cgroup::create(root.join(&name))?;
            let path = cgroup.0.clone();
            let context = || format!("cannot lock {}", path.display());
            let directory = File::open(&path).with_context(context)?;
            let lock =
                Flock::lock(directory, FlockArg::LockExclusive).map_err(|(_, error)| error).with_context(context)?;
            // Between mkdir and lock another process may have taken it for a leftover and removed it.
            if fs::metadata(&path).is_ok_and(|now| lock.metadata().is_ok_and(|ours| now.ino() == ours.ino())) {
                return Ok(Self { name, path, _cgroup: cgroup, _lock: lock });
            }
        }
    }
}

/// A directory below the cgroup v2 mount. Dropping it kills what is left inside.
#[derive(Debug)]
struct Cgroup(PathBuf);

impl Cgroup {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        fs::create_dir(&path).with_context(|| {
            format!("cannot create the cgroup {} (in a container, /sys/fs/cgroup must be writable)", path.display())
        })?;
        Ok(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        if let Err(error) = remove_cgroup(&self.0) {
            tracing::warn!("cannot remove the cgroup {}: {error}", self.0.display());
        }
    }
}

/// Kills what is inside and removes the directory.
fn remove_cgroup(path: &Path) -> io::Result<()> {
    let deadline = Instant::now() + EXIT_TIMEOUT;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(error),
            Err(_) => {}
            Ok(()) => return Ok(()),
        }
        // A killed process leaves its cgroup once it is reaped or, if it is no child of ours, soon.
        let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
        for pid in inside.lines().filter_map(|line| line.parse().ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Removes the pods of processes that no longer exist and says how many sets there were.
pub fn remove_leftovers(prefix: &str) -> anyhow::Result<usize> {
    let mut removed = 0;
    let root = cgroup_root()?;
    for entry in fs::read_dir(&root).with_context(|| format!("cannot read {}", root.display()))?.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| is_group_name(name, prefix)) else { continue };
        let Ok(directory) = File::open(entry.path()) else { continue };
        // Whoever holds the lock is alive.
        let Ok(_lock) = Flock::lock(directory, FlockArg::LockExclusiveNonblock) else { continue };
        for role in ["server", "client"] {
            let path = entry.path().join(role);
            remove_cgroup(&path).with_context(|| format!("cannot remove the cgroup {}", path.display()))?;
            namespace::remove_leftover(&format!("{name}-{role}"));
        }
        remove_cgroup(&entry.path()).with_context(|| format!("cannot remove {}", entry.path().display()))?;
        removed += 1;
    }
    Ok(removed)
}

/// `PREFIX-PID-N`, as [`Group::create`] makes them, and nothing that merely begins alike.
fn is_group_name(name: &str, prefix: &str) -> bool {
    let numbers = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
    numbers
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(pid, count)| pid.parse::<u32>().is_ok() && count.parse::<u32>().is_ok())
}

fn cgroup_root() -> anyhow::Result<PathBuf> {
    cgroup::mount().context("cgroup v2 is not mounted: mount -t cgroup2 none /sys/fs/cgroup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_leftovers() {
        assert!(is_group_name("interceptor-demo-12-0", "interceptor-demo"));
        assert!(!is_group_name("interceptor-demo-12", "interceptor-demo"));
        assert!(!is_group_name("interceptor-demo-mine-0", "interceptor-demo"));
        assert!(!is_group_name("interceptor-demonstration-12-0", "interceptor-demo"));
    }
}
