//! A compiler for the BPF target: one that has the sources of `core`, as no prebuilt `core` exists for BPF.
//!
//! In this order: a rustup toolchain that has `rust-src`; one that `rustup component add rust-src` gives it to; the
//! distribution's. Stable compilers build `core` with `RUSTC_BOOTSTRAP=1`.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt,
    project::{Project, foreign, on_path},
    step::{self, Outcome},
};

/// Offline, rustup tries for minutes.
const COMPONENT_LIMIT: Duration = Duration::from_secs(20);
/// How long a failure to add rust-src is remembered, if the distribution's compiler is there instead.
const REMEMBER: Duration = Duration::from_hours(24);
/// Packages of the distribution's compiler, cargo and sources; the first set that is new enough is taken.
const DISTRIBUTION: [[&str; 3]; 2] = [["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// Major and minor version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(pub(crate) u32, pub(crate) u32);

impl Version {
    /// From `1.95.0-nightly`, `22.1.8-1~deb12u1`, `1.95`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
        let major = numbers.next()?.ok()?;
        let minor = numbers.next().and_then(Result::ok).unwrap_or(0);
        Some(Self(major, minor))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// A compiler.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    /// How rustup calls it, or `distribution`.
    pub(crate) name: String,
    pub(crate) rustc: PathBuf,
    pub(crate) cargo: PathBuf,
    pub(crate) version: Version,
    /// Major version of its LLVM; the linker's has to be at least that.
    pub(crate) llvm: u32,
    /// It has the sources of `core`.
    pub(crate) has_source: bool,
}

impl Toolchain {
    fn inspect(name: &str, rustc: PathBuf, cargo: PathBuf) -> Option<Self> {
        let verbose = output(foreign(&rustc).arg("-vV"))?;
        let field = |name: &str| verbose.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let sysroot = output(foreign(&rustc).args(["--print", "sysroot"]))?;
        let source = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
        Some(Self {
            name: name.to_owned(),
            version: Version::parse(field("release:")?)?,
            llvm: Version::parse(field("LLVM version:")?)?.0,
            has_source: source.is_file() && cargo.is_file(),
            rustc,
            cargo,
        })
    }
}

impl Toolchain {
    /// Without the places of this machine.
    pub(crate) fn version_line(&self) -> String {
        format!("rustc {} ({}, LLVM {})", self.version, self.name, self.llvm)
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rustc {}, LLVM {}, {})", self.name, self.version, self.llvm, self.rustc.display())
    }
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// All of rustup's toolchains, the active one first.
pub(crate) fn rustup() -> Vec<Toolchain> {
    let Some(list) = output(foreign("rustup").args(["toolchain", "list"])) else { return Vec::new() };
    // The one that runs us, which a directory override or `cargo +x` may have picked.
    let running = env::var("RUSTUP_TOOLCHAIN").unwrap_or_default();
    let mut names: Vec<&str> = list.lines().filter(|line| line.contains('-')).collect();
    let rank = |line: &&str| {
        let name = line.split(' ').next().unwrap_or_default();
        (name != running, !line.contains("active"), !name.starts_with("stable"))
    };
    names.sort_by_key(rank);
    names
        .iter()
        .filter_map(|line| line.split(' ').next())
        .filter_map(|name| {
            let which = output(foreign("rustup").args(["which", "--toolchain", name, "rustc"]))?;
            let rustc = PathBuf::from(which.trim());
            let cargo = rustc.with_file_name("cargo");
            Toolchain::inspect(name, rustc, cargo)
        })
        .collect()
}

/// The distribution's compiler, if it is installed.
pub(crate) fn distribution() -> Option<Toolchain> {
    let rustc = PathBuf::from("/usr/bin/rustc");
    rustc.is_file().then(|| Toolchain::inspect("distribution", rustc, "/usr/bin/cargo".into()))?
}

/// What is there and fits without installing anything.
pub(crate) fn present(oldest: Version) -> Option<Toolchain> {
    rustup().into_iter().chain(distribution()).find(|toolchain| toolchain.has_source && toolchain.version >= oldest)
}

/// Finds a compiler or installs one.
pub(crate) fn provide(project: &Project) -> Result<Toolchain> {
    let oldest = project.rust_version()?;
    let fits = |toolchain: &Toolchain| toolchain.has_source && toolchain.version >= oldest;
    let candidates: Vec<_> = rustup().into_iter().filter(|toolchain| toolchain.version >= oldest).collect();
    if let Some(found) = candidates.iter().find(|toolchain| toolchain.has_source) {
        return Ok(found.clone());
    }
    let fallback = distribution().filter(fits);
    let failed_before = project.path("target/bpf/rust-src-not-available");
    if !(fallback.is_some() && recent(&failed_before)) {
        for candidate in &candidates {
            let added = add_source(&candidate.name)?;
            // Looked at again: rustup has been seen to succeed without sources.
            if let (true, Some(found)) = (added, rustup().into_iter().find(fits)) {
                return Ok(found);
            }
            eprintln!("    not available (offline?); the distribution's compiler will do");
        }
        fs::create_dir_all(project.path("target/bpf"))?;
        fs::write(&failed_before, "`rustup component add rust-src` failed; delete this file to try again at once\n")?;
    }
    match fallback {
        Some(found) => Ok(found),
        None => install(oldest),
    }
}

fn recent(file: &Path) -> bool {
    let modified = fs::metadata(file).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age < REMEMBER))
}

