//! The interceptor itself, at work.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::{Child, ChildStderr, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SOON: Duration = Duration::from_secs(20);

/// The interceptor, at work.
pub(crate) struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What it has written so far.
    said: String,
}

impl Running {
    /// Starts it, and reads on until it says `ready`.
    pub(crate) fn start(command: &mut Command, ready: &str) -> anyhow::Result<Self> {
        command.env_remove("INTERCEPTOR_LOG_LEVEL").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let stderr = BufReader::new(child.stderr.take().context("no output")?);
        let mut running = Self { child, stderr, said: String::new() };
        while !running.said.contains(ready) {
            let read = running.stderr.read_line(&mut running.said)?;
            ensure!(read > 0, "it ended: {}", running.said);
        }
        Ok(running)
    }

    pub(crate) fn run(command: &mut Command, more: &[&str]) -> anyhow::Result<Self> {
        Self::start(command.args(["run", "--metrics-address", "127.0.0.1:0"]).args(more), " capturing")
    }

    /// Where it serves.
    fn address(&self) -> anyhow::Result<SocketAddr> {
        let (_, rest) = self.said.split_once("address=").context("no address")?;
        Ok(rest.split_whitespace().next().context("no address")?.parse()?)
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.address()?)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Whether it has seen and counted an exchange on `lo`: what we ask it itself.
    pub(crate) fn captures(&self) -> anyhow::Result<()> {
        soon(|| {
            let metrics = self.get("/metrics")?;
            let seen = |line: &str| line.starts_with("interceptor_exchanges_total{") && !line.ends_with(" 0");
            ensure!(metrics.lines().any(seen), "no exchange in {metrics}");
            Ok(())
        })
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written so far.
    pub(crate) fn said(&self) -> &str {
        &self.said
    }

    /// Ends it in order, and gives all that it wrote.
    pub(crate) fn end(mut self) -> anyhow::Result<String> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM)?;
        self.stderr.read_to_string(&mut self.said)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "{status}: {}", self.said);
        ensure!(!self.said.contains("could not detach"), "{}", self.said);
        Ok(std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// Tries again until it holds, for a while.
pub(crate) fn soon(check: impl Fn() -> anyhow::Result<()>) -> anyhow::Result<()> {
    let end = Instant::now() + SOON;
    loop {
        match check() {
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
}
