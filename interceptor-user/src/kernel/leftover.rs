//! What an interceptor that was killed leaves on kernels without TCX: filters under a clsact qdisc. They are found by
//! their programs' names and removed at the next start, unless a living process holds the program.

use std::{collections::HashSet, fs, io, path::Path};

use aya::programs::{TcAttachType, tc::SchedClassifierLink};
use nix::libc::ESRCH;

use super::netlink::{
    link::Interface,
    tc::{self, Filter},
};

/// Our TC programs. Whole names: others may begin like these, and nobody needs to hold a program that `tc` loaded.
const PROGRAMS: [&str; 4] = ["intercept_out", "intercept_in", "intercept_outl3", "intercept_inl3"];
/// The first PID namespace (`PROC_PID_INIT_INO`): from any other, not every process can be seen.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Removes such filters from an interface, and says whether there were any: then the clsact qdisc was an interceptor's.
/// Runs in its namespace. Best effort: a filter that stays does no harm but costs time, and attaching goes on.
pub(super) fn remove(interface: &Interface) -> bool {
    let sides = [(TcAttachType::Ingress, false), (TcAttachType::Egress, true)];
    let found: Vec<_> = sides
        .into_iter()
        .flat_map(|(side, egress)| {
            let filters = tc::filters(interface.index, egress).unwrap_or_default();
            filters
                .into_iter()
                .filter(|filter| PROGRAMS.contains(&filter.name.as_str()))
                .map(move |filter| (side, filter))
        })
        .collect();
    if found.is_empty() {
        return false;
    }
    if !fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace == Path::new(FIRST_PID_NAMESPACE)) {
        tracing::warn!(
            interface = interface.name,
            filters = found.len(),
            "filters of an interceptor are there; whether it lives cannot be seen from this PID namespace, so they stay"
        );
        return false;
    }
    let held = match held_programs() {
        Ok(held) => held,
        Err(error) => {
            tracing::warn!(
                interface = interface.name,
                filters = found.len(),
                %error,
                "filters of an interceptor are there; whether it lives cannot be seen without CAP_SYS_PTRACE, so they \
                 stay"
            );
            return false;
        }
    };
    let mut any = false;
    for (side, filter) in found.into_iter().filter(|(_, filter)| !held.contains(&filter.program_id)) {
        let Filter { name, priority, handle, program_id } = filter;
        let removed = SchedClassifierLink::attached(&interface.name, side, priority, handle.into(), None)
            .map_err(anyhow::Error::new)
            .and_then(|link| {
                use aya::programs::links::Link as _;
                link.detach().map_err(anyhow::Error::new)
            });
        match removed {
            Ok(()) => {
                any = true;
                tracing::info!(interface = interface.name, program = name, program_id, "removed a dead filter");
            }
            Err(error) => {
                tracing::warn!(interface = interface.name, program = name, "cannot remove a dead filter: {error:#}");
            }
        }
    }
    any
}

/// Ids of the BPF programs that some process has open. An error if there is a process of which we cannot tell.
fn held_programs() -> io::Result<HashSet<u32>> {
    let mut held = HashSet::new();
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
