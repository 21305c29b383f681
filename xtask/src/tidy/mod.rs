//! `cargo xtask tidy`: the house rules that no compiler checks.
//!
//! Each rule is a function from a source file to violations; the list of files is what Git knows or would add.

mod code;
mod imports;
mod manifest;
mod names;
mod paths;
mod size;
mod source;

use std::{fmt, fs, process::Command};

use anyhow::{Context as _, Result, bail};

use self::source::Source;
use crate::project::Project;

/// A rule that was broken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    what: String,
    why: &'static str,
    fix: &'static str,
    /// Said, but no reason to fail.
    advice: bool,
}

impl Violation {
    fn new(path: &str, line: usize, what: impl Into<String>, why: &'static str, fix: &'static str) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), why, fix, advice: false }
    }

    fn advice(self) -> Self {
        Self { advice: true, ..self }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.advice { "warning" } else { "error" };
        let Self { path, line, what, why, fix, .. } = self;
        write!(f, "{path}:{line}: {kind}: {what}\n    why: {why}\n    fix: {fix}")
    }
}

/// Prints violations; fails if there is one that is more than advice.
pub(crate) fn check(project: &Project) -> Result<()> {
    let files = files(project)?;
    let mut violations = Vec::new();
    for path in &files {
        // A file that Git lists may have been deleted; one that is not text has no lines.
        let Ok(text) = fs::read_to_string(project.path(path)) else { continue };
        violations.extend(file(path, &text)?);
    }
    violations.sort_by(|a, b| (!a.advice, &a.path, a.line).cmp(&(!b.advice, &b.path, b.line)));
    for violation in &violations {
        println!("{violation}");
    }
    let errors = violations.iter().filter(|violation| !violation.advice).count();
    println!("tidy: {} files, {errors} errors, {} warnings", files.len(), violations.len() - errors);
    if errors > 0 {
        bail!("tidy: {errors} rules broken");
    }
    Ok(())
}

fn files(project: &Project) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"]).current_dir(&project.root);
    let output = git.output().context("cannot start git, which tells what belongs to the repository")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?.split_terminator('\0').map(str::to_owned).collect())
}

/// All rules on one file.
fn file(path: &str, text: &str) -> Result<Vec<Violation>> {
    let mut violations = paths::check(path, text);
    if path.ends_with("Cargo.toml") {
        violations.extend(manifest::check(path, text));
    }
    if std::path::Path::new(path).extension().is_some_and(|extension| extension == "rs") {
        let source = Source::parse(path, text)?;
        for rule in [size::check, names::check, imports::check, code::check] {
            violations.extend(rule(&source));
        }
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_says_where_what_why_and_how() {
        let text = Violation::new("a/b.rs", 7, "what", "reason", "remedy").to_string();
        assert_eq!(text, "a/b.rs:7: error: what\n    why: reason\n    fix: remedy");
    }

    #[test]
    fn what_does_not_parse_is_named() {
        let error = format!("{:#}", file("a.rs", "fn {").unwrap_err());
        assert!(error.contains("a.rs"), "{error}");
    }
}
