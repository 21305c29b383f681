//! Programs to interfaces and cgroups.

use std::{fmt, fs::File, path::Path};

use aya::{
    Ebpf,
    programs::{
        CgroupAttachMode, CgroupSkb, CgroupSkbAttachType, CgroupSockAddr, LinkOrder, ProgramError, SchedClassifier,
        SockOps, TcAttachType,
        cgroup_skb::CgroupSkbLink,
        cgroup_sock_addr::CgroupSockAddrLinkId,
        tc::{SchedClassifierLink, TcAttachOptions},
    },
};
use nix::libc::EINVAL;

use super::{
    cgroup, clsact,
    netlink::link::Interface,
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

/// The programs on one interface. Dropping it detaches: in the interface's namespace, if that was by clsact.
pub(super) struct Attached {
    pub(super) hook: Hook,
    pub(super) links: Vec<SchedClassifierLink>,
    /// An interceptor added the clsact qdisc that they are under.
    pub(super) qdisc_added: bool,
}

impl Attached {
    /// The interface is gone, and what was attached to it.
    pub(super) fn forget(self) {
        match self.hook {
            // Their removal would be asked of whatever interface has the number now.
            Hook::Clsact => self.links.into_iter().for_each(std::mem::forget),
            _ => drop(self.links),
        }
    }
}

/// The TC programs: for links with an Ethernet header out and in, and for those without.
pub(super) const CLASSIFIERS: [&str; 4] = ["intercept_out", "intercept_in", "intercept_outl3", "intercept_inl3"];

/// Those that give what comes in to the inline path: for links with an Ethernet header, and for those without.
pub(super) const ASSIGNERS: [&str; 2] = ["steer_assign", "steer_assignl3"];

/// What is to be done with packets of interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Capture,
    /// What comes in is steered.
    Assign,
}

impl Task {
    /// The programs for an interface.
    fn programs(self, interface: &Interface) -> Vec<(&'static str, TcAttachType)> {
        if self == Self::Assign {
            let [ethernet, raw] = ASSIGNERS;
            return vec![(if interface.ethernet { ethernet } else { raw }, TcAttachType::Ingress)];
        }
        let [out, into, raw_out, raw_into] = CLASSIFIERS;
        let (out, into) = if interface.ethernet { (out, into) } else { (raw_out, raw_into) };
        let mut programs = vec![(out, TcAttachType::Egress)];
        // What goes over `lo` passes egress, then ingress: once is enough, and egress knows the sender's socket.
        if !interface.loopback {
            programs.push((into, TcAttachType::Ingress));
        }
        programs
    }
}

/// Attaches the TC programs for a task to one interface, before others, by TCX where the kernel has it and `by_clsact` does not forbid
/// it. Runs in the interface's namespace.
pub(super) fn interface(
    ebpf: &mut Ebpf,
    interface: &Interface,
    task: Task,
    by_clsact: bool,
) -> anyhow::Result<Attached> {
    let mut attached = Attached { hook: Hook::Tcx, links: Vec::new(), qdisc_added: false };
    for (name, side) in task.programs(interface) {
        if let Err(error) = classifier(ebpf, name, interface, side, by_clsact, &mut attached) {
            let added = attached.qdisc_added;
            drop(attached);
            if added {
                clsact::remove_unused(interface.index);
            }
            return Err(error);
        }
    }
    Ok(attached)
}

