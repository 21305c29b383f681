//! The two processes in the pods.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::{IpAddr, SocketAddr},
    os::unix::process::CommandExt as _,
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    client::Tally,
    pod::{Pair, Pod},
    server,
};

/// A child process that does not outlive this value.
pub(super) struct Role(Child);

impl Role {
    /// Starts `interceptor demo ROLE …` in the pod.
    fn start(pod: &Pod, arguments: &[String]) -> anyhow::Result<(Self, BufReader<ChildStdout>)> {
        let mut command: Command = pod.command("/proc/self/exe")?;
        // A process group of its own: Ctrl-C is for the demo, which ends them in order.
        command
            .arg0("interceptor")
            .arg("demo")
            .args(arguments)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start the demo's {}", arguments.join(" ")))?;
        let output = child.stdout.take().context("the child has no output")?;
        Ok((Self(child), BufReader::new(output)))
    }

    /// Starts the model server and waits until it listens.
    pub(super) fn server(pods: &Pair) -> anyhow::Result<Self> {
        let (role, mut output) = Self::start(&pods.server, &["serve".to_owned()])?;
        let mut line = String::new();
        output.read_line(&mut line).context("cannot hear from the demo's server")?;
        if line.is_empty() {
            bail!("the demo's server ended before it listened");
        }
        Ok(role)
    }

    /// Starts the client, which asks over IPv4 and, where there is some, IPv6.
    pub(super) fn client(pods: &Pair, duration: Option<Duration>) -> anyhow::Result<(Self, Account)> {
        let ipv6 = pods.ipv6.then_some(IpAddr::V6(pods.server.ipv6));
        let servers = [IpAddr::V4(pods.server.ipv4)].into_iter().chain(ipv6);
        let mut arguments = vec!["ask".to_owned()];
        arguments.extend(servers.map(|address| SocketAddr::new(address, server::PORT).to_string()));
        arguments.extend(duration.iter().flat_map(|time| ["--duration".to_owned(), time.as_secs_f64().to_string()]));
        let (role, output) = Self::start(&pods.client, &arguments)?;
        Ok((role, Account(output)))
    }

    /// Asks it to end.
    pub(super) fn terminate(&self) {
        // It may have ended by itself; it is not reaped before this value is dropped, so its number is still its own.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where the client gives its account.
pub(super) struct Account(BufReader<ChildStdout>);

impl Account {
    /// Waits for the client's end; nothing if it did not get to say anything.
    pub(super) fn read(mut self) -> Option<Tally> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        serde_json::from_str(&text).ok()
    }
}
