use std::{
    fs,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A process, with what it has written so far. Killed when it is dropped.
pub struct Process {
    name: String,
    child: Child,
    output: Arc<Output>,
    readers: Vec<JoinHandle<()>>,
}

/// What a process has written, by line.
#[derive(Default)]
struct Output {
    lines: Mutex<Lines>,
    changed: Condvar,
}

#[derive(Default)]
struct Lines {
    stdout: Vec<String>,
    stderr: Vec<String>,
    /// Streams that have ended.
    ended: usize,
}

/// A process that is over.
#[derive(Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Lines of its output.
    pub stdout: Vec<String>,
    /// Lines of its errors.
    pub stderr: Vec<String>,
}

impl Process {
    /// Starts it, without input.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        let output = Arc::<Output>::default();
        let stdout = child.stdout.take().map(|stream| output.read(stream, |lines| &mut lines.stdout));
        let stderr = child.stderr.take().map(|stream| output.read(stream, |lines| &mut lines.stderr));
        Ok(Self { name, child, output, readers: stdout.into_iter().chain(stderr).collect() })
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Memory of its own that is resident, in KiB: mapped rings and files are not.
    pub fn anonymous_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let kept = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("no RssAnon")?;
        Ok(kept.trim().trim_end_matches(" kB").parse()?)
    }

    /// It has closed both its streams: it has ended, or is about to.
    pub fn is_over(&self) -> bool {
        self.output.lines.lock().unwrap_or_else(PoisonError::into_inner).ended == self.readers.len()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("cannot signal {}", self.name))
    }

    /// Waits until it has written what `found` looks for to its standard output.
    pub fn wait_stdout<T>(&self, timeout: Duration, found: impl FnMut(&[String]) -> Option<T>) -> Result<T> {
        self.wait(timeout, |lines| &lines.stdout, found)
    }

    /// Waits until it has written a line that contains `text` to its standard error, and gives that line.
    pub fn wait_stderr(&self, timeout: Duration, text: &str) -> Result<String> {
        self.wait(timeout, |lines| &lines.stderr, |lines| lines.iter().find(|line| line.contains(text)).cloned())
            .with_context(|| format!("looked for {text:?}"))
    }

    fn wait<T>(
        &self,
        timeout: Duration,
        stream: fn(&Lines) -> &Vec<String>,
        mut found: impl FnMut(&[String]) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + timeout;
        let mut lines = self.output.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = found(stream(&lines)) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if lines.ended == self.readers.len() || left.is_zero() {
                let why = if left.is_zero() { "has not said it in time" } else { "ended without saying it" };
                let tail = |lines: &[String]| lines[lines.len().saturating_sub(10)..].join("\n");
                bail!("{} {why}; it wrote:\n{}\n{}", self.name, tail(&lines.stdout), tail(&lines.stderr));
            }
            lines = self.output.changed.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for its end.
    pub fn end(mut self, timeout: Duration) -> Result<Ended> {
        let status = until(timeout, &format!("the end of {}", self.name), || Ok(self.child.try_wait()?))?;
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
        let lines = std::mem::take(&mut *self.output.lines.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Ended { status, stdout: lines.stdout, stderr: lines.stderr })
    }

    /// Sends a signal and waits for the end.
    pub fn stop(self, signal: Signal, timeout: Duration) -> Result<Ended> {
        self.signal(signal)?;
        self.end(timeout)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn read(
        self: &Arc<Self>,
        stream: impl Read + Send + 'static,
        lines: fn(&mut Lines) -> &mut Vec<String>,
    ) -> JoinHandle<()> {
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::with_capacity(1 << 16, stream).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                lines(&mut output.lines.lock().unwrap_or_else(PoisonError::into_inner)).push(line);
                output.changed.notify_all();
            }
            output.lines.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
            output.changed.notify_all();
        })
    }
}

impl Ended {
    /// Fails unless it ended by itself, successfully.
    pub fn success(self) -> Result<Self> {
        if !self.status.success() {
            bail!("{}: {}", self.status, self.stderr.join("\n"));
        }
        Ok(self)
    }
}

/// Asks until there is an answer, or the time is over.
pub fn until<T>(timeout: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if Instant::now() >= deadline {
            bail!("waited {timeout:?} in vain for {what}");
        }
        thread::sleep(Duration::from_millis(5));
    }
}
