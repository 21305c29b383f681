//! What this kernel has of what programs and hooks need. Found out by trying, never by its version: distributions
//! carry things back, and leave things out.

use std::{fs, io, sync::OnceLock};

use aya::{
    maps::MapType,
    programs::{ProgramError, ProgramType, SchedClassifier, TcAttachType},
    sys::{BpfHelper, SyscallError, is_helper_supported, is_map_supported, is_program_supported},
};
use nix::libc::{EINVAL, EPERM};

use super::netlink::tc;

/// Something that a kernel may lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Rings from kernel to userspace.
    RingBuffer,
    /// TC programs by links that end with their process.
    Tcx,
    /// TC programs by filters.
    Clsact,
    /// Packets of a cgroup.
    CgroupSkb,
    /// Connections of a cgroup.
    SockOps,
    /// Calls of connect in a cgroup.
    Connect,
    /// Calls of getsockopt in a cgroup.
    Getsockopt,
    /// Which socket gets a connection.
    SkLookup,
    /// Reading kernel memory in programs; a kernel that is locked down for confidentiality forbids it.
    ReadKernel,
    /// The kernel's description of its own types.
    Btf,
}

/// Whether it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It is.
    Here,
    /// It is not.
    Missing,
    /// We were not allowed to try.
    Unknown,
}

impl Feature {
    const ALL: [Self; 10] = [
        Self::RingBuffer,
        Self::Tcx,
        Self::Clsact,
        Self::CgroupSkb,
        Self::SockOps,
        Self::Connect,
        Self::Getsockopt,
        Self::SkLookup,
        Self::ReadKernel,
        Self::Btf,
    ];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RingBuffer => "ring buffer",
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
            Self::CgroupSkb => "cgroup_skb",
            Self::SockOps => "sock_ops",
            Self::Connect => "connect",
            Self::Getsockopt => "getsockopt",
            Self::SkLookup => "sk_lookup",
            Self::ReadKernel => "kernel reads",
            Self::Btf => "BTF",
        }
    }

    /// What it means where it is missing.
    pub const fn consequence(self) -> &'static str {
        match self {
            Self::RingBuffer => "nothing can be captured",
            Self::Tcx => "clsact filters are used, which stay after SIGKILL until the next start",
            Self::Clsact => "without tcx either, interfaces cannot be captured",
            Self::CgroupSkb => "pods cannot be captured by their cgroup",
            Self::SockOps => "no kernel counters in the ledger, no connection reports",
            Self::Connect => "the processes that open connections are not known",
            Self::Getsockopt | Self::SkLookup => "nothing here needs it",
            Self::ReadKernel | Self::Btf => {
                "namespaces cannot be told apart, so that only one is captured; received bytes of connections that were \
                 half-closed first may be counted one too low"
            }
        }
    }

    fn try_out(self) -> Support {
        match self {
            Self::RingBuffer => map(MapType::RingBuf),
            // Asks which programs are there, with the attach type that kernels without TCX do not know.
            Self::Tcx => match SchedClassifier::query_tcx("lo", TcAttachType::Egress) {
                Ok(_) => Support::Here,
                Err(ProgramError::SyscallError(error)) => missing_if(&error.io_error, EINVAL),
                Err(_) => Support::Unknown,
            },
            Self::Clsact => support(tc::knows_clsact().ok()),
            Self::CgroupSkb => program(ProgramType::CgroupSkb),
            Self::SockOps => program(ProgramType::SockOps),
            Self::Connect => program(ProgramType::CgroupSockAddr),
            Self::Getsockopt => program(ProgramType::CgroupSockopt),
            Self::SkLookup => program(ProgramType::SkLookup),
            Self::ReadKernel => helper(BpfHelper::BPF_FUNC_probe_read_kernel),
            Self::Btf if fs::File::open("/sys/kernel/btf/vmlinux").is_ok() => Support::Here,
            Self::Btf => Support::Missing,
        }
    }
}

