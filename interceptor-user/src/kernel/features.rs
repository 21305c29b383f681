//! What this machine has of what we need. Found out by trying, where trying is harmless.

use std::{fmt, fs};

use aya::{
    Ebpf,
    programs::{Program, ProgramError, TcAttachType, tc::TcAttachOptions},
};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{
    btf::Btf,
    cgroup, object,
    options::CaptureOptions,
    zone::{Layout, Zones},
};

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be.
    Good,
    /// Something works less well, or not at all, but capturing does.
    Limited,
    /// Capturing does not work.
    Missing,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "good",
            Self::Limited => "limited",
            Self::Missing => "missing",
        })
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What we found.
    pub found: String,
    /// What it means if it is not good; empty if it is.
    pub consequence: &'static str,
    /// What to do; empty if there is nothing to do.
    pub fix: &'static str,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Good, found: found.into(), consequence: "", fix: "" }
    }

    fn limited(name: &'static str, found: impl Into<String>, consequence: &'static str, fix: &'static str) -> Self {
        Self { name, status: Status::Limited, found: found.into(), consequence, fix }
    }

    fn missing(name: &'static str, found: impl Into<String>, consequence: &'static str, fix: &'static str) -> Self {
        Self { name, status: Status::Missing, found: found.into(), consequence, fix }
    }
}

/// Looks at everything. Loads the programs for a moment, and attaches one to `lo`.
pub fn probe() -> Vec<Check> {
    let made = Check::good("kernel object", format!("made by {}", object::TOOLS));
    let mut checks =
        vec![made, kernel_version(), capabilities(), type_information(), lockdown(), jit(), memory_limit()];
    checks.extend(cgroups());
    checks.extend(programs());
    checks
}

fn kernel_version() -> Check {
    const NAME: &str = "kernel";
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_else(|_| "unknown".to_owned());
    match version(&release) {
        Some(version) if version >= (5, 10) => Check::good(NAME, release),
        Some(version) if version >= (5, 8) => {
            Check::limited(NAME, release, "it may work, but nobody tests it", "use Linux 5.10 or later")
        }
        _ => Check::missing(NAME, release, "no BPF ring buffer: nothing can be captured", "use Linux 5.10 or later"),
    }
}

/// Major and minor of `6.1.0-18-amd64`.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn capabilities() -> Check {
    const NAME: &str = "capabilities";
    /// What we need: `CAP_SYS_ADMIN` stands in for the two that were split off it in Linux 5.8.
    const NET_ADMIN: u32 = 12;
    const SYS_ADMIN: u32 = 21;
    const PERFMON: u32 = 38;
    const BPF: u32 = 39;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = effective(&status).unwrap_or(0);
    let has = |bit: u32| mask >> bit & 1 == 1;
    let names = [(BPF, "BPF"), (NET_ADMIN, "NET_ADMIN"), (PERFMON, "PERFMON"), (SYS_ADMIN, "SYS_ADMIN")];
    let held: Vec<_> = names.iter().filter(|(bit, _)| has(*bit)).map(|(_, name)| *name).collect();
    let found = if held.is_empty() { "none of those needed".to_owned() } else { held.join(", ") };
    if !has(NET_ADMIN) || !(has(SYS_ADMIN) || has(BPF) && has(PERFMON)) {
        let fix = "run as root (sudo), or: setcap cap_bpf,cap_net_admin,cap_perfmon+ep on the binary";
        Check::missing(NAME, found, "programs can be neither loaded nor attached", fix)
    } else if has(SYS_ADMIN) {
        Check::good(NAME, found)
    } else {
        Check::limited(NAME, found, "other network namespaces cannot be entered", "add CAP_SYS_ADMIN if you need them")
    }
}

fn effective(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn type_information() -> Check {
    const NAME: &str = "BTF";
    match Btf::read().and_then(|btf| btf.offset_of("sock_common", "skc_flags")) {
        Some(_) => Check::good(NAME, "/sys/kernel/btf/vmlinux"),
        None => Check::limited(
            NAME,
            "no /sys/kernel/btf/vmlinux, or not readable",
            "received bytes of connections that were half-closed first may be counted one too low",
            "use a kernel with CONFIG_DEBUG_INFO_BTF",
        ),
    }
}

fn lockdown() -> Check {
    const NAME: &str = "lockdown";
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    match modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')) {
        Some(("confidentiality", _)) => Check::limited(
            NAME,
            "confidentiality",
            "programs that read kernel memory (sock_ops) are refused: no kernel counters in the ledger",
            "boot with lockdown=integrity, or without",
        ),
        Some((mode, _)) => Check::good(NAME, mode),
        None => Check::good(NAME, "none"),
    }
}

fn jit() -> Check {
    const NAME: &str = "BPF JIT";
    match fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").as_deref().map(str::trim) {
        Ok("0") => {
            let fix = "sysctl -w net.core.bpf_jit_enable=1";
            Check::limited(NAME, "off", "programs are interpreted, which takes several times as long", fix)
        }
        // Where it cannot be read it is usually compiled in for good.
        Ok(_) => Check::good(NAME, "on"),
        Err(_) => Check::good(NAME, "always on, or not readable"),
    }
}

