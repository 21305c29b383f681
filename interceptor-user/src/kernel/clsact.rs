//! TC filters under a clsact qdisc, for kernels without TCX.
//!
//! Filters and qdisc outlive their process, and interceptors on one interface share the qdisc: the last to go takes it
//! away, if it was one of them that added it. Nobody need live to tell who did, because the filters' handles say so.

use std::{
    fs::File,
    io, thread,
    time::{Duration, Instant},
};

use aya::programs::{
    ProgramError, SchedClassifier, TcAttachType,
    tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, qdisc_add_clsact},
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    libc::EEXIST,
};

use super::{
    attach::{ASSIGNERS, CLASSIFIERS, root},
    netlink::{
        link::Interface,
        tc::{self, Filter},
    },
};

/// First handle of filters under a qdisc that was there before; arbitrary, and far from what is given out automatically.
const SHARED: u32 = 0x1e7c_0000;
/// First handle of filters under a qdisc that an interceptor added.
const ADDED: u32 = 0x1e7c_8000;
/// Interceptors at one time.
const HANDLES: u32 = 64;

/// Keeps other interceptors from adding or removing qdiscs and filters in this thread's network namespace.
pub(super) struct Lock(#[expect(dead_code, reason = "held")] Option<Flock<File>>);

/// Nobody of us holds it for longer than it takes to attach or detach; but whoever is in the namespace may.
const PATIENCE: Duration = Duration::from_secs(1);

impl Lock {
    /// Waits for it, not for ever. Without it two who come and go at once may take each other's qdisc away.
    pub(super) fn wait() -> Self {
        let end = Instant::now() + PATIENCE;
        let taken = File::open("/proc/thread-self/ns/net").and_then(|mut namespace| {
            loop {
                match Flock::lock(namespace, FlockArg::LockExclusiveNonblock) {
                    Ok(lock) => return Ok(lock),
                    Err((file, Errno::EWOULDBLOCK)) if Instant::now() < end => namespace = file,
                    Err((_, error)) => return Err(error.into()),
                }
                thread::sleep(Duration::from_millis(5));
            }
        });
        Self(taken.inspect_err(|error| tracing::warn!(%error, "clsact qdiscs are not locked")).ok())
    }
}

/// The filters of interceptors on one side of an interface.
pub(super) fn filters(index: i32, side: TcAttachType) -> Vec<Filter> {
    let filters = tc::filters(index, side == TcAttachType::Egress).unwrap_or_default();
    // Whole names: others may begin like these, and nobody needs to hold a program that `tc` loaded.
    let is_ours = |name: &str| CLASSIFIERS.contains(&name) || ASSIGNERS.contains(&name);
    filters.into_iter().filter(|filter| is_ours(&filter.name)).collect()
}

/// Did an interceptor add the qdisc that this filter is under?
pub(super) fn was_added(filter: &Filter) -> bool {
    (ADDED..ADDED + HANDLES).contains(&filter.handle)
}

/// Sees to it that there is a qdisc, and says whether an interceptor added it: this one or another one.
pub(super) fn ensure_qdisc(interface: &Interface) -> bool {
    match qdisc_add_clsact(&interface.name) {
        Ok(()) => true,
        Err(error) => {
            // It may be there already; if it is not, attaching says so.
            tracing::debug!(interface = interface.name, %error, "clsact qdisc not added");
            let sides = [TcAttachType::Ingress, TcAttachType::Egress];
            sides.into_iter().flat_map(|side| filters(interface.index, side)).any(|filter| was_added(&filter))
        }
    }
}

/// Attaches by a filter before all others: one that passes or redirects a packet hides it from those after it, and ours
/// leaves every packet to the next.
///
/// Handles of a priority are unique, and `tc` begins with 1: whoever replaces "his" filter 1 must not replace ours.
pub(super) fn attach(
    program: &mut SchedClassifier,
    interface: &Interface,
    side: TcAttachType,
    added: bool,
) -> Result<SchedClassifierLinkId, ProgramError> {
    let exists = io::Error::from_raw_os_error(EEXIST).to_string();
    let base = if added { ADDED } else { SHARED };
    let mut filter = |priority, handle: u32| {
        let options = NlOptions { priority, handle: handle.into(), ..NlOptions::default() };
        program.attach_with_options(&interface.name, side, TcAttachOptions::Netlink(options))
    };
    for handle in base..base + HANDLES {
        match filter(1, handle) {
            Ok(link) => return Ok(link),
            // Another interceptor has this handle.
            Err(error) if root(&error) == exists => {}
            // A filter of another kind has this priority.
            Err(_) => break,
        }
    }
    // The kernel chooses: before those for which it chose before.
    filter(0, base)
}

/// Takes away a qdisc that an interceptor added, unless somebody uses it by now.
pub(super) fn remove_unused(index: i32) {
    match tc::has_filters(index) {
        Ok(true) => {}
        Ok(false) => {
            if let Err(error) = tc::remove_clsact(index) {
                tracing::debug!(index, %error, "clsact qdisc not removed");
            }
        }
        Err(error) => tracing::debug!(index, %error, "clsact qdisc stays"),
    }
}
