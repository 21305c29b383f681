//! A thread that notices interfaces, namespaces and cgroups that come and go, and keeps [`Places`] up to date.
//!
//! It sleeps until the kernel announces something: changes of interfaces by rtnetlink, of names of namespaces by the mount
//! table, of cgroups by inotify. Only what nothing announces (a namespace that has neither a name nor an interface that ends
//! in ours) is looked for once a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};

use super::{
    attach::Attachment,
    cgroup::{self, tree::Tree},
    netlink::{
        news::{Changes, News, Nsid},
        nsid,
    },
    netns::{self, Netns},
    places::Places,
    scope::Scope,
};

/// How often what nothing announces is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// The thread. Dropping it ends it.
pub(super) struct Follower {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Follower {
    pub(super) fn start(
        places: Arc<Mutex<Places>>,
        shown: Arc<Mutex<Vec<Attachment>>>,
        scope: Scope,
        begin: impl FnOnce() + Send + 'static,
    ) -> anyhow::Result<Self> {
        let stop = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC).context("no eventfd")?);
        let mut watch = Watch::new(places, shown, scope)?;
        let end = Arc::clone(&stop);
        let work = move || {
            begin();
            if let Err(error) = watch.run(&end) {
                tracing::error!("what comes from now on is not captured: {error:#}");
            }
        };
        let thread = thread::Builder::new().name("follow".to_owned()).spawn(work).context("cannot start a thread")?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // It cannot be full: nobody else writes to it.
        let _ = self.stop.write(1);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is watched.
struct Watch {
    places: Arc<Mutex<Places>>,
    shown: Arc<Mutex<Vec<Attachment>>>,
    scope: Scope,
    news: News,
    /// We hear of other namespaces' interfaces; else they are looked at once a second.
    hears_all: bool,
    /// The mount table: names of namespaces are mounts.
    mounts: File,
    /// Where pods are followed, or cgroups by patterns.
    cgroups: Option<Tree>,
    /// Namespaces by their number here.
    numbers: BTreeMap<i32, u32>,
    /// Namespaces that could not be brought up to date.
    again: BTreeSet<u32>,
    /// When what nothing announces was looked for.
    looked: Instant,
}

/// Subscribes to news, of other namespaces too if we may.
fn listen(all: bool) -> io::Result<(News, bool)> {
    match News::subscribe(all) {
        Err(error) if all && error.kind() == io::ErrorKind::PermissionDenied => {
            tracing::warn!(
                "without CAP_NET_BROADCAST interfaces that come in other network namespaces are noticed within a second, \
                 not at once"
            );
            Ok((News::subscribe(false)?, false))
        }
        other => Ok((other?, true)),
    }
}

/// What a look was worth.
#[derive(Default)]
struct Noticed {
    interfaces: Changes,
    mounts: bool,
    cgroups: bool,
    stop: bool,
}

impl Watch {
    fn new(places: Arc<Mutex<Places>>, shown: Arc<Mutex<Vec<Attachment>>>, scope: Scope) -> anyhow::Result<Self> {
        let (news, hears_all) = listen(scope.follows_namespaces()).context("cannot listen to changes of interfaces")?;
        let wanted = scope.follows_cgroups() || scope.follows_pods();
        let watch = |mount: PathBuf| {
            let no_watch =
                |error: &io::Error| tracing::warn!(%error, "new cgroups are noticed within a second, not at once");
            Tree::watch(&mount).inspect_err(no_watch).ok()
        };
        let cgroups = cgroup::mount().filter(|_| wanted).and_then(watch);
        Ok(Self {
            places,
            shown,
            news,
            hears_all,
            mounts: File::open("/proc/self/mountinfo").context("cannot watch the mount table")?,
            cgroups,
            numbers: BTreeMap::new(),
            again: BTreeSet::new(),
            looked: Instant::now(),
            scope,
        })
    }

    fn run(&mut self, stop: &EventFd) -> anyhow::Result<()> {
        // What came between attaching and listening.
        let mut noticed = Noticed { interfaces: Changes { missed: true, ..Changes::default() }, ..Noticed::default() };
        while !noticed.stop {
            if let Err(error) = self.follow(&noticed) {
                tracing::warn!("not all that has come is captured yet: {error:#}");
            }
            noticed = self.wait(stop)?;
        }
        Ok(())
    }

