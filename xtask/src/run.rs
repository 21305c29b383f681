//! `cargo xtask run`: the demo, or any command of `interceptor`.

use std::{
    ffi::OsString,
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result};

use crate::{build, project::Project};

/// Builds, then becomes `interceptor`: its exit code and signals are its own.
pub(crate) fn run(project: &Project, mut args: Vec<OsString>) -> Result<ExitCode> {
    let binary = build::all(project)?;
    if args.is_empty() {
        args.push("demo".into());
    }
    let error = Command::new(&binary).args(args).env_remove("LD_LIBRARY_PATH").exec();
    Err(error).with_context(|| format!("cannot start {}", binary.display()))
}
