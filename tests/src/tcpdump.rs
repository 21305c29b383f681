use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use interceptor::demo::pod::Pod;
use nix::sys::signal::Signal;

use super::{Process, process::until};

/// tcpdump in a pod, writing to a file.
pub struct Tcpdump {
    process: Process,
    file: PathBuf,
}

impl Tcpdump {
    /// Starts it and waits until it listens.
    pub fn start(pod: &Pod, interface: &str, file: &Path) -> Result<Self> {
        let mut command = pod.command("tcpdump")?;
        // -B: 32 MiB of kernel buffer, as it must not drop what it is a witness for.
        command.args(["-i", interface, "-Z", "root", "-B", "32768", "-s", "0", "-U", "-w"]).arg(file).arg("tcp");
        let process = Process::start(&mut command)?;
        process.wait_stderr(Duration::from_secs(10), "listening on")?;
        Ok(Self { process, file: file.to_owned() })
    }

    /// Ends it, once it has written what `last` says, which was sent last: what it has not read from its buffer by then
    /// would be lost. It must not have dropped anything either.
    pub fn stop(self, last: &str) -> Result<()> {
        until(Duration::from_secs(20), "tcpdump to catch up", || {
            let written = fs::read(&self.file)?;
            let end = &written[written.len().saturating_sub(1 << 16)..];
            Ok(end.windows(last.len()).any(|window| window == last.as_bytes()).then_some(()))
        })?;
        let ended = self.process.stop(Signal::SIGINT, Duration::from_secs(10))?.success()?;
        anyhow::ensure!(ended.stderr.iter().any(|line| line.starts_with("0 packets dropped")), "{:?}", ended.stderr);
        Ok(())
    }
}
