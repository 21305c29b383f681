//! `cargo xtask test`: every test of the workspace, summed up in one line.

use std::{
    env,
    fmt::Write as _,
    io::{BufRead as _, BufReader, IsTerminal as _, Write as _, stdout},
    process::{ExitCode, Stdio},
};

use anyhow::{Context as _, Result, bail};

use crate::{build, packages, project::Project};

/// Builds, runs and sums up.
pub(crate) fn run(project: &Project, filter: Option<&str>) -> Result<ExitCode> {
    packages::provide("Tools for tests", packages::FOR_TESTS);
    let binary = build::all(project)?;
    let mut command = project.cargo();
    command.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    // The pipe below hides the terminal from cargo and from the tests.
    let color = stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    command.env("CARGO_TERM_COLOR", if color { "always" } else { "never" });
    command.arg("--").args(filter);
    if color {
        command.args(["--color", "always"]);
    }
    command.env("INTERCEPTOR_BIN", binary).stdin(Stdio::null()).stdout(Stdio::piped());
    eprintln!("==> Building and running the tests");
    let mut child = command.spawn().context("cannot start cargo")?;
    let output = child.stdout.take().context("cargo has no output")?;
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let mut out = stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        tally.line(&without_escapes(&String::from_utf8_lossy(&line)));
    }
    tally.end_of_binary();
    let status = child.wait()?;
    if tally.passed + tally.failed + tally.skipped.len() == 0 {
        match filter {
            Some(filter) if status.success() => bail!("no test has a name that contains '{filter}'"),
            _ => bail!("no test ran: {status}"),
        }
    }
    print!("{}", tally.summary());
    let passed = status.success() && tally.failed == 0;
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the test binaries reported.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
    /// Name and reason.
    skipped: Vec<(String, String)>,
    failures: Vec<Failure>,
    /// The failed test whose words come now, by its place among `failures`.
    telling: Option<usize>,
    /// A binary said `running N tests` and has not given its result yet.
    running: bool,
}

/// A test that failed.
struct Failure {
    name: String,
    /// How what it said begins.
    said: Vec<String>,
}

/// Lines of what a failed test said that the summary has.
const SAID: usize = 12;

impl Tally {
    /// A line of libtest's (and libtest-mimic's) output.
    fn line(&mut self, line: &str) {
        if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            self.end_of_binary();
            self.running = true;
        } else if let Some(counts) = line.strip_prefix("test result: ") {
            self.running = false;
            self.telling = None;
            self.passed += count(counts, " passed");
            self.failed += count(counts, " failed");
        } else if let Some((name, outcome)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) {
            let name = name.trim().to_owned();
            if let Some(reason) = outcome.strip_prefix("ignored") {
                // libtest writes `ignored, reason`, libtest-mimic `ignored (reason)`.
                let reason = reason.trim_start_matches([',', ' ']);
                let reason = reason.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).unwrap_or(reason);
                self.skipped.push((name, reason.to_owned()));
            } else if outcome.starts_with("FAILED") {
                self.failures.push(Failure { name, said: Vec::new() });
            }
        } else {
            self.said(line);
        }
    }

    /// What failed tests said comes after `failures:`, each below a line of its name (libtest's ends in ` stdout`), until their
    /// names come once more below another `failures:`.
    fn said(&mut self, line: &str) {
        let name = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" ----"));
        if line == "failures:" {
            self.telling = None;
        } else if let Some(name) = name.map(|name| name.strip_suffix(" stdout").unwrap_or(name)) {
            // Another binary may have one of the same name: this one's was said to have failed last.
            self.telling = self.failures.iter().rposition(|failure| failure.name == name);
        } else if let Some(failure) = self.telling.and_then(|place| self.failures.get_mut(place))
            && failure.said.len() < SAID
            && !line.trim().is_empty()
        {
            failure.said.push(line.to_owned());
        }
    }

    /// A binary that dies gives no result: that is a failure, not nothing.
    fn end_of_binary(&mut self) {
        if self.running {
            self.running = false;
            self.failed += 1;
            self.telling = None;
            let name = "(a test binary ended without a result)".to_owned();
            self.failures.push(Failure { name, said: Vec::new() });
        }
    }

    fn summary(&self) -> String {
        let mut text = String::from("\n");
        for Failure { name, said } in &self.failures {
            writeln!(text, "failed: {name}").ok();
            for line in said {
                writeln!(text, "    {line}").ok();
            }
        }
        for (name, reason) in &self.skipped {
            let reason = if reason.is_empty() { "no reason given" } else { reason };
            writeln!(text, "skipped: {name}: {reason}").ok();
        }
        let Self { passed, failed, .. } = self;
        writeln!(text, "\n{passed} passed, {failed} failed, {} skipped", self.skipped.len()).ok();
        text
    }
}

