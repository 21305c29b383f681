use caps::{
    CapSet,
    Capability::{
        self, CAP_BPF, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_NET_BROADCAST, CAP_PERFMON, CAP_SYS_ADMIN,
        CAP_SYS_PTRACE, CAP_SYS_RESOURCE,
    },
    CapsHashSet,
    errors::CapsError,
};

use super::Needs;

/// What the start takes beyond what goes on being needed: other namespaces (`setns`), other processes (`/proc/PID/ns`,
/// and `/proc/PID/fd` to tell whose filters are left), hearing of other namespaces' interfaces, more locked memory (before
/// Linux 5.11).
const START: [Capability; 5] =
    [CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_BROADCAST, CAP_SYS_RESOURCE];

/// What goes on being needed.
pub(super) fn kept(needs: &Needs) -> CapsHashSet {
    let mut kept = CapsHashSet::from([CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]);
    if needs.namespaces {
        kept.insert(CAP_SYS_ADMIN);
    }
    if needs.processes {
        kept.extend([CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH]);
    }
    kept
}

/// Keeps those and what the start takes. What a program started by us could have is limited at once, as we start none.
pub(super) fn begin(kept: &CapsHashSet) -> Result<(), CapsError> {
    for capability in caps::all().difference(kept) {
        // Takes CAP_SETPCAP, and older kernels do not know all of them. Without either, it is the other sets that count.
        let _ = caps::drop(None, CapSet::Bounding, *capability);
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::clear(None, CapSet::Inheritable)?;
    limit_to(&kept.iter().copied().chain(START).collect())
}

/// Gives up all others, on this thread.
pub(super) fn limit_to(keep: &CapsHashSet) -> Result<(), CapsError> {
    let left = caps::read(None, CapSet::Permitted)?.intersection(keep).copied().collect();
    caps::set(None, CapSet::Effective, &left)?;
    caps::set(None, CapSet::Permitted, &left)
}

/// Those that this thread has.
pub(super) fn held() -> String {
    let Ok(held) = caps::read(None, CapSet::Permitted) else { return "cannot be told".to_owned() };
    let mut names: Vec<String> = held.iter().map(ToString::to_string).collect();
    names.sort_unstable();
    match names.len() {
        0 => "none".to_owned(),
        // More than we ever keep: nothing was given up.
        7.. => format!("{} of them", names.len()),
        _ => names.join(", "),
    }
}
