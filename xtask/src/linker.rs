//! `bpf-linker`: its LLVM has to be at least as new as the compiler's, as it reads the compiler's bitcode.

use std::{
    env, fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{
    apt,
    project::{Project, on_path},
    step,
    toolchain::Toolchain,
};

/// The release that we install.
const RELEASE: &str = "0.13.0";
/// LLVM versions that this release can be built with.
const LLVM: std::ops::RangeInclusive<u32> = 21..=23;

/// A linker.
#[derive(Clone, Debug)]
pub(crate) struct Linker {
    pub(crate) path: PathBuf,
    /// Major version of its LLVM, where the binary tells.
    pub(crate) llvm: Option<u32>,
}

impl Linker {
    fn inspect(path: &Path) -> Option<Self> {
        // It may be there and yet not start: its libLLVM was removed.
        let works = Command::new(path).arg("--version").output().is_ok_and(|output| output.status.success());
        works.then(|| Self { path: path.to_owned(), llvm: fs::read(path).ok().and_then(|binary| llvm_of(&binary)) })
    }

    /// Whether it reads what a compiler with this LLVM writes. A statically linked one does not tell: it is tried.
    pub(crate) fn fits(&self, compiler: u32) -> bool {
        self.llvm.is_none_or(|llvm| llvm >= compiler)
    }
}

impl Linker {
    /// Without the places of this machine.
    pub(crate) fn version_line(&self) -> String {
        self.llvm.map_or_else(|| "bpf-linker".to_owned(), |llvm| format!("bpf-linker (LLVM {llvm})"))
    }
}

impl fmt::Display for Linker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.llvm {
            Some(llvm) => write!(f, "{} (LLVM {llvm})", self.path.display()),
            None => write!(f, "{} (its LLVM is not known: statically linked)", self.path.display()),
        }
    }
}

/// The number in the name of the library that the binary asks the loader for: `libLLVM.so.22.1`, `libLLVM-22.so`.
fn llvm_of(binary: &[u8]) -> Option<u32> {
    const NAME: &[u8] = b"libLLVM";
    binary.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME).find_map(|(at, _)| {
        let rest = &binary[at + NAME.len()..];
        let rest = rest.strip_prefix(b".so.").or_else(|| rest.strip_prefix(b"-"))?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    })
}

/// Those that are installed, ours first.
pub(crate) fn present(project: &Project) -> Vec<Linker> {
    let ours = project.tools().join("bin/bpf-linker");
    let home = cargo_home().map(|home| home.join("bin/bpf-linker"));
    let mut paths: Vec<_> = [Some(ours), on_path("bpf-linker"), home].into_iter().flatten().collect();
    paths.dedup();
    paths.iter().filter_map(|path| Linker::inspect(path)).collect()
}

fn cargo_home() -> Option<PathBuf> {
    let default = || env::home_dir().map(|home| home.join(".cargo"));
    env::var_os("CARGO_HOME").map(PathBuf::from).or_else(default)
}

/// Finds a linker for what the compiler writes, or installs one.
pub(crate) fn provide(project: &Project, compiler: &Toolchain) -> Result<Linker> {
    let fitting = || present(project).into_iter().find(|linker| linker.fits(compiler.llvm));
    if let Some(found) = fitting() {
        return Ok(found);
    }
    for unfit in present(project) {
        eprintln!("    {unfit} does not read the output of LLVM {}, which {} has", compiler.llvm, compiler.name);
    }
    match packaged_llvm(compiler.llvm)? {
        Some(llvm) => compile(project, llvm)?,
        None => download(project, compiler.llvm)?,
    }
    fitting().context("bpf-linker was installed, but does not start")
}

/// The oldest LLVM of the distribution that fits compiler and linker.
fn packaged_llvm(compiler: u32) -> Result<Option<u32>> {
    apt::know(&format!("llvm-{compiler}-dev"))?;
    let has = |llvm: &u32| packages(*llvm).iter().all(|package| apt::candidate(package).is_some());
    Ok(LLVM.filter(|llvm| *llvm >= compiler).find(has))
}

fn packages(llvm: u32) -> [String; 2] {
    [format!("llvm-{llvm}-dev"), format!("libpolly-{llvm}-dev")]
}

fn compile(project: &Project, llvm: u32) -> Result<()> {
    let prefix = PathBuf::from(format!("/usr/lib/llvm-{llvm}"));
    if !prefix.join("include/llvm/Config/llvm-config.h").is_file() || !prefix.join("lib/libPolly.a").is_file() {
        let packages = packages(llvm);
        apt::install("LLVM for bpf-linker", &packages.each_ref().map(String::as_str))?;
    }
    let mut command = project.install("bpf-linker");
    command.args(["--version", RELEASE, "--no-default-features", "--features"]).arg(format!("llvm-{llvm}"));
    command.env("LLVM_PREFIX", prefix);
    step::run("Compiling bpf-linker (about a minute)", &mut command)
}

/// The project's own binary, statically linked with the newest LLVM of its time.
fn download(project: &Project, compiler: u32) -> Result<()> {
    if compiler > *LLVM.end() {
        bail!("bpf-linker {RELEASE} knows LLVM up to {}, the compiler has {compiler}", LLVM.end());
    }
    let missing: Vec<&str> = ["curl", "zstd"].into_iter().filter(|tool| on_path(tool).is_none()).collect();
    if !missing.is_empty() {
        apt::install("To download bpf-linker", &missing)?;
    }
    let bin = project.tools().join("bin");
    fs::create_dir_all(&bin)?;
    let url = format!(
        "https://github.com/aya-rs/bpf-linker/releases/download/v{RELEASE}/bpf-linker-{}-unknown-linux-musl.tar.zst",
        env::consts::ARCH
    );
    let mut command = Command::new("sh");
    let script = "set -e; curl --fail --location --silent --show-error --max-time 120 \"$1\" --output \"$2/archive\"
        tar --zstd --extract --file \"$2/archive\" --directory \"$2\"; rm \"$2/archive\"";
    command.args(["-c", script, "sh", &url]).arg(&bin);
    step::run("Downloading bpf-linker", &mut command).with_context(|| {
        format!("this distribution has no LLVM {compiler}; install bpf-linker by hand: {}", advice(compiler))
    })
}

/// How to get a linker, for `doctor`.
pub(crate) fn advice(llvm: u32) -> String {
    format!(
        "{} && LLVM_PREFIX=/usr/lib/llvm-{llvm} cargo install bpf-linker --locked --no-default-features --features llvm-{llvm}",
        apt::install_command(&packages(llvm).each_ref().map(String::as_str))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_names_tell_the_llvm() {
        assert_eq!(llvm_of(b"\0libc.so.6\0libLLVM.so.22.1\0"), Some(22));
        assert_eq!(llvm_of(b"\0libLLVM-19.so.1\0"), Some(19));
        assert_eq!(llvm_of(b"\0libLLVMCore\0libLLVM.so.21.1\0"), Some(21));
        assert_eq!(llvm_of(b"statically linked"), None);
    }

    #[test]
    fn an_older_llvm_does_not_fit() {
        let linker = |llvm| Linker { path: PathBuf::new(), llvm };
        assert!(!linker(Some(20)).fits(22));
        assert!(linker(Some(22)).fits(22));
        assert!(linker(Some(23)).fits(22));
        assert!(linker(None).fits(22));
    }
}