fn add_source(toolchain: &str) -> Result<bool> {
    let mut command = foreign("rustup");
    command.args(["component", "add", "rust-src", "--toolchain", toolchain]);
    // One attempt is enough: there is another way.
    command.env("RUSTUP_MAX_RETRIES", "0");
    let what = format!("Adding rust-src to {toolchain} (needed to compile for BPF)");
    match step::attempt(&what, &mut command, COMPONENT_LIMIT)? {
        Outcome::Success => Ok(true),
        Outcome::Failed(..) | Outcome::TimedOut => Ok(false),
    }
}

fn install(oldest: Version) -> Result<Toolchain> {
    apt::know(DISTRIBUTION[0][0])?;
    let new_enough = |packages: &&[&str; 3]| {
        let all = packages.iter().all(|package| apt::candidate(package).is_some());
        all && apt::candidate(packages[0]).is_some_and(|version| version >= oldest)
    };
    let Some(packages) = DISTRIBUTION.iter().find(new_enough) else {
        bail!(
            "no compiler for the BPF target: it takes rustc {oldest} or newer with the sources of core, and neither \
             rustup nor the distribution offers it. With rustup and a network:\n    rustup component add rust-src"
        );
    };
    apt::install("Compiler for BPF", packages)?;
    distribution().filter(|found| found.has_source && found.version >= oldest).with_context(|| {
        format!("{} are installed, but /usr/bin/rustc with sources of core is not there", packages.join(", "))
    })
}

/// How to get a compiler, for `doctor`.
pub(crate) fn advice() -> String {
    let rustup = "rustup component add rust-src";
    if on_path("apt-get").is_none() {
        return rustup.to_owned();
    }
    format!("{rustup}    (or: {})", apt::install_command(&DISTRIBUTION[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_compilers_and_packages() {
        assert_eq!(Version::parse("1.97.0-nightly"), Some(Version(1, 97)));
        assert_eq!(Version::parse("22.1.8-1~deb12u1"), Some(Version(22, 1)));
        assert_eq!(Version::parse("1.96.0+dfsg1-1~deb12u2"), Some(Version(1, 96)));
        assert_eq!(Version::parse("1.95"), Some(Version(1, 95)));
        assert_eq!(Version::parse("(none)"), None);
        assert!(Version(1, 100) > Version(1, 95));
    }

    #[test]
    fn the_compiler_that_runs_the_tests_is_recognised() {
        let rustc = on_path("rustc").unwrap();
        let found = Toolchain::inspect("here", rustc, "cargo".into()).unwrap();
        assert!(found.version >= Version(1, 95) && found.llvm >= 20, "{found}");
    }
}
