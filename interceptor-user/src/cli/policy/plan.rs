use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
};

use anyhow::Context as _;

use super::load::load;
use crate::inspect::{Plan, pii::Key};

/// Reads policies and what they name, ready to be put in force.
pub(in crate::cli) fn plan(paths: &[PathBuf], key: &Key) -> anyhow::Result<Plan> {
    Plan::new(load(paths)?, &|path| fs::read(path), key)
}

/// Another one in each run: hashes recognise a value within one run, and tell nothing beyond it.
pub(in crate::cli) fn key() -> anyhow::Result<Key> {
    let mut bytes = [0; 32];
    let from = "/dev/urandom";
    File::open(from).and_then(|mut file| file.read_exact(&mut bytes)).with_context(|| format!("cannot read {from}"))?;
    Ok(Key::new(&bytes))
}
