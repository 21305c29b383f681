//! Giving up what is not needed: capabilities, system calls, files.
//!
//! Capabilities and Landlock domains belong to threads, and what is attached at the start takes more than what goes on.
//! So there are two steps. [`begin`], before there is a second thread, gives up what not even the start takes, and puts
//! the seccomp filter in force; all later threads inherit that. [`settle`] gives up the rest: each thread calls it as
//! it begins, and the one that attaches when it is done.
//!
//! | kept | for |
//! |---|---|
//! | `CAP_BPF`, `CAP_NET_ADMIN`, `CAP_PERFMON` | reading counters and maps (kernels before 6.0 ask for `CAP_BPF` each time), removing filters, interfaces that come later |
//! | `CAP_SYS_ADMIN` | `setns`, if other network namespaces are captured |
//! | `CAP_SYS_PTRACE`, `CAP_DAC_READ_SEARCH` | `/proc/PID/fd` and `/proc/PID/ns`, if processes are looked at |
//!
//! What is not held is not asked for, and what the kernel lacks is done without; [`report`] says what came of it.

mod capabilities;
mod files;
mod syscalls;

use std::{path::PathBuf, sync::OnceLock};

use caps::CapsHashSet;
use landlock::RulesetCreated;
use nix::sys::prctl;

/// What is to be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Give {
    /// Capabilities.
    pub capabilities: bool,
    /// System calls and files that an observer never needs.
    pub sandbox: bool,
}

/// What goes on being needed after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Entering other network namespaces.
    pub namespaces: bool,
    /// Looking at what other processes have open. A Landlock domain would forbid that, whatever the capabilities.
    pub processes: bool,
    /// Files and directories to read, besides those of the system.
    pub files: Vec<PathBuf>,
    /// Directories to write to.
    pub written: Vec<PathBuf>,
    /// Speaking to other machines: looking up names, certificates that are trusted.
    pub outbound: bool,
}

/// What is done on each thread.
struct Plan {
    keep: Option<CapsHashSet>,
    no_new_privileges: bool,
    /// `Err` with the reason why not.
    seccomp: Result<(), String>,
    landlock: Result<RulesetCreated, String>,
}

static PLAN: OnceLock<Plan> = OnceLock::new();

/// Gives up what nothing takes from here on. To be called before any thread is started, and once.
pub fn begin(give: Give, needs: &Needs) {
    let Give { capabilities, sandbox } = give;
    let keep = capabilities.then(|| capabilities::kept(needs));
    if let Some(keep) = &keep
        && let Err(error) = capabilities::begin(keep)
    {
        tracing::warn!("cannot give up capabilities: {error}");
    }
    // Also what an unprivileged process needs for the other two.
    let no_new_privileges = (capabilities || sandbox) && prctl::set_no_new_privs().is_ok();
    let off = || "turned off".to_owned();
    let seccomp = if sandbox { syscalls::refuse(needs) } else { Err(off()) };
    let landlock = if sandbox { files::ruleset(needs) } else { Err(off()) };
    if PLAN.set(Plan { keep, no_new_privileges, seccomp, landlock }).is_err() {
        tracing::warn!("privileges were given up before");
    }
}

/// Gives up, on this thread, what only the start took. Without [`begin`] it does nothing.
pub fn settle() {
    let Some(Plan { keep, landlock, .. }) = PLAN.get() else { return };
    if let Some(keep) = keep
        && let Err(error) = capabilities::limit_to(keep)
    {
        tracing::warn!("cannot give up capabilities: {error}");
    }
    if let Ok(ruleset) = landlock
        && let Err(error) = files::enter(ruleset)
    {
        tracing::warn!("cannot enter the Landlock domain: {error}");
    }
}

/// What this thread may still do, in one line, for people.
pub fn report() -> String {
    let mut said = vec![format!("capabilities: {}", capabilities::held())];
    let Some(Plan { no_new_privileges, seccomp, landlock, .. }) = PLAN.get() else { return said.join("; ") };
    if *no_new_privileges {
        said.push("no new privileges".to_owned());
    }
    for (name, missing) in [("seccomp", seccomp.as_ref().err()), ("Landlock", landlock.as_ref().err())] {
        said.push(match missing {
            None => format!("{name} in force"),
            Some(why) => format!("no {name}: {why}"),
        });
    }
    said.join("; ")
}
