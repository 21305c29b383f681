use std::{
    fs::{self, File},
    io::Read as _,
    path::PathBuf,
};

use anyhow::Context as _;

use super::load::load;
use crate::{
    inspect::{Plan, pii::Key},
    policy::{Error, Policy},
};

/// Reads policies and what they name, ready to be put in force.
pub(in crate::cli) fn plan(paths: &[PathBuf], key: &Key) -> Result<Plan, Error> {
    of(load(paths)?, key)
}

/// Reads what policies name. What is wrong with it is wrong with the rule that names it.
pub(super) fn of(policy: Policy, key: &Key) -> Result<Plan, Error> {
    Plan::new(policy, &|path| fs::read(path), key).map_err(|error| {
        let why: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
        Error::in_rule(error.to_string(), why.join(": "))
    })
}

/// Another one in each run: hashes recognise a value within one run, and tell nothing beyond it.
pub(in crate::cli) fn key() -> anyhow::Result<Key> {
    let mut bytes = [0; 32];
    let from = "/dev/urandom";
    File::open(from).and_then(|mut file| file.read_exact(&mut bytes)).with_context(|| format!("cannot read {from}"))?;
    Ok(Key::new(&bytes))
}
