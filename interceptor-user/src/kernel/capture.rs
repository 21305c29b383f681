use std::{
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context as _;
use aya::Ebpf;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{
    attach::{self, Attachment, Hook},
    cgroup,
    cut_off::CutOffs,
    follow::Follower,
    leftover,
    maps::{Drops, Feedback, Sweep},
    netns::Netns,
    object,
    options::CaptureOptions,
    owned::Owned,
    places::Places,
    reach::Reached,
    refusal,
    rings::Rings,
    scope::{Scope, Wanted},
    start_up,
    zone::Layout,
};
use crate::{capture::ring::RingSource, model::Reach};

/// One load of the kernel object and everything it is attached to. Dropping it detaches.
pub struct Capture {
    // Ends before the places go.
    follower: Option<Follower>,
    places: Arc<Mutex<Places>>,
    /// Where programs are attached, for those who ask: the places may be in use for long.
    shown: Arc<Mutex<Vec<Attachment>>>,
    /// What the follower is to look for, until it does.
    scope: Option<Scope>,
    /// Until they are given to a reader.
    rings: Option<Rings>,
    feedback: Feedback,
    reached: Mutex<Reached>,
    own: Owned,
    kernel_log: bool,
    rings_size: u64,
}

impl Capture {
    /// Loads and attaches. What comes later is left alone until [`Capture::follow`] is called.
    pub fn start(options: &CaptureOptions) -> anyhow::Result<Self> {
        raise_descriptors();
        let scope = Scope::of(options);
        let found = scope.namespaces(true)?;
        let layout = Layout::get();
        let mut ebpf = object::load(options, layout, scope.zones(&found, layout)?)?;
        let rings = Rings::new(&mut ebpf, CaptureOptions::rings(), options.ring_size())?;
        let feedback = Feedback::new(&mut ebpf)?;
        let mut reached = Reached::new(&mut ebpf)?;
        reached.set(&options.reach, &feedback)?;
        if !scope.captures_interfaces() {
            leftover::remove_in(&Netns::open(options.netns.first().map(PathBuf::as_path))?)?;
        }
        let own = Owned::new(&mut ebpf)?;
        scope.prepare(&mut ebpf)?;
        let mut places = Places::new(ebpf, options)?;
        attach_cgroups(&mut places, &scope)?;
        for Wanted { netns, beside } in found {
            attach_interfaces(&mut places, netns, beside)?;
        }
        attach_connections(&mut places, options)?;
        feedback.release()?;
        start_up::give_back();
        Ok(Self {
            follower: None,
            shown: Arc::new(Mutex::new(places.attachments())),
            places: Arc::new(Mutex::new(places)),
            scope: Some(scope),
            rings_size: options.rings_size().min(rings.size()),
            rings: Some(rings),
            feedback,
            reached: Mutex::new(reached),
            own,
            kernel_log: options.kernel_log,
        })
    }

    /// From now on attaches to what comes (interfaces, and namespaces and cgroups where they were not each named), and
    /// forgets what goes, on a thread of its own, which calls `begin` first.
    pub fn follow(&mut self, begin: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
        if let Some(scope) = self.scope.take() {
            self.follower = Some(Follower::start(Arc::clone(&self.places), Arc::clone(&self.shown), scope, begin)?);
        }
        Ok(())
    }

    /// The reading end. There is one.
    pub fn source(&mut self) -> anyhow::Result<RingSource> {
        let sweep = Sweep::new(&mut self.places().ebpf, &self.feedback, self.kernel_log)?;
        let rings = self.rings.take().context("the rings have a reader already")?;
        RingSource::new(rings, sweep)
    }

    /// What the kernel did not hand over, and what it did.
    pub fn drops(&self) -> anyhow::Result<Drops> {
        self.feedback.drops()
    }

    /// Where programs are attached now.
    pub fn attached(&self) -> Vec<Attachment> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Size of the rings together, in bytes.
    pub const fn rings_size(&self) -> u64 {
        self.rings_size
    }

    /// What tells the kernel which payload is not wanted. There is one.
    pub fn cut_offs(&mut self) -> anyhow::Result<CutOffs> {
        let cut_offs = CutOffs::new(&mut self.places().ebpf)?;
        self.feedback.with_cut_offs()?;
        Ok(cut_offs)
    }

    /// This socket is the inline path's. To be said before it connects.
    pub fn own(&self, socket: &impl AsRawFd) -> anyhow::Result<()> {
        self.own.add(socket)
    }

    /// Captures what is in `reach` and passes the filters, from now on; what was in it before is captured all the while.
    /// Where the kernel cannot be told, nothing is left out.
    pub fn set_reach(&self, reach: &Reach) -> anyhow::Result<()> {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.set(reach, &self.feedback).map_err(|error| {
            let all = reached.set(&Reach::all(), &self.feedback);
            error.context(match all {
                Ok(()) => "what no policy needs is captured, too",
                Err(_) => "what policies need may not all be captured",
            })
        })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // It works on the places, and detaching is for afterwards.
        self.follower = None;
    }
}

/// Each interface and each cgroup takes two descriptors; 1024, the usual limit, are soon used up on a node. The hard limit
/// is for those who mean it.
fn raise_descriptors() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(soft, hard)| if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard) } else { Ok(()) });
    if let Err(error) = raised {
        tracing::debug!(%error, "RLIMIT_NOFILE stays as it is");
    }
}

fn attach_cgroups(places: &mut Places, scope: &Scope) -> anyhow::Result<()> {
    for path in scope.named_cgroups() {
        places.cgroup(path)?;
    }
    if scope.follows_cgroups() {
        let mount = cgroup::mount().context("no cgroup v2 mount: mount -t cgroup2 none /sys/fs/cgroup")?;
        let directories = cgroup::walk(&mount, cgroup::MAX);
        for path in scope.cgroups(directories.iter().map(PathBuf::as_path)) {
            places.cgroup(&path)?;
        }
    }
    Ok(())
}

/// A pod may be gone by now; a namespace that was asked for must be there.
fn attach_interfaces(places: &mut Places, netns: Netns, beside: Option<Netns>) -> anyhow::Result<()> {
    let (inode, is_pod) = (netns.inode(), beside.is_some());
    places.enter(netns, beside)?;
    match places.update(inode) {
        Err(error) if is_pod => {
            // If it is not gone, following tries it again.
            tracing::debug!("a network namespace that is gone, or refuses: {error:#}");
            Ok(())
        }
        Err(error) => Err(error),
        Ok(_) if is_pod => Ok(()),
        Ok(_) => places.expect_named(inode),
    }
}

/// Reports of connections add to what packets say; a kernel or a mount without them does not end the capture, unless
/// a cgroup was named for it.
fn attach_connections(places: &mut Places, options: &CaptureOptions) -> anyhow::Result<()> {
    let Some(path) = options.sock_ops_cgroup.clone().or_else(cgroup::mount) else {
        tracing::warn!(
            "no cgroup v2 mount: connections are known by their packets only, without the kernel's counters"
        );
        return Ok(());
    };
    let hooks = [
        (Hook::SockOps, attach::sock_ops as fn(&mut Ebpf, &Path) -> anyhow::Result<()>),
        (Hook::Connect, attach::connect),
    ];
    for (hook, attach) in hooks {
        match attach(&mut places.ebpf, &path) {
            Ok(()) => places.note(hook, &path),
            Err(error) if options.sock_ops_cgroup.is_some() => return Err(error),
            Err(error) => refusal::warn(hook.name(), &error),
        }
    }
    Ok(())
}
