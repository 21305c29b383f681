//! Both halves: the kernel object, then the binary that carries it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::{
    linker::{self, Linker},
    project::{Project, foreign},
    step,
    toolchain::{self, Toolchain},
};

/// Provides the tools and builds both halves; gives the path of the binary.
pub(crate) fn all(project: &Project) -> Result<PathBuf> {
    object(project)?;
    binary(project)
}

/// Builds the kernel object and puts it where the binary's build takes it from.
pub(crate) fn object(project: &Project) -> Result<()> {
    let compiler = toolchain::provide(project)?;
    let linker = linker::provide(project, &compiler)?;
    let mut command = cargo(project, &compiler, &linker, "build");
    step::stream("Building the kernel object", &mut command)
        .with_context(|| format!("compiler {compiler}, linker {linker}"))?;
    let built = build_dir(project).join(target()).join("release/interceptor-ebpf");
    copy_if_changed(&built, &project.object())?;
    let tools = format!("{}, {}", compiler.version_line(), linker.version_line());
    write_if_changed(&project.object_tools(), tools.as_bytes())
}

fn build_dir(project: &Project) -> PathBuf {
    project.path("target/bpf-build")
}

/// The BPF target of this machine's byte order.
fn target() -> &'static str {
    if cfg!(target_endian = "big") { "bpfeb-unknown-none" } else { "bpfel-unknown-none" }
}

/// A cargo command on the kernel crate, for the BPF target.
pub(crate) fn cargo(project: &Project, compiler: &Toolchain, linker: &Linker, verb: &str) -> Command {
    let mut command = foreign(&compiler.cargo);
    command.current_dir(project.ebpf());
    command.args([verb, "--release", "-Zbuild-std=core", "--target", target()]);
    if project.ebpf().join("Cargo.lock").is_file() {
        command.arg("--locked");
    }
    command.env("CARGO_TARGET_DIR", build_dir(project));
    // Lets a stable compiler build `core`.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.env("RUSTC", &compiler.rustc);
    command.env("RUSTFLAGS", "-C debuginfo=2 -C link-arg=--btf");
    let variable = format!("CARGO_TARGET_{}_LINKER", target().to_uppercase().replace('-', "_"));
    command.env(variable, &linker.path);
    command.env("PATH", path_with(&compiler.rustc));
    command
}

/// `PATH` with the compiler's own directory first: cargo looks for its subcommands there.
fn path_with(rustc: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = rustc.parent().map(Path::to_path_buf).into_iter().chain(env::split_paths(&path));
    env::join_paths(directories).unwrap_or(path)
}

/// Leaves the file (and its time) alone if it has these bytes: a new time would rebuild the binary.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from).with_context(|| format!("the kernel object is not at {}", from.display()))?;
    write_if_changed(to, &new)
}

fn write_if_changed(to: &Path, new: &[u8]) -> Result<()> {
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::create_dir_all(to.parent().context("no parent directory")?)?;
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}

/// Builds the binary with optimisation.
pub(crate) fn binary(project: &Project) -> Result<PathBuf> {
    let mut command = project.cargo();
    command.args(["build", "--release", "--locked", "--package", "interceptor-user"]);
    step::stream("Building interceptor", &mut command)?;
    Ok(project.target()?.join("release/interceptor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_object_keeps_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("deep/to"));
        fs::write(&from, "one").unwrap();
        copy_if_changed(&from, &to).unwrap();
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&to).unwrap().set_modified(long_ago).unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), long_ago);
        fs::write(&from, "two").unwrap();
        copy_if_changed(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"two");
    }
}
