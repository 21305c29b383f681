//! What this machine has of what we need, for the doctor. Found out by trying, where trying is harmless.

use std::fs;

use aya::{Ebpf, programs::ProgramError};
use caps::{
    CapSet,
    Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN},
};
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use super::{
    attach::{ASSIGNERS, CLASSIFIERS},
    cgroup,
    features::{self, Feature, Features, Support},
    object,
    options::CaptureOptions,
    refusal::Refusal,
    steer::STEERING,
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
    /// The verifier's log, many lines, of a program that was refused; else empty.
    pub log: String,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Good, found: found.into(), consequence: "", fix: "", log: String::new() }
    }

    fn limited(name: &'static str, found: impl Into<String>, consequence: &'static str, fix: &'static str) -> Self {
        Self { status: Status::Limited, consequence, fix, ..Self::good(name, found) }
    }

    fn missing(name: &'static str, found: impl Into<String>, consequence: &'static str, fix: &'static str) -> Self {
        Self { status: Status::Missing, consequence, fix, ..Self::good(name, found) }
    }
}

/// Looks at everything. Loads the programs for a moment; attaches nothing.
pub fn probe() -> Vec<Check> {
    let features = Features::get();
    let made = Check::good("kernel object", format!("made by {}", object::TOOLS));
    let mut checks =
        vec![made, kernel(features), capabilities(), type_information(), lockdown(features), jit(), memory_limit()];
    checks.extend(cgroups());
    checks.extend(programs());
    checks.extend([hook(features, Feature::Tcx), hook(features, Feature::Clsact)]);
    checks
}

fn kernel(features: &Features) -> Check {
    const NAME: &str = "kernel";
    if features.support(Feature::RingBuffer) == Support::Missing {
        let found = format!("{}, without BPF ring buffers", features::release());
        return Check::missing(NAME, found, Feature::RingBuffer.consequence(), "use Linux 5.10 or later");
    }
    Check::good(NAME, features::release())
}

/// A way to attach of which one is enough.
fn hook(features: &Features, feature: Feature) -> Check {
    let name = if feature == Feature::Tcx { "TCX" } else { "clsact" };
    let fix = if feature == Feature::Tcx {
        "nothing to do; Linux 6.6 or later has it"
    } else {
        "modprobe sch_ingress, or a kernel with CONFIG_NET_SCH_INGRESS; not needed where TCX is"
    };
    match features.support(feature) {
        Support::Here => Check::good(name, "is known"),
        Support::Missing => Check::limited(name, "not here", feature.consequence(), fix),
        Support::Unknown => {
            Check::limited(name, "could not be tried", feature.consequence(), "see the check of capabilities")
        }
    }
}

fn capabilities() -> Check {
    const NAME: &str = "capabilities";
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    let has = |capability| effective.contains(&capability);
    // CAP_SYS_ADMIN stands in for the two that were split off it in Linux 5.8.
    let names =
        [(CAP_BPF, "BPF"), (CAP_NET_ADMIN, "NET_ADMIN"), (CAP_PERFMON, "PERFMON"), (CAP_SYS_ADMIN, "SYS_ADMIN")];
    let held: Vec<_> = names.iter().filter(|(capability, _)| has(*capability)).map(|(_, name)| *name).collect();
    let found = if held.is_empty() { "none of those needed".to_owned() } else { held.join(", ") };
    if !has(CAP_NET_ADMIN) || !(has(CAP_SYS_ADMIN) || has(CAP_BPF) && has(CAP_PERFMON)) {
        let fix = "run as root (sudo), or: setcap cap_bpf,cap_net_admin,cap_perfmon+ep on the binary";
        Check::missing(NAME, found, "programs can be neither loaded nor attached", fix)
    } else if has(CAP_SYS_ADMIN) {
        Check::good(NAME, found)
    } else {
        Check::limited(NAME, found, "other network namespaces cannot be entered", "add CAP_SYS_ADMIN if you need them")
    }
}

