//! Programs to interfaces and cgroups.

use std::{fmt, path::Path};

use anyhow::{Context as _, bail};
use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, LinkOrder, ProgramError, SchedClassifier,
        SockOps, TcAttachType, tc::TcAttachOptions,
    },
};
use nix::libc::EINVAL;

use super::{
    cgroup, clsact,
    netlink::{link, link::Interface},
    object::{explain_program, program},
};

/// Where a program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// By which hook.
    pub hook: Hook,
    /// Name of the interface, or path of the cgroup.
    pub place: String,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TC, by a TCX link (Linux 6.6 and later).
    Tcx,
    /// TC, by a filter under a clsact qdisc.
    Clsact,
    /// cgroup_skb.
    CgroupSkb,
    /// sock_ops.
    SockOps,
    /// cgroup connect4 and connect6.
    Connect,
}

impl Hook {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::CgroupSkb => "cgroup_skb",
            Self::SockOps => "sock_ops",
            Self::Connect => "connect",
        }
    }
}

impl fmt::Display for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.hook.name(), self.place)
    }
}

/// The interfaces to attach to: those named, or all that are up. Runs in their namespace.
pub(super) fn choose(names: &[String]) -> anyhow::Result<Vec<Interface>> {
    let all = link::interfaces().context("cannot list the network interfaces")?;
    if names.is_empty() {
        return Ok(all.into_iter().filter(|interface| interface.up).collect());
    }
    let mut chosen: Vec<Interface> = Vec::with_capacity(names.len());
    for name in names {
        let Some(interface) = all.iter().find(|interface| interface.name == *name) else {
            let existing: Vec<_> = all.iter().map(|interface| interface.name.as_str()).collect();
            bail!("no interface {name:?} here; there are: {}", existing.join(", "));
        };
        // Named twice is still captured once.
        if !chosen.contains(interface) {
            chosen.push(interface.clone());
        }
    }
    Ok(chosen)
}

/// Attaches the TC programs to one interface, by TCX where the kernel has it and `by_clsact` does not forbid it. Runs in
/// the interface's namespace.
///
/// Notes in `qdiscs` the interface to whose clsact qdisc it attached, if an interceptor added that.
pub(super) fn interface(
    ebpf: &mut Ebpf,
    interface: &Interface,
    by_clsact: bool,
    qdiscs: &mut Vec<i32>,
) -> anyhow::Result<Hook> {
    let (out, into) =
        if interface.ethernet { ("intercept_out", "intercept_in") } else { ("intercept_outl3", "intercept_inl3") };
    let hook = classifier(ebpf, out, interface, TcAttachType::Egress, by_clsact, qdiscs)?;
    // What goes over `lo` passes egress, then ingress: once is enough, and egress knows the sender's socket.
    if !interface.loopback {
        classifier(ebpf, into, interface, TcAttachType::Ingress, by_clsact, qdiscs)?;
    }
    Ok(hook)
}

fn classifier(
    ebpf: &mut Ebpf,
    name: &str,
    interface: &Interface,
    side: TcAttachType,
    by_clsact: bool,
    qdiscs: &mut Vec<i32>,
) -> anyhow::Result<Hook> {
    let program: &mut SchedClassifier = program(ebpf, name)?;
    match program.load() {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
        Err(error) => return Err(explain_program(name, &error)),
    }
    let refused =
        |error: ProgramError| anyhow::anyhow!("cannot attach to interface {}: {}", interface.name, root(&error));
    if !by_clsact {
        match program.attach_with_options(&interface.name, side, TcAttachOptions::TcxOrder(LinkOrder::first())) {
            Ok(_) => return Ok(Hook::Tcx),
            // What kernels before 6.6 say to a TCX link.
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(EINVAL) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let added = clsact::ensure_qdisc(interface);
    if added && !qdiscs.contains(&interface.index) {
        qdiscs.push(interface.index);
    }
    clsact::attach(program, interface, side, added).map_err(refused)?;
    Ok(Hook::Clsact)
}

/// Attaches the cgroup_skb programs to a cgroup.
pub(super) fn cgroup_skb(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let directory = cgroup::open(path)?;
    let sides = [("intercept_cgout", CgroupSkbAttachType::Egress), ("intercept_cgin", CgroupSkbAttachType::Ingress)];
    for (name, side) in sides {
        let program: &mut CgroupSkb = program(ebpf, name)?;
        match program.load() {
            Ok(()) | Err(ProgramError::AlreadyLoaded) => {}
            Err(error) => return Err(explain_program(name, &error)),
        }
        program
            .attach(&directory, side, CgroupAttachMode::Single)
            .map_err(|error| anyhow::anyhow!("cannot attach to cgroup {}: {}", path.display(), root(&error)))?;
    }
    Ok(())
}

/// Attaches sock_ops to a cgroup: opened and closed connections.
pub(super) fn sock_ops(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let directory = cgroup::open(path)?;
    let name = "intercept_sock";
    let program: &mut SockOps = program(ebpf, name)?;
    program.load().map_err(|error| explain_program(name, &error))?;
    program
        .attach(&directory, CgroupAttachMode::Single)
        .map_err(|error| anyhow::anyhow!("cannot attach sock_ops to cgroup {}: {}", path.display(), root(&error)))?;
    Ok(())
}

/// Attaches the connect programs to a cgroup: which process opens a connection.
pub(super) fn connect(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let directory = cgroup::open(path)?;
    for name in ["intercept_conn4", "intercept_conn6"] {
        let program: &mut CgroupSockAddr = program(ebpf, name)?;
        program.load().map_err(|error| explain_program(name, &error))?;
        program
            .attach(&directory, CgroupAttachMode::Single)
            .map_err(|error| anyhow::anyhow!("cannot attach {name} to cgroup {}: {}", path.display(), root(&error)))?;
    }
    Ok(())
}

/// The last cause, which is the one that says something.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
