//! Containers as the kubelet and a runtime make them: one pod's, of one network namespace, in cgroups of their own.

mod cgroups;
mod config;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use interceptor::{demo::pod::Pair, kernel::cgroup};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use self::cgroups::Cgroups;
pub use self::config::Config;
use super::{Ended, Process, until};

/// How long a container may take to start or to end.
const SOON: Duration = Duration::from_secs(20);

/// A pod with its pause container. Nothing of it is left once it is dropped.
pub struct RuncPod {
    uid: String,
    pause: Container,
    // After the containers: they are in it.
    cgroups: Cgroups,
}

/// A running container.
pub struct Container {
    id: String,
    pid: u32,
    process: Option<Process>,
    // What runc remembers, and the bundle.
    files: TempDir,
}

impl RuncPod {
    /// As a runtime does it: the network first, then a container that does nothing but hold it.
    pub fn create(pods: &Pair) -> Result<Self> {
        let [first, second] = [next_id(), next_id()];
        let uid =
            format!("{}-{}-4{}-8{}-{}", &first[..8], &first[8..12], &first[12..15], &first[15..18], &second[..12]);
        let mount = cgroup::mount().context("no cgroup v2 mount")?;
        // Beside the cgroups of the test's pods: where there are cgroups inside, version 2 lets no process in.
        let parent = Path::new("/").join(pods.cgroup().strip_prefix(mount)?);
        let cgroups = Cgroups::new(parent, &uid);
        let config = Config::new(["sleep", "infinity"]);
        let pause = Container::start(&config, pods.server.namespace().path(), &cgroups)?;
        Ok(Self { uid, pause, cgroups })
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Its cgroup, below the mount of each hierarchy.
    pub fn cgroup(&self) -> PathBuf {
        self.cgroups.pod()
    }

    /// Starts another container in it, in the pause container's network namespace.
    pub fn run(&self, config: &Config) -> Result<Container> {
        Container::start(config, &PathBuf::from(format!("/proc/{}/ns/net", self.pause.pid)), &self.cgroups)
    }

    /// Directories of this pod that exist, in any hierarchy.
    pub fn directories(&self) -> Result<Vec<PathBuf>> {
        self.cgroups.directories()
    }
}

impl Container {
    fn start(config: &Config, netns: &Path, cgroups: &Cgroups) -> Result<Self> {
        let id = next_id();
        let files = tempfile::tempdir()?;
        fs::create_dir(files.path().join("rootfs"))?;
        let config = config.json(netns, &cgroups.pod().join(&id));
        fs::write(files.path().join("config.json"), config.to_string())?;
        // From here on it is there to be deleted, whatever fails.
        let mut container = Self { id, pid: 0, process: None, files };
        let pid_file = container.files.path().join("pid");
        let mut run = container.runc("run");
        run.arg("--bundle").arg(container.files.path()).arg("--pid-file").arg(&pid_file).arg(&container.id);
        let process = Process::start(&mut run)?;
        let pid = until(SOON, "its process", || {
            let pid = fs::read_to_string(&pid_file).ok().and_then(|pid| pid.parse().ok());
            ensure!(pid.is_some() || !process.is_over(), "it ended");
            Ok(pid)
        });
        match pid {
            Ok(pid) => (container.pid, container.process) = (pid, Some(process)),
            Err(error) => {
                let ended = process.stop(Signal::SIGKILL, SOON)?;
                return Err(error).with_context(|| format!("runc starts no container: {}", ended.stderr.join("\n")));
            }
        }
        Ok(container)
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it writes.
    pub fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the container is over")
    }

    /// Runs a program inside.
    pub fn exec(&self, arguments: &[&str]) -> Result<Ended> {
        Process::start(self.runc("exec").arg(&self.id).args(arguments))?.end(SOON)?.success()
    }

    /// Ends it as the kubelet does first: by a signal to its first process.
    pub fn stop(&mut self, signal: Signal) -> Result<Ended> {
        let process = self.process.take().context("the container is over")?;
        Process::start(self.runc("kill").arg(&self.id).arg(signal.as_str()))?.end(SOON)?.success()?;
        process.end(SOON)
    }

    fn runc(&self, command: &str) -> Command {
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(self.files.path().join("state")).arg(command);
        runc
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // It kills everything inside, and fails if it never was.
        let _ = self.runc("delete").arg("--force").arg(&self.id).output();
    }
}

/// 64 hexadecimal digits, as runtimes draw them; no two the same on this machine.
fn next_id() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{:08x}{:08x}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)).repeat(4)
}
