//! What an interceptor that was killed leaves on kernels without TCX: filters under a clsact qdisc. They are found by
//! their programs' names and removed at the next start, unless a living process holds the program.

use std::{
    collections::{BTreeSet, HashSet},
    fs, io,
    path::Path,
};

use aya::programs::{TcAttachType, tc::SchedClassifierLink};
use caps::{CapSet, Capability};
use nix::libc::ESRCH;

use super::{
    clsact,
    netlink::{
        link::{self, Interface},
        tc::{self, Filter},
    },
    netns::Netns,
};

/// The first PID namespace (`PROC_PID_INIT_INO`): from any other, not every process can be seen.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Removes such filters from all interfaces of a namespace.
pub(super) fn remove_in(netns: &Netns) -> anyhow::Result<()> {
    netns.run(|| {
        remove();
        Ok(())
    })
}

/// Removes such filters from all interfaces of this thread's namespace, and the qdiscs that were added for them.
///
/// Best effort: a filter that stays does no harm but costs time, and attaching goes on.
pub(super) fn remove() {
    let look =
        || find().inspect_err(|error| tracing::warn!(%error, "cannot see whether a killed interceptor left something"));
    if look().is_ok_and(|found| found.is_empty()) {
        return;
    }
    let _lock = clsact::Lock::wait();
    // Whoever held the lock may have changed it.
    let Ok(found) = look() else { return };
    if found.is_empty() {
        return;
    }
    let filters = found.len();
    if !fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace == Path::new(FIRST_PID_NAMESPACE)) {
        return tracing::warn!(
            filters,
            "filters of an interceptor are there; whether it lives cannot be seen from this PID namespace, so they stay"
        );
    }
    let held = match held_programs() {
        Ok(held) => held,
        Err(error) => {
            return tracing::warn!(
                filters,
                %error,
                "filters of an interceptor are there; whether it lives cannot be seen without CAP_SYS_PTRACE and \
                 CAP_DAC_READ_SEARCH, so they stay"
            );
        }
    };
    let mut emptied = BTreeSet::new();
    for left in found.iter().filter(|left| !held.contains(&left.filter.program_id)) {
        let Left { interface, filter: Filter { name, program_id, .. }, .. } = left;
        match left.detach() {
            Ok(()) => {
                tracing::info!(interface = interface.name, program = name, program_id, "removed a dead filter");
                if clsact::was_added(&left.filter) {
                    emptied.insert(interface.index);
                }
            }
            Err(error) => {
                tracing::warn!(interface = interface.name, program = name, "cannot remove a dead filter: {error:#}");
            }
        }
    }
    emptied.into_iter().for_each(clsact::remove_unused);
}

/// A filter of an interceptor, be that alive or dead.
struct Left {
    interface: Interface,
    side: TcAttachType,
    filter: Filter,
}

impl Left {
    fn detach(&self) -> anyhow::Result<()> {
        use aya::programs::links::Link as _;
        let Filter { priority, handle, .. } = self.filter;
        let name = &self.interface.name;
        Ok(SchedClassifierLink::attached(name, self.side, priority, handle.into(), None)?.detach()?)
    }
}

fn find() -> io::Result<Vec<Left>> {
    let qdiscs = tc::clsact_interfaces()?;
    if qdiscs.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for interface in link::interfaces()?.into_iter().filter(|interface| qdiscs.contains(&interface.index)) {
        for side in [TcAttachType::Ingress, TcAttachType::Egress] {
            let filters = clsact::filters(interface.index, side).into_iter();
            found.extend(filters.map(|filter| Left { interface: interface.clone(), side, filter }));
        }
    }
    Ok(found)
}

/// Ids of the BPF programs that some process has open. An error if there is a process of which we cannot tell.
fn held_programs() -> io::Result<HashSet<u32>> {
    let mut held = HashSet::new();
    // Root may list what others have open without it, but not see what that is: the living would pass for dead. With it
    // there may still be processes that nobody is shown; an interceptor is none of them.
    if !caps::has_cap(None, CapSet::Effective, Capability::CAP_SYS_PTRACE).unwrap_or(false) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    // A /proc that hides processes (hidepid) hides this one from whom it hides any.
    fs::read_dir("/proc/1/fd")?;
    for process in super::identity::processes() {
        let entries = match fs::read_dir(format!("/proc/{process}/fd")) {
            Ok(entries) => entries,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            if !fs::read_link(entry.path()).is_ok_and(|target| target == Path::new("anon_inode:bpf-prog")) {
                continue;
            }
            let info = format!("/proc/{process}/fdinfo/{}", entry.file_name().display());
            held.extend(fs::read_to_string(info).ok().as_deref().and_then(program_id));
        }
    }
    Ok(held)
}

/// The process ended meanwhile.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ESRCH)
}

fn program_id(fdinfo: &str) -> Option<u32> {
    fdinfo.lines().find_map(|line| line.strip_prefix("prog_id:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_cannot_be_looked_at_is_not_gone() {
        use nix::libc::{EACCES, ENOENT, EPERM};
        let gone = |errno| is_gone(&io::Error::from_raw_os_error(errno));
        assert!(gone(ENOENT) && gone(ESRCH) && !gone(EACCES) && !gone(EPERM));
    }

    #[test]
    fn the_program_is_told_by_the_descriptor() {
        let fdinfo = "pos:\t0\nflags:\t02000002\nprog_type:\t3\nprog_jited:\t1\nmemlock:\t4096\nprog_id:\t117\n";
        assert_eq!(program_id(fdinfo), Some(117));
        assert_eq!(program_id("pos:\t0\n"), None);
    }
}
