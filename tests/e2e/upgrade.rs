//! What is pinned: a new version takes the inline path over, and none is missed where connections must not go straight.

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor_tests::{Case, Connection, Daemon, Process, until};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sys::signal::Signal,
};
use tempfile::TempDir;

use super::{
    NEEDS,
    inline::{Load, SOON, Sidecar, TIMEOUT, steered, web},
};

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case::new("upgrade::a_new_version_takes_over_under_load", NEEDS, taken_over),
        Case::new("upgrade::what_fails_closed_does_so_when_it_is_killed_and_after_its_end", NEEDS, stays_closed),
        Case::new("upgrade::without_memory_left_connections_go_straight_and_it_comes_back", NEEDS, out_of_memory),
    ]
}

/// A BPF file system, for one test.
struct BpfFs(TempDir);

impl BpfFs {
    fn new() -> Result<Self> {
        let directory = TempDir::new()?;
        mount(Some("bpf"), directory.path(), Some("bpf"), MsFlags::empty(), None::<&str>).context("mount -t bpf")?;
        Ok(Self(directory))
    }

    fn pins(&self) -> PathBuf {
        self.0.path().join("interceptor")
    }
}

impl Drop for BpfFs {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

fn start(sidecar: &Sidecar, files: &BpfFs) -> Result<Daemon> {
    let pins = files.pins().display().to_string();
    sidecar.start_with(&["--inline-enabled", "true", "--inline-pins", &pins])
}

/// They overlap: the new one is started while the old one carries, which ends by itself then.
fn taken_over() -> Result<()> {
    let (sidecar, files) = (Sidecar::new(&web(", onFailure: closed"))?, BpfFs::new()?);
    let mut daemon = start(&sidecar, &files)?;
    // It carries this one to its end.
    let mut open = sidecar.bed.connect()?;
    ensure!(open.get("/index.html")?.status == 200);
    Load::run(&sidecar.bed, |load| {
        load.more(50)?;
        for _ in 0..5 {
            let next = start(&sidecar, &files)?;
            until(SOON, "steered connections", || Ok((steered(&next, "steered")? > 20).then_some(())))?;
            ensure!(open.get("/index.html")?.status == 200, "what was open is cut");
            open = sidecar.bed.connect()?;
            let old = std::mem::replace(&mut daemon, next);
            let ended = old.into_process().end(SOON)?.success()?;
            let said = |line: &&String| line.contains("another interceptor steers to itself from now on");
            ensure!(ended.stderr.iter().find(said).is_some(), "{ended:?}");
            ensure!(open.get("/index.html")?.status == 200, "what the new one carries is cut");
            load.more(50)?;
            ensure!(load.failed() == 0, "{} failed", load.failed());
        }
        Ok(())
    })?;
    ensure!(steered(&daemon, "no_listener")? == 0, "{:?}", daemon.metrics()?);
    Ok(())
}

fn stays_closed() -> Result<()> {
    let (sidecar, files) = (Sidecar::new(&web(", onFailure: closed"))?, BpfFs::new()?);
    let is_refused = || -> Result<()> {
        let refused = sidecar.bed.connect().err().context("it was not refused")?;
        ensure!(format!("{refused:#}").contains("not permitted"), "{refused:#}");
        Ok(())
    };
    let answers = || -> Result<()> {
        ensure!(sidecar.bed.connect()?.get("/index.html")?.status == 200);
        Ok(())
    };
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let daemon = start(&sidecar, &files)?;
        answers()?;
        daemon.into_process().stop(signal, SOON)?;
        for _ in 0..20 {
            is_refused().with_context(|| format!("after {signal}"))?;
        }
        thread::sleep(2 * TIMEOUT);
        is_refused().with_context(|| format!("a while after {signal}"))?;
    }
    // Whoever has another idea of it says so.
    fs::remove_dir_all(files.pins())?;
    until(SOON, "connections that go straight", || Ok(answers().is_ok().then_some(())))
}

/// A memory cgroup, of version 2 or 1.
struct MemoryCgroup {
    directory: PathBuf,
    limit: &'static str,
    usage: &'static str,
}

impl MemoryCgroup {
    fn new(name: &str) -> Result<Self> {
        let unified = interceptor::kernel::cgroup::mount().context("no cgroup v2 mount")?;
        let controllers = fs::read_to_string(unified.join("cgroup.subtree_control"))?;
        let (parent, limit, usage) = if controllers.split_whitespace().any(|controller| controller == "memory") {
            (unified, "memory.max", "memory.current")
        } else {
            (PathBuf::from("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.usage_in_bytes")
        };
        let directory = parent.join(name);
        fs::create_dir(&directory).with_context(|| format!("no memory cgroup at {}", directory.display()))?;
        Ok(Self { directory, limit, usage })
    }

    fn add(&self, process: &Process) -> Result<()> {
        Ok(fs::write(self.directory.join("cgroup.procs"), process.pid().to_string())?)
    }

    /// Leaves so much for what comes.
    fn leave(&self, bytes: u64) -> Result<()> {
        let used: u64 = fs::read_to_string(self.directory.join(self.usage))?.trim().parse()?;
        Ok(fs::write(self.directory.join(self.limit), (used + bytes).to_string())?)
    }

    /// Processes that the kernel ended.
    fn killed(&self) -> Result<u64> {
        let events = ["memory.events", "memory.oom_control"].map(|name| self.directory.join(name));
        let there = events.iter().find(|path| Path::is_file(path)).context("no file of events")?;
        let text = fs::read_to_string(there)?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        Ok(count.context("the kernel does not count them")?.parse()?)
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        let gone = || Ok(fs::remove_dir(&self.directory).is_ok().then_some(()));
        let _ = until(Duration::from_secs(5), "the end of a cgroup", gone);
    }
}

fn out_of_memory() -> Result<()> {
    let sidecar = Sidecar::new(&web(""))?;
    let group = MemoryCgroup::new(&format!("interceptor-test-oom-{}", std::process::id()))?;
    Load::run(&sidecar.bed, |load| {
        let daemon = sidecar.start()?;
        group.add(daemon.process())?;
        until(SOON, "steered connections", || Ok((steered(&daemon, "steered")? > 20).then_some(())))?;
        group.leave(1 << 20)?;
        // Each takes memory, until there is none.
        let mut open: Vec<Connection> = Vec::new();
        until(SOON, "the end of memory", || {
            open.extend((0..50).filter_map(|_| sidecar.bed.connect().ok()));
            for connection in &mut open {
                let _answer = connection.get("/index.html");
            }
            Ok((daemon.process().is_over()).then_some(()))
        })?;
        ensure!(group.killed()? == 1, "{} were killed", group.killed()?);
        let ended = daemon.into_process().end(SOON)?;
        ensure!(!ended.status.success(), "{ended:?}");
        let failed = load.failed();
        load.more(50)?;
        ensure!(load.failed() == failed, "{} failed after it", load.failed() - failed);
        drop(open);
        // It comes back, and sees what comes from then on.
        let daemon = sidecar.start()?;
        until(SOON, "steered connections", || Ok((steered(&daemon, "steered")? > 20).then_some(())))?;
        daemon.wait_for_sink("lines", "delivered_records_total", 20)?;
        ensure!(load.failed() == failed, "{} failed when it came back", load.failed() - failed);
        Ok(())
    })
}