fn classifier(
    ebpf: &mut Ebpf,
    name: &str,
    interface: &Interface,
    side: TcAttachType,
    by_clsact: bool,
    attached: &mut Attached,
) -> anyhow::Result<()> {
    let program = load_classifier(ebpf, name)?;
    let refused =
        |error: ProgramError| anyhow::anyhow!("cannot attach to interface {}: {}", interface.name, root(&error));
    if !by_clsact {
        match program.attach_with_options(&interface.name, side, TcAttachOptions::TcxOrder(LinkOrder::first())) {
            Ok(link) => {
                attached.links.push(program.take_link(link).map_err(refused)?);
                return Ok(());
            }
            // What kernels before 6.6 say to a TCX link.
            Err(ProgramError::SyscallError(error)) if error.io_error.raw_os_error() == Some(EINVAL) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    let _lock = clsact::Lock::wait();
    let added = clsact::ensure_qdisc(interface);
    attached.hook = Hook::Clsact;
    attached.qdisc_added |= added;
    let link = clsact::attach(program, interface, side, added).map_err(refused)?;
    attached.links.push(program.take_link(link).map_err(refused)?);
    Ok(())
}

/// Loads the TC programs for links with an Ethernet header.
pub(super) fn load_classifiers(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    CLASSIFIERS[..2].iter().try_for_each(|name| load_classifier(ebpf, name).map(drop))
}

/// Loads the TC programs for those without.
pub(super) fn load_raw_classifiers(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    CLASSIFIERS[2..].iter().try_for_each(|name| load_classifier(ebpf, name).map(drop))
}

fn load_classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut SchedClassifier> {
    let program: &mut SchedClassifier = program(ebpf, name)?;
    loaded(name, program.load())?;
    Ok(program)
}

/// One that is loaded already is loaded.
pub(super) fn loaded(name: &str, result: Result<(), ProgramError>) -> anyhow::Result<()> {
    match result {
        Ok(()) | Err(ProgramError::AlreadyLoaded) => Ok(()),
        Err(error) => Err(explain_program(name, &error)),
    }
}

/// The cgroup_skb programs, and which way each looks.
const CGROUP_SKB: [(&str, CgroupSkbAttachType); 2] =
    [("intercept_cgout", CgroupSkbAttachType::Egress), ("intercept_cgin", CgroupSkbAttachType::Ingress)];

/// Loads the cgroup_skb programs.
pub(super) fn load_cgroup_skb(ebpf: &mut Ebpf) -> anyhow::Result<()> {
    CGROUP_SKB.iter().try_for_each(|(name, _)| load_one_cgroup_skb(ebpf, name).map(drop))
}

fn load_one_cgroup_skb<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut CgroupSkb> {
    let program: &mut CgroupSkb = program(ebpf, name)?;
    loaded(name, program.load())?;
    Ok(program)
}

/// Attaches the cgroup_skb programs to a cgroup. Dropping the links detaches.
pub(super) fn cgroup_skb(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<Vec<CgroupSkbLink>> {
    let directory = cgroup::open(path)?;
    let mut links = Vec::with_capacity(CGROUP_SKB.len());
    for (name, side) in CGROUP_SKB {
        let program = load_one_cgroup_skb(ebpf, name)?;
        let link = program
            .attach(&directory, side, CgroupAttachMode::Single)
            .and_then(|link| program.take_link(link))
            .map_err(|error| anyhow::anyhow!("cannot attach to cgroup {}: {}", path.display(), root(&error)))?;
        links.push(link);
    }
    Ok(links)
}

/// Attaches sock_ops to a cgroup: opened and closed connections.
pub(super) fn sock_ops(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let directory = cgroup::open(path)?;
    let name = "intercept_sock";
    let program: &mut SockOps = program(ebpf, name)?;
    program.load().map_err(|error| explain_program(name, &error))?;
    program.attach(&directory, CgroupAttachMode::Single).map_err(|error| refused("sock_ops", path, &error))?;
    Ok(())
}

/// Attaches the connect programs to a cgroup: which process opens a connection.
pub(super) fn connect(ebpf: &mut Ebpf, path: &Path) -> anyhow::Result<()> {
    let directory = cgroup::open(path)?;
    ["intercept_conn4", "intercept_conn6"]
        .into_iter()
        .try_for_each(|name| sock_addr(ebpf, name, &directory, path).map(drop))
}

/// Attaches a program that is asked about addresses of sockets to a cgroup: its directory, which has this path.
pub(super) fn sock_addr(
    ebpf: &mut Ebpf,
    name: &str,
    directory: &File,
    path: &Path,
) -> anyhow::Result<CgroupSockAddrLinkId> {
    let program: &mut CgroupSockAddr = program(ebpf, name)?;
    program.load().map_err(|error| explain_program(name, &error))?;
    program.attach(directory, CgroupAttachMode::Single).map_err(|error| refused(name, path, &error))
}

/// Why a cgroup does not take a program.
pub(super) fn refused(name: &str, path: &Path, error: &ProgramError) -> anyhow::Error {
    anyhow::anyhow!("cannot attach {name} to cgroup {}: {}", path.display(), root(error))
}

/// The last cause, which is the one that says something.
pub(super) fn root(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
