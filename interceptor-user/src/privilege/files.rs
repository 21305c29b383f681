use std::path::PathBuf;

use landlock::{
    ABI, Access as _, AccessFs, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, path_beneath_rules,
};

use super::Needs;
use crate::kernel::cgroup;

/// What every capture goes on reading: processes and counters, cgroups and types, namespaces by name, the time zone.
const SYSTEM: [&str; 5] = ["/proc", "/sys", "/run/netns", "/etc/localtime", "/usr/share/zoneinfo"];

/// What it takes to look up names (nsswitch.conf(5), resolver(5), and the libraries that the C library loads for it), and
/// the certificates that Linux distributions trust.
const OUTBOUND: [&str; 17] = [
    "/etc/nsswitch.conf",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/run/systemd/resolve",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
];

/// Reading what is needed, writing where sinks write, and nothing else: no execution. An error says why there is none.
pub(super) fn ruleset(needs: &Needs) -> Result<RulesetCreated, String> {
    if needs.processes {
        return Err("it would hide what other processes have open".to_owned());
    }
    let system = SYSTEM.into_iter().map(PathBuf::from);
    // Our own symbols, for the backtrace of a panic.
    let program = std::env::current_exe().ok();
    let readable = system.chain(needs.files.iter().cloned()).chain(cgroup::mount()).chain(program);
    let outbound = OUTBOUND.iter().filter(|_| needs.outbound).map(PathBuf::from);
    let readable = readable.chain(outbound);
    let written = AccessFs::from_all(ABI::V5) & !AccessFs::Execute;
    // Without the oldest access there is no Landlock here. Beyond it, what this kernel does not know is left out.
    let oldest = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(AccessFs::Execute);
    let ruleset = oldest.map_err(|_| "this kernel has it not, or not in force".to_owned())?;
    let made = || -> Result<RulesetCreated, RulesetError> {
        ruleset
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI::V5))?
            .create()?
            .add_rules(path_beneath_rules(readable, AccessFs::ReadFile | AccessFs::ReadDir))?
            .add_rules(path_beneath_rules(&needs.written, written))
    };
    made().map_err(|error| error.to_string())
}

/// Restricts this thread, and those that it starts.
pub(super) fn enter(ruleset: &RulesetCreated) -> Result<(), String> {
    let ruleset = ruleset.try_clone().map_err(|error| error.to_string())?;
    ruleset.restrict_self().map(drop).map_err(|error| error.to_string())
}