fn type_information() -> Check {
    const NAME: &str = "BTF";
    if Layout::get().tells_namespaces() {
        Check::good(NAME, "/sys/kernel/btf/vmlinux")
    } else {
        let found = "no /sys/kernel/btf/vmlinux, or not readable, or without what we look for";
        Check::limited(NAME, found, Feature::Btf.consequence(), "use a kernel with CONFIG_DEBUG_INFO_BTF")
    }
}

fn lockdown(features: &Features) -> Check {
    const NAME: &str = "lockdown";
    let modes = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let mode = modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("none", |(mode, _)| mode);
    // Not by its name alone: what counts is what it forbids, and the file may be out of reach in a container.
    if features.support(Feature::ReadKernel) == Support::Missing {
        let found = format!("{mode}: programs may not read kernel memory");
        let fix = "boot with lockdown=integrity, or without";
        return Check::limited(NAME, found, Feature::ReadKernel.consequence(), fix);
    }
    Check::good(NAME, mode)
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
    // As a capture does it, where it may.
    object::raise_memory_limit();
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap_or_default();
    let text = |limit| if limit == RLIM_INFINITY { "unlimited".to_owned() } else { format!("{} KiB", limit / 1024) };
    let found = format!("{} (hard: {})", text(soft), text(hard));
    if hard != RLIM_INFINITY && hard < 64 << 20 && features::maps_are_locked_memory() {
        let fix = "ulimit -l unlimited (as root), or LimitMEMLOCK=infinity in the unit";
        return Check::limited(NAME, found, "maps count against it on this kernel: rings may have to be smaller", fix);
    }
    Check::good(NAME, found)
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
    let mut ebpf = match object::load(&small, Layout::get(), Zones::default()) {
        Ok(ebpf) => ebpf,
        Err(error) => {
            let found = format!("{error:#}");
            return vec![Check::missing(MAPS, found, "nothing can be captured", "see the other checks")];
        }
    };
    let mut checks = vec![Check::good(MAPS, "ring buffer, hashes, tries, socket storage")];
    checks.push(program(&mut ebpf, "TC", &CLASSIFIERS));
    checks.push(program(&mut ebpf, "cgroup_skb", &["intercept_cgout", "intercept_cgin"]));
    checks.push(program(&mut ebpf, "sock_ops", &["intercept_sock"]));
    checks.push(program(&mut ebpf, "connect", &["intercept_conn4", "intercept_conn6"]));
    let steering: Vec<&str> = STEERING.iter().map(|(name, _)| *name).chain(ASSIGNERS).collect();
    checks.push(program(&mut ebpf, "steering", &steering));
    checks
}

fn program(ebpf: &mut Ebpf, name: &'static str, programs: &[&str]) -> Check {
    let consequence = match name {
        "TC" => "interfaces cannot be captured",
        "cgroup_skb" => Feature::CgroupSkb.consequence(),
        "sock_ops" => Feature::SockOps.consequence(),
        "steering" => "connections cannot be sent through an inline path",
        _ => Feature::Connect.consequence(),
    };
    for program in programs {
        let loaded = ebpf.program_mut(program).map_or(Err(ProgramError::UnexpectedProgramType), object::load_program);
        if let Err(error) = loaded {
            let error = object::explain_program(program, &error);
            let fix = "use Linux 5.10 or later, with the capabilities above";
            let make = if name == "TC" { Check::missing } else { Check::limited };
            let log = Refusal::behind(&error).map_or_else(String::new, |refusal| refusal.log().to_owned());
            return Check { log, ..make(name, format!("{error:#}"), consequence, fix) };
        }
    }
    Check::good(name, "programs load")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_good_says_what_to_do() {
        let checks = probe();
        assert!(checks.len() >= 8, "{checks:?}");
        for check in checks.iter().filter(|check| check.status != Status::Good) {
            assert!(!check.consequence.is_empty() && !check.fix.is_empty() && !check.found.is_empty(), "{check:?}");
        }
    }
}
