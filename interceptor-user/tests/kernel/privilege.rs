//! With how little it runs, and what is left of that once it runs: by what the kernel says of each thread, and by trying.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Context as _, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use interceptor::{
    kernel::features::maps_are_locked_memory,
    privilege::{self, Give, Needs},
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use tempfile::TempDir;

use crate::{
    Test,
    bed::{Pod, binary},
    program::{Running, soon},
};

/// Set where this program is to try what the sandbox lets through; its value is a directory to write to.
pub(crate) const SANDBOXED: &str = "INTERCEPTOR_TEST_SANDBOXED";

pub(crate) fn tests() -> Vec<Test> {
    vec![
        ("three_capabilities_are_enough_for_root", || with_three(0)),
        ("three_capabilities_are_enough_for_another_user", || with_three(65534)),
        ("root_gives_up_the_rest", root),
        ("another_namespace_keeps_what_entering_it_takes", namespace),
        ("as_many_descriptors_are_used_as_there_may_be", descriptors),
        ("pods_that_cannot_be_found_are_warned_of", hidden_pods),
        ("namespaces_are_followed_wherever_their_names_are", names_elsewhere),
        ("tail_keeps_what_naming_processes_takes", tail),
        ("nothing_is_given_up_if_it_is_turned_off", turned_off),
        ("rings_shrink_to_the_memory_that_may_be_locked", locked_memory),
        ("the_sandbox_refuses_writing_reading_elsewhere_and_programs", sandbox),
    ]
}

const NET_ADMIN: u64 = 1 << 12;
const DAC_READ_SEARCH: u64 = 1 << 2;
const SYS_PTRACE: u64 = 1 << 19;
const SYS_ADMIN: u64 = 1 << 21;
const PERFMON: u64 = 1 << 38;
const BPF: u64 = 1 << 39;
/// What capturing takes.
const THREE: u64 = BPF | NET_ADMIN | PERFMON;

/// Holds once for all threads of the process.
fn threads(running: &Running, expected: &Expected) -> anyhow::Result<()> {
    soon(|| {
        let mut count = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", running.pid()))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            expected.check(&status)?;
            count += 1;
        }
        ensure!(count >= expected.threads, "only {count} threads");
        Ok(())
    })
}

/// What the kernel is to say of a thread.
struct Expected {
    capabilities: u64,
    sandboxed: bool,
    threads: usize,
}

impl Expected {
    const fn of_run(capabilities: u64) -> Self {
        // The first, the one for signals, the one that serves, the one that captures.
        Self { capabilities, sandboxed: true, threads: 4 }
    }

    fn check(&self, status: &str) -> anyhow::Result<()> {
        let field = |name: &str| -> anyhow::Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            Ok(u64::from_str_radix(line.with_context(|| format!("no {name}"))?.trim(), 16)?)
        };
        for set in ["CapEff", "CapPrm"] {
            ensure!(field(set)? == self.capabilities, "{set} is {:#x} in {status}", field(set)?);
        }
        if self.sandboxed {
            ensure!(field("CapBnd")? & !self.capabilities == 0, "{status}");
            ensure!(field("CapInh")? == 0 && field("CapAmb")? == 0, "{status}");
        }
        // 2: by a filter.
        let expected = if self.sandboxed { (1, 2) } else { (0, 0) };
        ensure!((field("NoNewPrivs")?, field("Seccomp")?) == expected, "{status}");
        Ok(())
    }
}

/// A copy of the program, which every user may run.
fn copy() -> anyhow::Result<(TempDir, PathBuf)> {
    let directory = tempfile::tempdir()?;
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
    let program = directory.path().join("interceptor");
    fs::copy(binary(), &program)?;
    Ok((directory, program))
}

/// How many programs are attached to `lo`, where the kernel tells (TCX).
fn attached() -> usize {
    SchedClassifier::query_tcx("lo", TcAttachType::Egress).map_or(0, |(_, programs)| programs.len())
}