fn memory_limit() -> Check {
    const NAME: &str = "RLIMIT_MEMLOCK";
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap_or_default();
    let text = |limit| if limit == RLIM_INFINITY { "unlimited".to_owned() } else { format!("{} KiB", limit / 1024) };
    let found = format!("{} (hard: {})", text(soft), text(hard));
    let release = nix::sys::utsname::uname().map(|name| name.release().to_string_lossy().into_owned());
    // Since 5.11 maps count as memory of their cgroup instead.
    let counts = release.ok().and_then(|release| version(&release)).is_some_and(|version| version < (5, 11));
    if counts && hard != RLIM_INFINITY && hard < 64 << 20 {
        let fix = "ulimit -l unlimited (as root), or LimitMEMLOCK=infinity in the unit";
        Check::limited(NAME, found, "before Linux 5.11 it may be too little for the ring", fix)
    } else {
        Check::good(NAME, found)
    }
}

fn cgroups() -> Vec<Check> {
    const NAME: &str = "cgroup v2";
    let Some(mount) = cgroup::mount() else {
        return vec![Check::limited(
            NAME,
            "not mounted",
            "no capture by cgroup, no processes of clients, no kernel counters in the ledger",
            "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1",
        )];
    };
    // Beside version 1 it is mounted one level down, and processes may be sorted in version 1 only.
    let hybrid =
        fs::read_to_string("/proc/self/cgroup").is_ok_and(|list| list.lines().any(|line| !line.starts_with("0::")));
    let found = format!("{}{}", mount.display(), if hybrid { " (beside version 1)" } else { "" });
    vec![if hybrid {
        let consequence = "if the container runtime uses version 1, pods share one version 2 cgroup";
        Check::limited(NAME, found, consequence, "boot with systemd.unified_cgroup_hierarchy=1")
    } else {
        Check::good(NAME, found)
    }]
}

/// Loads the object and each of its programs.
fn programs() -> Vec<Check> {
    const MAPS: &str = "BPF maps";
    let small = CaptureOptions { ring_bytes: 64 << 10, ..CaptureOptions::default() };
    let mut ebpf = match object::load(&small, Layout::read(), Zones::default()) {
        Ok(ebpf) => ebpf,
        Err(error) => {
            let found = format!("{error:#}");
            return vec![Check::missing(MAPS, found, "nothing can be captured", "see the other checks")];
        }
    };
    let mut checks = vec![Check::good(MAPS, "ring buffer, hashes, tries, socket storage")];
    checks.push(program(&mut ebpf, "TC", &["intercept_out", "intercept_in", "intercept_outl3", "intercept_inl3"]));
    checks.push(program(&mut ebpf, "cgroup_skb", &["intercept_cgout", "intercept_cgin"]));
    checks.push(program(&mut ebpf, "sock_ops", &["intercept_sock"]));
    checks.push(program(&mut ebpf, "connect", &["intercept_conn4", "intercept_conn6"]));
    checks.push(tcx(&mut ebpf));
    checks
}

fn program(ebpf: &mut Ebpf, name: &'static str, programs: &[&str]) -> Check {
    let consequence = match name {
        "TC" => "interfaces cannot be captured",
        "cgroup_skb" => "pods cannot be captured by their cgroup",
        "sock_ops" => "no kernel counters in the ledger, no connection reports",
        _ => "the processes that open connections are not known",
    };
    for program in programs {
        let loaded = match ebpf.program_mut(program) {
            Some(Program::SchedClassifier(program)) => program.load(),
            Some(Program::CgroupSkb(program)) => program.load(),
            Some(Program::SockOps(program)) => program.load(),
            Some(Program::CgroupSockAddr(program)) => program.load(),
            _ => Err(ProgramError::UnexpectedProgramType),
        };
        if let Err(error) = loaded {
            let found = format!("{:#}", object::explain_program(program, &error));
            let fix = "use Linux 5.10 or later, with the capabilities above";
            let make = if name == "TC" { Check::missing } else { Check::limited };
            return make(name, found, consequence, fix);
        }
    }
    Check::good(name, "programs load")
}

/// Attaches to `lo` and detaches at once.
fn tcx(ebpf: &mut Ebpf) -> Check {
    const NAME: &str = "TCX";
    let attached = match ebpf.program_mut("intercept_out") {
        Some(Program::SchedClassifier(program)) => program
            .attach_with_options(
                "lo",
                TcAttachType::Egress,
                TcAttachOptions::TcxOrder(aya::programs::LinkOrder::default()),
            )
            .and_then(|link| program.detach(link)),
        _ => Err(ProgramError::UnexpectedProgramType),
    };
    match attached {
        Ok(()) => Check::good(NAME, "attaches to lo"),
        Err(_) => Check::limited(
            NAME,
            "not here (Linux 6.6 and later)",
            "clsact filters are used, which stay after SIGKILL until the next start",
            "nothing to do; Linux 6.6 or later has it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        assert_eq!(version("6.1.0-18-amd64"), Some((6, 1)));
        assert_eq!(version("5.10.0"), Some((5, 10)));
        assert_eq!(version("6.18-rc1"), Some((6, 18)));
        assert_eq!(version("unknown"), None);
    }

    #[test]
    fn capabilities_are_read() {
        assert_eq!(effective("Name:\tx\nCapEff:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(effective("Name:\tx\n"), None);
    }

    #[test]
    fn what_is_not_good_says_what_to_do() {
        let checks = probe();
        assert!(checks.len() >= 8, "{checks:?}");
        for check in checks.iter().filter(|check| check.status != Status::Good) {
            assert!(!check.consequence.is_empty() && !check.fix.is_empty() && !check.found.is_empty(), "{check:?}");
        }
    }
}
