use std::{io, path::Path};

use super::Inspector;
use crate::{
    model::Needs,
    policy::{Policy, Rule},
};

/// A policy with all that its inspectors need, ready to be put in force.
#[derive(Debug)]
pub struct Plan {
    policy: Policy,
    /// What the inspectors of each rule need.
    needs: Vec<Needs>,
    /// Does a rule need to know what is asked of a model server?
    reads_inference: bool,
    estimates_tokens: bool,
}

/// Reads a file that a policy names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Plan {
    /// Reads what the policy names. Errors say which rule is meant, and what is wrong with what it names.
    pub fn new(policy: Policy, _read: ReadFile<'_>) -> anyhow::Result<Self> {
        let rules = policy.rules();
        let needs = rules.iter().map(|_| Needs::default()).collect();
        let reads_inference = rules.iter().any(Rule::reads_inference);
        let estimates = |rule: &Rule| rule.inspect.inference.is_some_and(|inference| inference.estimate_tokens);
        let estimates_tokens = rules.iter().any(estimates);
        Ok(Self { policy, needs, reads_inference, estimates_tokens })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the inspectors of each rule need, in the order of the policy's rules.
    pub fn needs(&self) -> &[Needs] {
        &self.needs
    }

    /// Does a rule need to know what is asked of a model server?
    pub const fn reads_inference(&self) -> bool {
        self.reads_inference
    }

    /// Are tokens estimated that the wire does not state?
    pub const fn estimates_tokens(&self) -> bool {
        self.estimates_tokens
    }

    /// The inspectors of each rule, for one worker.
    pub fn inspectors(&self) -> Vec<Vec<Box<dyn Inspector>>> {
        self.policy.rules().iter().map(|_| Vec::new()).collect()
    }
}
