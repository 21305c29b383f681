//! Processes that a benchmark starts: what they use, and that they end.

use std::{
    fs,
    io::Read as _,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process that ends with its owner.
pub(super) struct Running {
    name: String,
    child: Child,
}

impl Running {
    pub(super) fn start(name: &str, command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), child })
    }

    pub(super) const fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended, with what it said.
    pub(super) fn still_there(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let mut said = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            stderr.read_to_string(&mut said)?;
        }
        bail!("{} ended ({status}): {}", self.name, said.trim())
    }

    /// Asks for the end, waits for it.
    pub(super) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Ok(None) = self.child.try_wait() else { return };
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, Signal::SIGTERM).ok();
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(5) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        eprintln!("warning: {} did not end within 5 s of SIGTERM", self.name);
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The process and its children: nginx's worker is a child of its master.
pub(super) fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    [pid].into_iter().chain(children).collect()
}

/// Time on a CPU of all threads, by the scheduler's own clock (the ticks of `/proc/PID/stat` are too coarse).
pub(super) fn cpu_nanos(pids: &[u32]) -> u64 {
    let of_thread = |path: std::path::PathBuf| -> Option<u64> {
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let threads = pids.iter().filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok()).flatten();
    threads.filter_map(|entry| of_thread(entry.ok()?.path())).sum()
}

/// The same of the threads with this name (of which the kernel keeps 15 bytes).
pub(super) fn thread_nanos(pid: u32, name: &str) -> u64 {
    let of_thread = |path: std::path::PathBuf| -> Option<u64> {
        if fs::read_to_string(path.join("comm")).ok()?.trim_end() != name {
            return None;
        }
        fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok()
    };
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads.filter_map(|entry| of_thread(entry.ok()?.path())).sum()
}

/// Lets the kernel count what BPF programs take, as long as it lives. The counting itself costs some 40 ns a run, which
/// is in what it counts.
pub(super) struct ProgramStats;

impl ProgramStats {
    const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

    pub(super) fn on() -> Result<Self> {
        fs::write(Self::SWITCH, "1").context("cannot let the kernel count what BPF programs take")?;
        Ok(Self)
    }
}

impl Drop for ProgramStats {
    fn drop(&mut self) {
        fs::write(Self::SWITCH, "0").ok();
    }
}

/// What the BPF programs that a process holds have taken while [`ProgramStats`] were on, whoever ran them.
pub(super) fn program_nanos(pid: u32) -> Result<u64> {
    let mut programs = std::collections::HashMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        // A descriptor may be closed meanwhile.
        let Ok(info) = fs::read_to_string(entry?.path()) else { continue };
        let field = |name: &str| -> Option<u64> {
            info.lines().find_map(|line| line.strip_prefix(name)?.trim_start_matches(':').trim().parse().ok())
        };
        // A link names its program, but only the program's own descriptor has the time.
        if let (Some(id), Some(nanos)) = (field("prog_id"), field("run_time_ns")) {
            programs.insert(id, nanos);
        }
    }
    Ok(programs.values().sum())
}

/// Busy time of all CPUs, interrupts included, in nanoseconds.
pub(super) fn machine_nanos() -> Result<u64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|index| ticks.get(*index)).sum();
    Ok(busy * 10_000_000)
}

/// Resident memory in KiB.
pub(super) fn resident_kib(pid: u32) -> Result<u64> {
    resident_part(pid, "VmRSS")
}

/// A part of it: `RssAnon`, `RssFile` or `RssShmem` (proc(5)).
pub(super) fn resident_part(pid: u32, name: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let value = value.with_context(|| format!("no {name}"))?;
    value.trim().trim_end_matches(" kB").parse().with_context(|| format!("{name} is no number"))
}

/// What of it is its own, and its share of what others have, too, in KiB.
pub(super) fn proportional_kib(pid: u32) -> Result<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let value = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    value.trim().trim_end_matches(" kB").parse().context("Pss is no number")
}

/// Of its resident memory what are BPF maps (the rings), in KiB.
pub(super) fn maps_kib(pid: u32) -> Result<u64> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let (mut sum, mut of_map) = (0, false);
    for line in smaps.lines() {
        if let Some(resident) = line.strip_prefix("Rss:") {
            let kib: u64 = resident.trim().trim_end_matches(" kB").parse().context("Rss is no number")?;
            sum += if of_map { kib } else { 0 };
        } else if line.as_bytes().first().is_some_and(u8::is_ascii_hexdigit) {
            of_map = line.ends_with("bpf-map");
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_uses_is_seen() {
        let before = cpu_nanos(&[std::process::id()]);
        let started = Instant::now();
        let mut sum = 0_u64;
        while started.elapsed() < Duration::from_millis(100) {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(cpu_nanos(&[std::process::id()]) - before > 10_000_000);
        assert!(resident_kib(std::process::id()).unwrap() > 500);
        assert!(proportional_kib(std::process::id()).unwrap() > 300);
        assert!(machine_nanos().unwrap() > 0);
    }

    #[test]
    fn an_early_end_is_told_with_its_reason() {
        let mut command = Command::new("sh");
        let mut running = Running::start("shell", command.args(["-c", "echo broken >&2; exit 3"])).unwrap();
        let started = Instant::now();
        let error = loop {
            if let Err(error) = running.still_there() {
                break error.to_string();
            }
            assert!(started.elapsed() < Duration::from_secs(20));
        };
        assert!(error.contains("broken") && error.contains("shell"), "{error}");
    }
}
