use std::{
    cell::RefCell,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::load::load;
use crate::{
    inspect::{Plan, pii::Key},
    policy::{Error, Policy},
};

/// Reads policies and what they name, ready to be put in force.
pub(in crate::cli) fn plan(paths: &[PathBuf], key: &Key) -> Result<Plan, Error> {
    of(load(paths)?, key, &mut Vec::new())
}

/// The same; tells the files that policies name, also where one of them is wrong.
pub(in crate::cli) fn plan_of_files(paths: &[PathBuf], key: &Key, named: &mut Vec<PathBuf>) -> Result<Plan, Error> {
    of(load(paths)?, key, named)
}

/// Reads what policies name. What is wrong with it is wrong with the rule that names it.
pub(super) fn of(policy: Policy, key: &Key, named: &mut Vec<PathBuf>) -> Result<Plan, Error> {
    let read = RefCell::new(named);
    let read = |path: &Path| {
        read.borrow_mut().push(path.to_owned());
        fs::read(path)
    };
    Plan::new(policy, &read, key).map_err(|error| {
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
