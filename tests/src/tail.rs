use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;

use super::{
    Ended, Exchanges, Process,
    exchanges::{check, is_exchange},
};

/// How long it may take to load and attach the programs, on a machine that is busy with other tests.
const READY: Duration = Duration::from_secs(30);

/// The program under test: `INTERCEPTOR_BIN`, or what cargo has built beside the test.
pub fn interceptor() -> Result<Command> {
    let path = match env::var_os("INTERCEPTOR_BIN") {
        Some(path) => PathBuf::from(path),
        // target/debug/deps/e2e-1234 and target/debug/interceptor
        None => env::current_exe()?.ancestors().nth(2).unwrap_or(Path::new(".")).join("interceptor"),
    };
    anyhow::ensure!(path.is_file(), "there is no {}: cargo xtask build", path.display());
    let mut command = Command::new(path);
    // What a developer has set must not change what is tested.
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INTERCEPTOR_")) {
        command.env_remove(name);
    }
    Ok(command)
}

/// `interceptor tail -o json`.
pub struct Tail(Process);

impl Tail {
    /// Starts it and waits until it captures.
    pub fn start<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        let process = Process::start(interceptor()?.args(["tail", "-o", "json"]).args(arguments))?;
        process.wait_stderr(READY, "watching").context("interceptor tail does not capture")?;
        Ok(Self(process))
    }

    /// The process.
    pub const fn process(&self) -> &Process {
        &self.0
    }

    /// The process, to end it.
    pub fn into_process(self) -> Process {
        self.0
    }

    /// Waits for so many exchanges.
    pub fn wait(&self, count: usize) -> Result<Exchanges> {
        let lines = self.0.wait_stdout(Duration::from_secs(30), |lines| {
            (lines.iter().filter(|line| is_exchange(line)).count() >= count).then(|| lines.to_vec())
        });
        check(&lines.with_context(|| format!("waited for {count} exchanges"))?)
    }

    /// Ends it in the ordinary way, and gives everything it has written.
    pub fn stop(self) -> Result<(Exchanges, Ended)> {
        let ended = self.0.stop(Signal::SIGINT, Duration::from_secs(30))?;
        Ok((check(&ended.stdout)?, ended))
    }
}