    fn wait(&mut self, stop: &EventFd) -> anyhow::Result<Noticed> {
        let looks = self.scope.follows_namespaces() || self.scope.follows_cgroups() || !self.again.is_empty();
        let left = LOOK.saturating_sub(self.looked.elapsed());
        let timeout = if looks { PollTimeout::try_from(left)? } else { PollTimeout::NONE };
        let mut fds = vec![
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.news.as_fd(), PollFlags::POLLIN),
            // Of the mount table only changes are told (proc_pid_mountinfo(5)).
            PollFd::new(self.mounts.as_fd(), PollFlags::POLLPRI),
        ];
        fds.extend(self.cgroups.as_ref().map(|tree| PollFd::new(tree.as_fd(), PollFlags::POLLIN)));
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Noticed::default()),
            Err(error) => return Err(error).context("cannot wait for changes"),
        }
        let is_ready = |fd: usize| fds.get(fd).and_then(PollFd::any).unwrap_or(false);
        let (stopped, mounts) = (is_ready(0), is_ready(2));
        let mut interfaces = self.news.read().context("cannot read changes of interfaces")?;
        // However much there is to hear.
        let due = self.looked.elapsed() >= LOOK;
        if due {
            self.looked = Instant::now();
        }
        interfaces.missed |= due && !self.hears_all;
        Ok(Noticed {
            interfaces,
            mounts,
            cgroups: match &mut self.cgroups {
                Some(tree) => tree.changed().context("cannot read changes of cgroups")? || due,
                None => due,
            },
            stop: stopped,
        })
    }

    /// Does what is to be done about it.
    fn follow(&mut self, noticed: &Noticed) -> anyhow::Result<()> {
        let Noticed { interfaces: Changes { interfaces, namespaces, ended, missed }, mounts, cgroups, .. } = noticed;
        let places = Arc::clone(&self.places);
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        for number in ended {
            if let Some(inode) = self.numbers.remove(number) {
                places.leave(inode);
            }
        }
        let mut stale: BTreeSet<u32> = interfaces.iter().filter_map(|from| self.inode(*from)).collect();
        stale.append(&mut self.again);
        // A pod's first interface often shows before anything else of it does.
        let elsewhere = !interfaces.is_empty() && self.scope.follows_pods();
        if self.scope.follows_namespaces() && (*missed || *namespaces || *mounts || *cgroups || elsewhere) {
            stale.extend(self.namespaces(&mut places)?);
        }
        if *missed {
            stale.extend(places.namespaces().map(Netns::inode));
        }
        for inode in stale {
            match places.update(inode) {
                Ok(new) if new.is_empty() => {}
                Ok(new) => {
                    let namespace = places.namespaces().find(|netns| netns.inode() == inode).map(Netns::to_string);
                    tracing::info!(namespace, "attached to {}", new.join(", "));
                }
                Err(error) => {
                    tracing::debug!("a network namespace that is gone, or refuses: {error:#}");
                    self.again.insert(inode);
                }
            }
        }
        if (*missed || *cgroups) && self.scope.follows_cgroups() {
            self.cgroups(&mut places);
        }
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = places.attachments();
        Ok(())
    }

    /// Enters namespaces that are new, which are given back, and leaves those that are gone.
    fn namespaces(&mut self, places: &mut Places) -> anyhow::Result<Vec<u32>> {
        let wanted = self.scope.namespaces(false)?;
        let there: BTreeSet<u32> = wanted.iter().map(|wanted| wanted.netns.inode()).collect();
        let known: BTreeSet<u32> = places.namespaces().map(Netns::inode).collect();
        let gone: Vec<u32> = known.difference(&there).copied().collect();
        if !gone.is_empty() {
            // Not all that cannot be found any more where it was is gone.
            let mut all = netns::all();
            for inode in gone {
                if let Some(path) = all.remove(&inode) {
                    places.enter(Netns::at(inode, path), None)?;
                } else {
                    places.leave(inode);
                    self.numbers.retain(|_, known| *known != inode);
                }
            }
        }
        let mut new = Vec::new();
        for wanted in wanted {
            let inode = wanted.netns.inode();
            // First, so that nothing can change unnoticed between our look and the first news.
            let listening = wanted.netns.is_own() || self.listen(&wanted.netns);
            if !known.contains(&inode) && listening {
                new.push(inode);
            }
            if listening {
                places.enter(wanted.netns, wanted.beside)?;
            }
        }
        Ok(new)
    }

    /// Sees to it that the namespace has a number here, and so is heard of. False: it is gone.
    fn listen(&mut self, netns: &Netns) -> bool {
        if self.numbers.values().any(|known| *known == netns.inode()) {
            return true;
        }
        match netns.file().and_then(|file| Ok(nsid::get_or_give(file)?)) {
            Ok(Some(number)) => {
                self.numbers.insert(number, netns.inode());
                true
            }
            Ok(None) => true,
            Err(error) => {
                tracing::debug!("a network namespace that is gone: {error:#}");
                false
            }
        }
    }

    fn inode(&self, from: Nsid) -> Option<u32> {
        match from {
            Some(number) => self.numbers.get(&number).copied(),
            None => Netns::own().ok().map(|own| own.inode()),
        }
    }

    /// Attaches to cgroups that are new and wanted, and forgets those that are gone.
    fn cgroups(&self, places: &mut Places) {
        places.forget_gone_cgroups();
        let watched = self.cgroups.as_ref().filter(|tree| tree.is_complete());
        let directories = match watched {
            Some(tree) => tree.directories().map(Path::to_owned).collect(),
            None => cgroup::mount().map(|mount| cgroup::walk(&mount, cgroup::MAX)).unwrap_or_default(),
        };
        for path in self.scope.cgroups(directories.iter().map(PathBuf::as_path)) {
            if let Err(error) = places.cgroup(&path) {
                tracing::debug!("a cgroup that is gone, or refuses: {error:#}");
            }
        }
    }
}
