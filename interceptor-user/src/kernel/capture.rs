use std::path::Path;

use anyhow::Context as _;
use aya::Ebpf;
use interceptor_common::TupleKey;

use super::{
    attach::{self, Attachment, Hook},
    cgroup, clsact, leftover,
    maps::{Drops, Feedback, Sweep},
    netns::{self, Netns},
    object,
    options::CaptureOptions,
    rings::Rings,
};
use crate::{capture::ring::RingSource, model::Endpoint};

/// One load of the kernel object and everything it is attached to. Dropping it detaches.
pub struct Capture {
    ebpf: Option<Ebpf>,
    /// Until they are given to a reader.
    rings: Option<Rings>,
    netns: Netns,
    feedback: Feedback,
    attached: Vec<Attachment>,
    /// Interfaces (by index) that we are attached to by a clsact qdisc that an interceptor added.
    qdiscs: Vec<i32>,
    kernel_log: bool,
    rings_size: u64,
    zone: u32,
}

impl Capture {
    /// Loads and attaches. `zone` goes into every event: it tells namespaces apart that may use the same addresses.
    pub fn start(options: &CaptureOptions, zone: u32) -> anyhow::Result<Self> {
        let netns = Netns::open(options.netns.as_deref())?;
        let cookie = netns.run(|| Ok(netns::cookie()))?;
        // A namespace that was named may still be our own.
        let only = options.only_its_sockets() && cookie != netns::cookie();
        let mut ebpf = object::load(options, cookie, only)?;
        let rings = Rings::new(&mut ebpf, CaptureOptions::rings(), options.ring_size())?;
        let feedback = Feedback::new(&mut ebpf)?;
        let mut capture = Self {
            ebpf: Some(ebpf),
            rings: Some(rings),
            netns,
            feedback,
            attached: Vec::new(),
            qdiscs: Vec::new(),
            kernel_log: options.kernel_log,
            rings_size: options.rings_size(),
            zone,
        };
        capture.attach(options)?;
        capture.feedback.release()?;
        give_back();
        Ok(capture)
    }

    fn attach(&mut self, options: &CaptureOptions) -> anyhow::Result<()> {
        let Self { ebpf: Some(ebpf), netns, attached, qdiscs, .. } = self else { return Ok(()) };
        for path in &options.cgroups {
            attach::cgroup_skb(ebpf, path)?;
            attached.push(Attachment { hook: Hook::CgroupSkb, place: path.display().to_string() });
        }
        let interfaces = !options.interfaces.is_empty() || options.cgroups.is_empty();
        netns.run(|| {
            let _lock = clsact::Lock::wait();
            leftover::remove();
            if interfaces {
                for interface in attach::choose(&options.interfaces)? {
                    let hook = attach::interface(ebpf, &interface, options.clsact, qdiscs)?;
                    attached.push(Attachment { hook, place: interface.name });
                }
            }
            Ok(())
        })?;
        attach_connections(ebpf, attached, options)
    }

    /// The reading end. There is one.
    pub fn source(&mut self) -> anyhow::Result<RingSource> {
        let ebpf = self.ebpf.as_mut().ok_or_else(|| anyhow::anyhow!("the capture is over"))?;
        let sweep = Sweep::new(ebpf, &self.feedback, self.kernel_log)?;
        let rings = self.rings.take().context("the rings have a reader already")?;
        RingSource::new(rings, sweep, self.zone)
    }

    /// What the kernel did not hand over, and what it did.
    pub fn drops(&self) -> anyhow::Result<Drops> {
        self.feedback.drops()
    }

    /// Where programs are attached.
    pub fn attached(&self) -> &[Attachment] {
        &self.attached
    }

    /// Size of the rings together, in bytes.
    pub const fn rings_size(&self) -> u64 {
        self.rings_size
    }

    /// Number that this capture's events carry.
    pub const fn zone(&self) -> u32 {
        self.zone
    }

    /// Asks for no more payload of what `source` sends to `destination` (`cut`), or for payload again. The kernel
    /// forgets the least recently used cut-off when there are too many.
    pub fn cut_off(&mut self, source: Endpoint, destination: Endpoint, cut: bool) -> anyhow::Result<()> {
        let key = TupleKey {
            source: source.mapped(),
            destination: destination.mapped(),
            source_port: source.port(),
            destination_port: destination.port(),
        };
        self.feedback.cut_off(&key, cut)
    }
}

/// Loading takes megabytes of small pieces, which the allocator keeps; a daemon should not.
fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: no pointers; it may be called at any time, from any thread.
    #[expect(unsafe_code, reason = "no crate wraps malloc_trim")]
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Reports of connections add to what packets say; a kernel or a mount without them does not end the capture, unless
/// a cgroup was named for it.
fn attach_connections(ebpf: &mut Ebpf, attached: &mut Vec<Attachment>, options: &CaptureOptions) -> anyhow::Result<()> {
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
        match attach(ebpf, &path) {
            Ok(()) => attached.push(Attachment { hook, place: path.display().to_string() }),
            Err(error) if options.sock_ops_cgroup.is_some() => return Err(error),
            Err(error) => tracing::warn!("{} is not available: {error:#}", hook.name()),
        }
    }
    Ok(())
}

impl Drop for Capture {
    fn drop(&mut self) {
        // A clsact filter is removed by a message to the namespace that it is in.
        let Self { ebpf, netns, qdiscs, .. } = self;
        let ebpf = ebpf.take();
        let detached = netns.run(move || {
            let _lock = clsact::Lock::wait();
            drop(ebpf);
            qdiscs.drain(..).for_each(clsact::remove_unused);
            Ok(())
        });
        if let Err(error) = detached {
            tracing::warn!(%error, "could not detach");
        }
    }
}
