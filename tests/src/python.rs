use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result, bail};

/// Packages of PyPI in an environment of their own, which is made once and kept between runs: its `python`.
#[derive(Clone, Debug)]
pub struct Python(PathBuf);

/// Tests run at the same time; one of them makes it.
static MADE: Mutex<BTreeMap<&str, Result<PathBuf, String>>> = Mutex::new(BTreeMap::new());

impl Python {
    /// With what `tests/e2e/NAME/requirements.txt` names.
    pub fn with(name: &'static str) -> Result<Self> {
        let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
        let made = made.entry(name).or_insert_with(|| make(name).map_err(|error| format!("{error:#}")));
        made.clone().map(Self).map_err(anyhow::Error::msg)
    }

    /// The interpreter.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

fn make(name: &str) -> Result<PathBuf> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let wanted = tests.join(format!("e2e/{name}/requirements.txt"));
    let environment = tests.join(format!("../target/venv-{name}"));
    // Written last: an environment without it, or with another, is made anew.
    let stamp = environment.join("requirements.txt");
    let python = environment.join("bin/python");
    let text = fs::read(&wanted).with_context(|| format!("cannot read {}", wanted.display()))?;
    if fs::read(&stamp).is_ok_and(|made| made == text) {
        return Ok(python);
    }
    succeed(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    succeed(Command::new(&python).args(pip).arg(&wanted))?;
    fs::write(stamp, text)?;
    Ok(python)
}

fn succeed(command: &mut Command) -> Result<()> {
    let ended = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        bail!("{command:?}: {}", said.lines().last().unwrap_or("it failed"));
    }
    Ok(())
}
