use std::{path::Path, time::Duration};

use anyhow::Result;
use interceptor::demo::pod::Pod;
use nix::sys::signal::Signal;

use super::Process;

/// tcpdump in a pod, writing to a file.
pub struct Tcpdump(Process);

impl Tcpdump {
    /// Starts it and waits until it listens.
    pub fn start(pod: &Pod, interface: &str, file: &Path) -> Result<Self> {
        let mut command = pod.command("tcpdump")?;
        // -B: 32 MiB of kernel buffer, as it must not drop what it is a witness for.
        command.args(["-i", interface, "-Z", "root", "-B", "32768", "-s", "0", "-U", "-w"]).arg(file).arg("tcp");
        let process = Process::start(&mut command)?;
        process.wait_stderr(Duration::from_secs(10), "listening on")?;
        Ok(Self(process))
    }

    /// Ends it; it must not have dropped anything.
    pub fn stop(self) -> Result<()> {
        let ended = self.0.stop(Signal::SIGINT, Duration::from_secs(10))?.success()?;
        anyhow::ensure!(ended.stderr.iter().any(|line| line.starts_with("0 packets dropped")), "{:?}", ended.stderr);
        Ok(())
    }
}