fn with_three(user: u32) -> anyhow::Result<()> {
    let (_directory, program) = copy()?;
    let before = attached();
    let mut command = Command::new("setpriv");
    let three = "-all,+bpf,+net_admin,+perfmon";
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
    command.args([format!("--bounding-set={three}"), format!("--inh-caps={three}"), format!("--ambient-caps={three}")]);
    let running = Running::run(command.arg(program), &["--capture-interfaces", "lo"])?;
    let kept = "capabilities: CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON; no new privileges; seccomp in force; ";
    for part in ["attached sock_ops", "attached connect", kept] {
        ensure!(running.said().contains(part), "no {part:?} in {}", running.said());
    }
    threads(&running, &Expected::of_run(THREE))?;
    running.captures()?;
    // The kernel's counters too, which some kernels tell only with CAP_BPF.
    ensure!(!running.get("/metrics")?.contains("interceptor_kernel_taken_bytes_total 0\n"));
    let said = running.end()?;
    ensure!(!said.contains(" WARN "), "{said}");
    ensure!(attached() == before, "something is left");
    Ok(())
}

fn root() -> anyhow::Result<()> {
    let running = Running::run(&mut Command::new(binary()), &["--capture-interfaces", "lo"])?;
    threads(&running, &Expected::of_run(THREE))?;
    running.captures()?;
    running.end().map(drop)
}

fn namespace() -> anyhow::Result<()> {
    let pod = Pod::new()?;
    let place = pod.netns().display().to_string();
    let running = Running::run(&mut Command::new(binary()), &["--capture-netns", &place])?;
    threads(&running, &Expected::of_run(THREE | SYS_ADMIN))?;
    running.end().map(drop)
}

fn descriptors() -> anyhow::Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -Sn 64; ulimit -Hn 4096; exec \"$@\"", "sh"]).arg(binary());
    let running = Running::run(&mut command, &["--capture-interfaces", "lo"])?;
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.pid()))?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).context("no limit")?;
    ensure!(line.split_whitespace().take(2).eq(["4096"; 2]), "{line}");
    running.end().map(drop)
}

fn hidden_pods() -> anyhow::Result<()> {
    for (capabilities, warned) in [("-sys_ptrace", true), ("-sys_time", false)] {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", capabilities]).arg(binary());
        let running = Running::run(&mut command, &["--capture-pods", "all"])?;
        ensure!(running.said().contains("without CAP_SYS_PTRACE") == warned, "{}", running.said());
        running.end()?;
    }
    Ok(())
}

/// A namespace's name in some directory. Dropping it takes it away.
struct Name(PathBuf);

