//! Steps that take a while: say what is done, for how long, and show the output only if it failed.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stderr},
    process::{Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// Output lines kept for the case that a step fails.
const KEEP: usize = 60;
/// Without a terminal, a line at this interval.
const REMIND: Duration = Duration::from_secs(15);
/// Steps that took longer say how long.
const WORTH_SAYING: Duration = Duration::from_secs(3);

/// Runs `command`, which is described by `what` (in the form 'Installing nginx').
pub(crate) fn run(what: &str, command: &mut Command) -> Result<()> {
    match attempt(what, command, Duration::MAX)? {
        Outcome::Success => Ok(()),
        Outcome::Failed(status, output) => bail!("{what}: {status}\n{output}"),
        Outcome::TimedOut => bail!("{what}: took too long"),
    }
}

/// How a step ended.
pub(crate) enum Outcome {
    Success,
    /// Its status and the last lines of its output.
    Failed(ExitStatus, String),
    /// It was stopped.
    TimedOut,
}

/// Runs `command` for at most `limit`.
pub(crate) fn attempt(what: &str, command: &mut Command, limit: Duration) -> Result<Outcome> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (reader, writer) = std::io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("{what}: cannot start {program}"))?;
    // The command holds the pipe's other end; without it the reader would never see the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let lines = Arc::new(Mutex::new(VecDeque::new()));
    let collector = thread::spawn({
        let lines = Arc::clone(&lines);
        move || collect(reader, &lines)
    });
    let mut progress = Progress::start(what);
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            progress.end("gave up");
            return Ok(Outcome::TimedOut);
        }
        progress.show(&last(&lines));
        thread::sleep(Duration::from_millis(100));
    };
    progress.end(if status.success() { "done" } else { "failed" });
    if status.success() {
        return Ok(Outcome::Success);
    }
    // Joined here only: after a success a daemon that the command left behind may hold the pipe open.
    collector.join().ok();
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Outcome::Failed(status, lines.iter().map(String::as_str).collect::<Vec<_>>().join("\n")))
}

fn collect(reader: std::io::PipeReader, lines: &Mutex<VecDeque<String>>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == KEEP {
            lines.pop_front();
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

fn last(lines: &Mutex<VecDeque<String>>) -> String {
    lines.lock().unwrap_or_else(PoisonError::into_inner).back().cloned().unwrap_or_default()
}

/// A line that tells what goes on: redrawn on a terminal, repeated now and then elsewhere.
struct Progress<'a> {
    what: &'a str,
    started: Instant,
    terminal: bool,
    said: Instant,
    frame: usize,
}

impl<'a> Progress<'a> {
    fn start(what: &'a str) -> Self {
        let terminal = stderr().is_terminal();
        if !terminal {
            eprintln!("==> {what}");
        }
        Self { what, started: Instant::now(), terminal, said: Instant::now(), frame: 0 }
    }

    fn show(&mut self, detail: &str) {
        let elapsed = self.started.elapsed().as_secs();
        let detail: String = detail.trim().chars().filter(|c| !c.is_control()).take(50).collect();
        if self.terminal {
            const FRAMES: [char; 4] = ['|', '/', '-', '\\'];
            self.frame = (self.frame + 1) % FRAMES.len();
            eprint!("\r\x1b[2K{} {} ({elapsed} s) {detail}", FRAMES[self.frame], self.what);
            stderr().flush().ok();
        } else if self.said.elapsed() > REMIND {
            self.said = Instant::now();
            eprintln!("    {elapsed} s: {detail}");
        }
    }

    fn end(&self, how: &str) {
        let elapsed = self.started.elapsed();
        if self.terminal {
            eprintln!("\r\x1b[2K==> {}: {how} ({} s)", self.what, elapsed.as_secs());
        } else if elapsed > WORTH_SAYING || how != "done" {
            eprintln!("    {how} after {} s", elapsed.as_secs());
        }
    }
}

/// Runs `command` with its output going straight through: for tools that show progress themselves.
pub(crate) fn stream(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("==> {what}");
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("{what}: cannot start {program}"))?;
    if !status.success() {
        bail!("{what}: {status}");
    }
    Ok(())
}

/// What `command` writes, if it succeeds.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{what}: cannot start {program}"))?;
    if !output.status.success() {
        bail!("{what}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn failure_shows_both_outputs() {
        let error = run("Trying", &mut shell("echo out; echo err >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("out") && error.contains("err") && error.contains('3'), "{error}");
    }

    #[test]
    fn success_does_not_wait_for_a_daemon() {
        let started = Instant::now();
        run("Starting", &mut shell("sleep 30 & exit 0")).unwrap();
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn time_limit_stops_the_command() {
        let started = Instant::now();
        let outcome = attempt("Waiting", &mut shell("exec sleep 30"), Duration::from_millis(300)).unwrap();
        assert!(matches!(outcome, Outcome::TimedOut));
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = format!("{:#}", run("Trying", &mut Command::new("no-such-program-here")).unwrap_err());
        assert!(error.contains("no-such-program-here"), "{error}");
    }
}