/// The number before `word` in `ok. 3 passed; 0 failed; …`.
fn count(counts: &str, word: &str) -> usize {
    let before = counts.split_once(word).map_or("", |(before, _)| before);
    before.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// Removes `ESC [ … letter` sequences.
fn without_escapes(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.by_ref().take_while(|c| !c.is_ascii_alphabetic()).for_each(drop);
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.line(&without_escapes(line)));
        tally.end_of_binary();
        tally
    }

    #[test]
    fn several_binaries_are_summed_up() {
        let tally = tally(
            "running 3 tests\ntest a::b ... ok\ntest a::c ... \x1b[31mFAILED\x1b[0m\ntest d ... ignored, no root\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s\n\
             running 3 tests\ntest e    ... \x1b[32mok\x1b[0m\ntest f ... ignored\n\
             test g ... \x1b[33mignored (needs root (or bpf))\x1b[0m\n\
             test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out\n",
        );
        assert!(tally.summary().ends_with("\n\n13 passed, 1 failed, 3 skipped\n"), "{}", tally.summary());
        assert!(tally.summary().contains("skipped: d: no root\n"));
        assert!(tally.summary().contains("skipped: f: no reason given\n"));
        assert!(tally.summary().contains("skipped: g: needs root (or bpf)\n"));
        assert!(tally.summary().contains("failed: a::c\n"));
    }

    #[test]
    fn the_summary_has_how_what_failed_tests_said_begins() {
        let long = (1..=20).fold(String::new(), |text, number| text + &format!("line {number}\n"));
        let tally = tally(&format!(
            "running 3 tests\ntest a::b ... FAILED\ntest c ... FAILED\ntest d ... ok\n\nfailures:\n\n\
             ---- a::b stdout ----\n\nthread 'a::b' panicked at src/a.rs:1:\nleft: 1\n\n\
             ---- c stdout ----\n{long}\n\nfailures:\n    a::b\n    c\n\n\
             test result: FAILED. 1 passed; 2 failed; 0 ignored\nerror: test failed\n\
             running 1 test\ntest c ... FAILED\n\nfailures:\n\n---- \x1b[1mc\x1b[0m ----\nof libtest-mimic\n\n\n\
             failures:\n    c\n\n\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n"
        ));
        let twelve = (1..=12).fold(String::new(), |text, number| text + &format!("    line {number}\n"));
        let expected = format!(
            "\nfailed: a::b\n    thread 'a::b' panicked at src/a.rs:1:\n    left: 1\n\
             failed: c\n{twelve}failed: c\n    of libtest-mimic\n\n1 passed, 3 failed, 0 skipped\n"
        );
        assert_eq!(tally.summary(), expected);
    }

    #[test]
    fn a_binary_that_dies_is_a_failure() {
        let tally = tally("running 5 tests\ntest a ... ok\nrunning 1 test\ntest result: ok. 1 passed; 0 failed;\n");
        assert_eq!((tally.passed, tally.failed), (1, 1));
        let last = self::tally("running 5 tests\ntest a ... ok\n");
        assert_eq!(last.failed, 1);
    }
}
