//! `cargo xtask ci`: what a change has to pass, each part timed.

use std::{
    env,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use crate::{
    apt::{self, Privilege},
    build, linker,
    project::{Project, foreign, on_path},
    step, tidy, toolchain, vm,
};

/// How a part ended.
enum Outcome {
    Passed,
    /// Passed, with something to know.
    Noted(String),
    Failed(String),
}

impl From<Result<()>> for Outcome {
    fn from(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(format!("{error:#}")),
        }
    }
}

type Part = (&'static str, fn(&Project) -> Outcome);

/// In the order in which they are cheap to find wrong.
const PARTS: &[Part] = &[
    ("format", |project| format(project).into()),
    ("tidy", |project| tidy::check(project).into()),
    ("build", |project| build::all(project).map(drop).into()),
    ("clippy", |project| clippy(project).into()),
    ("clippy, kernel", clippy_kernel),
    ("test", |project| tests(project).into()),
    ("kernels", kernels),
    ("aarch64", |project| aarch64(project).into()),
    ("docs", |project| docs(project).into()),
    ("fuzz targets", |project| fuzz(project).into()),
    ("licences", licences),
];

type Ended = (&'static str, Outcome, Duration);

/// Runs all parts, also after a failure: one run tells everything.
pub(crate) fn run(project: &Project) -> ExitCode {
    let results: Vec<Ended> = PARTS.iter().map(|(name, part)| timed(project, name, *part)).collect();
    println!("\n{}", table(&results));
    let failed = results.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_)));
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn timed(project: &Project, name: &'static str, part: fn(&Project) -> Outcome) -> Ended {
    eprintln!("\n==== {name}");
    let started = Instant::now();
    let outcome = part(project);
    if let Outcome::Failed(error) = &outcome {
        eprintln!("error: {error}");
    }
    (name, outcome, started.elapsed())
}

fn table(results: &[Ended]) -> String {
    let line = |(name, outcome, time): &Ended| {
        let (word, note) = match outcome {
            Outcome::Passed => ("ok", ""),
            Outcome::Noted(note) => ("ok", note.as_str()),
            Outcome::Failed(error) => ("FAILED", error.lines().next().unwrap_or_default()),
        };
        format!("{name:<16} {word:<7} {:>6.1} s  {note}", time.as_secs_f64()).trim_end().to_owned()
    };
    let total: Duration = results.iter().map(|(_, _, time)| *time).sum();
    let mut lines: Vec<_> = results.iter().map(line).collect();
    lines.push(format!("{:<24} {:>6.1} s", "total", total.as_secs_f64()));
    lines.join("\n")
}

/// Manifests of the workspaces beside the main one.
fn beside(project: &Project) -> Vec<std::path::PathBuf> {
    let manifests = ["interceptor-ebpf/Cargo.toml", "tests/fuzz/Cargo.toml"].map(|path| project.path(path));
    manifests.into_iter().filter(|path| path.is_file()).collect()
}

fn format(project: &Project) -> Result<()> {
    step::stream("cargo fmt", project.cargo().args(["fmt", "--all", "--check"]))?;
    for manifest in beside(project) {
        let what = format!("cargo fmt, {}", manifest.display());
        step::stream(&what, project.cargo().args(["fmt", "--check", "--manifest-path"]).arg(&manifest))?;
    }
    Ok(())
}

fn clippy(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"]);
    step::stream("cargo clippy", &mut command)
}

/// The kernel half needs a clippy of the compiler that has `core`'s sources.
fn clippy_kernel(project: &Project) -> Outcome {
    let attempt = || -> Result<Outcome> {
        let compiler = toolchain::provide(project)?;
        if !compiler.rustc.with_file_name("cargo-clippy").is_file() {
            return Ok(Outcome::Noted(format!("SKIPPED: the compiler for BPF ({}) has no clippy", compiler.name)));
        }
        let linker = linker::provide(project, &compiler)?;
        let mut command = build::cargo(project, &compiler, &linker, "clippy");
        step::stream("cargo clippy, kernel object", command.args(["--", "-D", "warnings"]))?;
        Ok(Outcome::Passed)
    };
    attempt().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
}

