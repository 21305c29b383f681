//! Where things are, and how cargo is called.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::toolchain::Version;

/// The workspace.
pub(crate) struct Project {
    /// Directory of the workspace's `Cargo.toml`.
    pub(crate) root: PathBuf,
}

impl Project {
    pub(crate) fn find() -> Result<Self> {
        // Cargo sets it for `cargo run`; the compiled-in value serves a binary that is called by its path.
        let manifest =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest.parent().context("xtask has no parent directory")?.to_path_buf();
        if !root.join("Cargo.toml").is_file() {
            bail!("no Cargo.toml in {}: call it as `cargo xtask` inside the repository", root.display());
        }
        Ok(Self { root })
    }

    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// Crate of the kernel programs.
    pub(crate) fn ebpf(&self) -> PathBuf {
        self.path("interceptor-ebpf")
    }

    /// Where `interceptor-user/build.rs` takes the object from.
    pub(crate) fn object(&self) -> PathBuf {
        self.path("target/bpf/interceptor-ebpf")
    }

    /// What made that object, for `interceptor doctor`.
    pub(crate) fn object_tools(&self) -> PathBuf {
        self.path("target/bpf/interceptor-ebpf.tools")
    }

    /// Tools that are installed for this workspace only.
    pub(crate) fn tools(&self) -> PathBuf {
        self.path("target/tools")
    }

    /// Cargo of the toolchain that runs us, in the workspace.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(&self.root);
        forget_package(&mut command);
        command
    }

    /// Installs a tool into [`Self::tools`]: built to be there soon, not to be fast.
    pub(crate) fn install(&self, tool: &str) -> Command {
        let mut command = self.cargo();
        command.args(["install", tool, "--locked", "--root"]).arg(self.tools());
        for (key, value) in [("LTO", "off"), ("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16"), ("DEBUG", "0")] {
            command.env(format!("CARGO_PROFILE_RELEASE_{key}"), value);
        }
        command
    }

    /// A cargo subcommand that is a program of its own (`cargo-deny`), in the workspace.
    pub(crate) fn subcommand(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        forget_package(&mut command);
        command
    }

    /// Cargo's target directory, wherever configuration or environment put it.
    pub(crate) fn target(&self) -> Result<PathBuf> {
        let output = self.cargo().args(["metadata", "--no-deps", "--format-version=1"]).output()?;
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
            .with_context(|| format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)))?;
        let path = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
        Ok(path.into())
    }

    /// The oldest compiler that we accept: `rust-version` of the workspace.
    pub(crate) fn rust_version(&self) -> Result<Version> {
        let path = self.path("Cargo.toml");
        let manifest = std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        manifest
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = "))
            .and_then(|value| Version::parse(value.trim().trim_matches('"')))
            .with_context(|| format!("{} states no rust-version", path.display()))
    }
}

/// Removes what `cargo run` told us about ourselves: another cargo would take it for its own (a different
/// `LD_LIBRARY_PATH` or `CARGO_*` makes build scripts run again, a `RUSTUP_TOOLCHAIN` picks the wrong compiler).
fn forget_package(command: &mut Command) {
    command.env_remove("LD_LIBRARY_PATH");
    for (name, _) in env::vars_os() {
        let Some(text) = name.to_str() else { continue };
        let ours = ["CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_MANIFEST_"].iter().any(|p| text.starts_with(p));
        if ours || matches!(text, "CARGO" | "CARGO_PRIMARY_PACKAGE") {
            command.env_remove(&name);
        }
    }
}

/// A command of another toolchain: nothing of the one that runs us leaks in.
pub(crate) fn foreign(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    forget_package(&mut command);
    for name in ["RUSTUP_TOOLCHAIN", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOC", "RUSTFLAGS"] {
        command.env_remove(name);
    }
    for name in ["CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "CARGO_BUILD_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}

/// First file of that name in `PATH`, and in the directories where a plain user's `PATH` has no entry.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|file| file.is_file())
}