fn map(kind: MapType) -> Support {
    support(is_map_supported(kind).ok())
}

fn program(kind: ProgramType) -> Support {
    support(is_program_supported(kind).ok())
}

fn helper(helper: BpfHelper) -> Support {
    support(is_helper_supported(ProgramType::SockOps, helper).ok())
}

const fn support(tried: Option<bool>) -> Support {
    match tried {
        Some(true) => Support::Here,
        Some(false) => Support::Missing,
        None => Support::Unknown,
    }
}

fn missing_if(error: &io::Error, errno: i32) -> Support {
    if error.raw_os_error() == Some(errno) { Support::Missing } else { Support::Unknown }
}

/// What this kernel has.
#[derive(Clone, Debug)]
pub struct Features(Vec<(Feature, Support)>);

impl Features {
    /// Tried once, at the first call: some milliseconds, and nothing is attached or left.
    pub fn get() -> &'static Self {
        static FEATURES: OnceLock<Features> = OnceLock::new();
        FEATURES.get_or_init(|| Self(Feature::ALL.into_iter().map(|feature| (feature, feature.try_out())).collect()))
    }

    /// Whether it has this.
    pub fn support(&self, feature: Feature) -> Support {
        self.0.iter().find(|(known, _)| *known == feature).map_or(Support::Unknown, |(_, support)| *support)
    }

    /// In one line: what is here, and what is not with what that means.
    pub fn line(&self) -> String {
        let of = |wanted| self.0.iter().filter(move |(_, support)| *support == wanted).map(|(feature, _)| *feature);
        let names = |wanted| of(wanted).map(Feature::name).collect::<Vec<_>>().join(", ");
        let missing: Vec<_> =
            of(Support::Missing).map(|feature| format!("{} ({})", feature.name(), feature.consequence())).collect();
        let parts = [
            (format!("kernel {}: ", release()), names(Support::Here)),
            ("; not here: ".to_owned(), missing.join(", ")),
            ("; could not be tried: ".to_owned(), names(Support::Unknown)),
        ];
        parts.into_iter().filter(|(_, names)| !names.is_empty()).map(|(label, names)| label + &names).collect()
    }
}

/// The running kernel, as `uname -r` names it.
pub fn release() -> String {
    let name = nix::sys::utsname::uname();
    name.map_or_else(|_| "unknown".to_owned(), |name| name.release().to_string_lossy().into_owned())
}

/// Do maps count against `RLIMIT_MEMLOCK` (before Linux 5.11; later they count as memory of their cgroup)? Tried by a
/// small map under a limit of nothing, which takes no privilege but is the whole process's for that moment.
pub fn maps_are_locked_memory() -> bool {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_MEMLOCK) else { return false };
    if setrlimit(Resource::RLIMIT_MEMLOCK, 0, hard).is_err() {
        return false;
    }
    let denied = || {
        let tried: Result<bool, SyscallError> = is_map_supported(MapType::Array);
        tried.is_err_and(|error| error.io_error.raw_os_error() == Some(EPERM))
    };
    // aya raises the limit itself when it is refused, where it may.
    let refused = denied() || getrlimit(Resource::RLIMIT_MEMLOCK).is_ok_and(|(soft, _)| soft != 0);
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    // Without privileges it is refused whatever the limit, and then the limit is not what is missing.
    refused && !denied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_tells_what_is_here_and_what_the_rest_means() {
        let features = Features(vec![
            (Feature::Clsact, Support::Here),
            (Feature::SockOps, Support::Here),
            (Feature::Tcx, Support::Missing),
            (Feature::Connect, Support::Unknown),
        ]);
        let expected = format!(
            "kernel {}: clsact, sock_ops; not here: tcx (clsact filters are used, which stay after SIGKILL until the \
             next start); could not be tried: connect",
            release()
        );
        assert_eq!(features.line(), expected);
        assert_eq!(features.support(Feature::Btf), Support::Unknown);
    }
}
