//! A server in Python in a pod, and the place of its clients.

use std::{
    net::{Ipv4Addr, TcpStream},
    path::Path,
    process::Command,
    time::Duration,
};

use anyhow::{Result, ensure};
use interceptor::demo::pod::Pair;
use interceptor_tests::{PODS, Process, Python, until};
use tempfile::TempDir;

const SOON: Duration = Duration::from_mins(1);

/// It ends in this order.
pub(crate) struct Served {
    server: Process,
    python: Python,
    /// For what a test and its scripts write.
    pub(crate) files: TempDir,
    pub(crate) pods: Pair,
    /// Of scripts and of what they take.
    name: &'static str,
}

impl Served {
    /// Starts a script of `tests/e2e/NAME` with these arguments, and waits until it listens at all of these ports.
    pub(crate) fn start(
        name: &'static str,
        script: &str,
        ports: &[u16],
        arguments: impl FnOnce(Ipv4Addr, &Path) -> Vec<String>,
    ) -> Result<Self> {
        let (pods, files, python) = (Pair::create(PODS)?, tempfile::tempdir()?, Python::with(name)?);
        let address = pods.server.ipv4;
        let mut command = pods.server.command(python.path())?;
        command.arg(path(name, script)).args(arguments(address, files.path()));
        let served = Self { server: Process::start(&mut command)?, python, files, pods, name };
        for port in ports {
            until(SOON, script, || {
                ensure!(!served.server.is_over(), "{script} ended");
                let connected = served.pods.server.namespace().enter(|| Ok(TcpStream::connect((address, *port)).ok()));
                Ok(connected?)
            })?;
        }
        Ok(served)
    }

    /// The server's address.
    pub(crate) fn address(&self) -> String {
        self.pods.server.ipv4.to_string()
    }

    /// What a script says that runs in the clients' pod.
    pub(crate) fn ask<S: AsRef<std::ffi::OsStr>>(&self, script: &str, arguments: &[S]) -> Result<Vec<String>> {
        let mut command = self.pods.client.command(self.python.path())?;
        run(command.arg(path(self.name, script)).args(arguments))
    }

    /// What a script says that runs outside of pods.
    pub(crate) fn outside<S: AsRef<std::ffi::OsStr>>(&self, script: &str, arguments: &[S]) -> Result<Vec<String>> {
        run(self.script(script).args(arguments))
    }

    /// A script outside of pods, to be started.
    pub(crate) fn script(&self, script: &str) -> Command {
        let mut command = self.python();
        command.arg(path(self.name, script));
        command
    }

    /// The interpreter outside of pods.
    pub(crate) fn python(&self) -> Command {
        Command::new(self.python.path())
    }
}

fn path(name: &str, script: &str) -> String {
    format!("{}/e2e/{name}/{script}", env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Result<Vec<String>> {
    Ok(Process::start(command)?.end(SOON)?.success()?.stdout)
}