/// As root nothing may be skipped for want of privileges.
fn tests(project: &Project) -> Result<()> {
    let root = apt::privilege() == Privilege::Root;
    if !root {
        eprintln!("not root: tests that need it are skipped");
    }
    let mut command = Command::new(env::current_exe()?);
    command.arg("test");
    if root {
        command.env("REQUIRE_ROOT", "1");
    }
    step::stream("cargo xtask test", command.current_dir(&project.root))
}

/// The kernels that are not this machine's.
fn kernels(project: &Project) -> Outcome {
    match vm::run(project, &vm::Args::default()) {
        Ok(notes) if notes.is_empty() => Outcome::Passed,
        Ok(notes) => Outcome::Noted(notes.join("; ")),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

/// Userspace for the other processor that nodes have; the kernel object is the same, for both are little-endian.
fn aarch64(project: &Project) -> Result<()> {
    let compiler = toolchain::provide(project)?;
    let mut command = foreign(&compiler.cargo);
    command.current_dir(&project.root);
    command.args(["check", "--locked", "--package", "interceptor-user", "--target", "aarch64-unknown-linux-gnu"]);
    // The standard library from its sources: checking takes no linker, and so nothing of that machine.
    command.args(["-Zbuild-std=std,panic_abort"]).env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &compiler.rustc);
    command.env("CARGO_TARGET_DIR", project.path("target/aarch64"));
    // Nor is the C library that we link (zstd) compiled: nothing is linked, so that its build does nothing is enough.
    for tool in ["CC_aarch64_unknown_linux_gnu", "AR_aarch64_unknown_linux_gnu"] {
        command.env(tool, "true");
    }
    step::stream("cargo check, aarch64", &mut command)
}

fn docs(project: &Project) -> Result<()> {
    let mut command = project.cargo();
    command.args(["doc", "--workspace", "--no-deps", "--locked"]).env("RUSTDOCFLAGS", "-D warnings");
    step::stream("cargo doc", &mut command)
}

/// They compile on any compiler; only running them takes a nightly one.
fn fuzz(project: &Project) -> Result<()> {
    let manifest = project.path("tests/fuzz/Cargo.toml");
    if !manifest.is_file() {
        bail!("{} is not there", manifest.display());
    }
    let mut command = project.cargo();
    command.args(["check", "--locked", "--bins", "--manifest-path"]).arg(manifest);
    step::stream("cargo check, fuzz targets", &mut command)
}

/// `cargo deny`; its advisory database lies on a Git server, which not every build machine can reach.
fn licences(project: &Project) -> Outcome {
    let attempt = || -> Result<Outcome> {
        let deny = cargo_deny(project)?;
        let manifests = [project.path("Cargo.toml")].into_iter().chain(beside(project));
        let check = |manifest: &std::path::Path, what: &[&str]| {
            let mut command = project.subcommand(&deny);
            command.args(["--locked", "--manifest-path"]).arg(manifest).arg("--config").arg(project.path("deny.toml"));
            command.arg("check").args(what);
            command
        };
        for manifest in manifests {
            let mut command = check(&manifest, &["bans", "licenses", "sources"]);
            step::stream(&format!("cargo deny, {}", manifest.display()), &mut command)?;
        }
        let mut fetch = project.subcommand(&deny);
        fetch.arg("--config").arg(project.path("deny.toml")).args(["fetch", "db"]);
        match step::attempt("Fetching the advisory database", &mut fetch, Duration::from_mins(1))? {
            step::Outcome::Success => {
                let mut command = check(&project.path("Cargo.toml"), &["advisories"]);
                step::stream("cargo deny, advisories", &mut command)?;
                Ok(Outcome::Passed)
            }
            step::Outcome::Failed(..) | step::Outcome::TimedOut => {
                Ok(Outcome::Noted("ADVISORIES NOT CHECKED: their database cannot be fetched from here".to_owned()))
            }
        }
    };
    attempt().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")))
}

fn cargo_deny(project: &Project) -> Result<std::path::PathBuf> {
    let ours = project.tools().join("bin/cargo-deny");
    if let Some(found) = on_path("cargo-deny").or_else(|| ours.is_file().then(|| ours.clone())) {
        return Ok(found);
    }
    step::run("Compiling cargo-deny (some minutes)", &mut project.install("cargo-deny"))?;
    Ok(ours)
}