impl Name {
    fn new(pod: &Pod, directory: &Path, name: &str) -> anyhow::Result<Self> {
        let path = directory.join(name);
        fs::create_dir_all(directory)?;
        fs::write(&path, "")?;
        let name = Self(path);
        mount(Some(&pod.netns()), &name.0, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        Ok(name)
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        drop(fs::remove_file(&self.0));
    }
}

/// Which of them come later is not known when the sandbox is made, nor is the directory there.
fn names_elsewhere() -> anyhow::Result<()> {
    let root = tempfile::tempdir()?;
    let directory = root.path().join("names");
    let pods = [Pod::new()?, Pod::new()?];
    let pattern = directory.join("pod*").display().to_string();
    let running = Running::run(&mut Command::new(binary()), &["--capture-netns", &pattern])?;
    let _names = [Name::new(&pods[0], &directory, "pod1")?, Name::new(&pods[1], &directory, "pod2")?];
    for name in ["pod1", "pod2"] {
        let place = format!("lo in {}", directory.join(name).display());
        soon(|| {
            let status = running.get("/status")?;
            ensure!(status.contains(&place), "no {place} in {status}");
            Ok(())
        })?;
    }
    running.end().map(drop)
}

fn tail() -> anyhow::Result<()> {
    let mut command = Command::new(binary());
    let running = Running::start(command.args(["tail", "--iface", "lo", "--port", "9"]), "watching by")?;
    threads(&running, &Expected { threads: 2, ..Expected::of_run(THREE | SYS_PTRACE | DAC_READ_SEARCH) })?;
    running.end().map(drop)
}

/// Kernels before 5.11 count maps as locked memory; on later ones there is nothing to see.
fn locked_memory() -> anyhow::Result<()> {
    if !maps_are_locked_memory() {
        eprintln!("skipped: on this kernel maps do not count as locked memory (before Linux 5.11 they do)");
        return Ok(());
    }
    // Room for the other maps and for a part of the rings. Without CAP_SYS_RESOURCE the limit stands.
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-all,+bpf,+net_admin,+perfmon"]);
    command.args(["sh", "-c", "ulimit -l 16384; exec \"$@\"", "sh"]).arg(binary());
    let running = Running::run(&mut command, &["--capture-interfaces", "lo", "--capture-ring-size", "32MiB"])?;
    ensure!(running.said().contains("there is no room for"), "{}", running.said());
    running.captures()?;
    let metrics = running.get("/metrics")?;
    let size = metrics.lines().find_map(|line| line.strip_prefix("interceptor_ring_size_bytes ")).context("no size")?;
    ensure!((128 << 10..16 << 20).contains(&size.parse::<u64>()?), "rings of {size} bytes");
    running.end().map(drop)
}

fn turned_off() -> anyhow::Result<()> {
    let held = fs::read_to_string("/proc/self/status")?;
    let held = held.lines().find_map(|line| line.strip_prefix("CapEff:")).context("no capabilities")?;
    let off = ["--capture-interfaces", "lo", "--privileges-drop", "false", "--privileges-sandbox", "false"];
    let running = Running::run(&mut Command::new(binary()), &off)?;
    let capabilities = u64::from_str_radix(held.trim(), 16)?;
    threads(&running, &Expected { sandboxed: false, ..Expected::of_run(capabilities) })?;
    running.end().map(drop)
}

fn sandbox() -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let output = Command::new(std::env::current_exe()?).env(SANDBOXED, directory.path()).output()?;
    let said = String::from_utf8(output.stdout)?;
    let landlock = said.contains("Landlock in force");
    ensure!(said.contains("seccomp in force") && output.status.success(), "{said}");
    for tried in ["start a program", "leave a namespace", "enter a namespace"] {
        ensure!(said.contains(&format!("{tried}: Operation not permitted")), "{said}");
    }
    for tried in ["write a file", "write an old file", "read a file", "list a directory"] {
        let done = said.lines().find_map(|line| line.strip_prefix(tried)?.strip_prefix(": ")).context(tried)?;
        ensure!(done.starts_with(if landlock { "Permission denied" } else { "done" }), "{tried}: {said}");
    }
    ensure!(
        said.contains("read of a process: done") && said.contains("on a thread: Operation not permitted"),
        "{said}"
    );
    ensure!(landlock || !kernel_has_landlock(), "{said}");
    Ok(())
}

/// By the kernel's list of security modules in force, where it can be seen.
fn kernel_has_landlock() -> bool {
    fs::read_to_string("/sys/kernel/security/lsm").is_ok_and(|modules| modules.contains("landlock"))
}

/// Enters the sandbox of `run`, and says what came of each attempt.
pub(crate) fn child(directory: &Path) -> ExitCode {
    let old = directory.join("old");
    drop(fs::write(&old, "x"));
    let early = thread::spawn(|| {
        thread::park();
        Command::new("true").status().map(drop)
    });
    // With every capability, so that it is the sandbox that refuses.
    privilege::begin(Give { capabilities: false, sandbox: true }, &Needs::default());
    privilege::settle();
    println!("{}", privilege::report());
    let say = |what: &str, result: std::io::Result<()>| match result {
        Ok(()) => println!("{what}: done"),
        Err(error) => println!("{what}: {error}"),
    };
    say("write a file", fs::write(directory.join("new"), "x"));
    say("write an old file", fs::OpenOptions::new().append(true).open(&old).map(drop));
    say("read a file", fs::read(&old).map(drop));
    say("list a directory", fs::read_dir("/etc").map(drop));
    say("read of a process", fs::read("/proc/1/stat").map(drop));
    say("start a program", Command::new("true").status().map(drop));
    say("leave a namespace", nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUTS).map_err(Into::into));
    let namespace = fs::File::open("/proc/self/ns/net");
    let enter = |file| nix::sched::setns(file, nix::sched::CloneFlags::CLONE_NEWNET).map_err(Into::into);
    say("enter a namespace", namespace.and_then(enter));
    early.thread().unpark();
    match early.join() {
        Ok(result) => say("on a thread", result),
        Err(_) => println!("on a thread: panicked"),
    }
    ExitCode::SUCCESS
}
