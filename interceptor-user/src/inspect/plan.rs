use std::{fmt, io, path::Path};

use anyhow::{Context as _, anyhow};

use super::{
    Inspector,
    drift::{Baseline, Drift},
};
use crate::{
    model::Needs,
    policy::{Policy, Rule, settings},
};

/// A policy with all that its inspectors need, ready to be put in force.
pub struct Plan {
    policy: Policy,
    /// What makes the inspectors of each rule.
    makers: Vec<Vec<Make>>,
    /// What they need.
    needs: Vec<Needs>,
    /// Does a rule need to know what is asked of a model server?
    reads_inference: bool,
    estimates_tokens: bool,
}

/// Makes an inspector for a worker, of what was read and checked before.
type Make = Box<dyn Fn() -> Option<Box<dyn Inspector>> + Send + Sync>;

/// Reads a file that a policy names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Plan {
    /// Reads what the policy names. Errors say which rule is meant, and what is wrong with what it names.
    pub fn new(policy: Policy, read: ReadFile<'_>) -> anyhow::Result<Self> {
        let rules = policy.rules();
        let makers: Vec<Vec<Make>> = rules
            .iter()
            .map(|rule| makers(rule, read).with_context(|| format!("{}: rule {}", rule.file, rule.name)))
            .collect::<anyhow::Result<_>>()?;
        let needs = makers.iter().map(|makers| {
            makers
                .iter()
                .filter_map(|make| make())
                .map(|inspector| inspector.needs())
                .fold(Needs::default(), Needs::max)
        });
        let needs = needs.collect();
        let reads_inference = rules.iter().any(Rule::reads_inference);
        let estimates = |rule: &Rule| rule.inspect.inference.is_some_and(|inference| inference.estimate_tokens);
        let estimates_tokens = rules.iter().any(estimates);
        Ok(Self { policy, makers, needs, reads_inference, estimates_tokens })
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
        self.makers.iter().map(|makers| makers.iter().filter_map(|make| make()).collect()).collect()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("policy", &self.policy).finish_non_exhaustive()
    }
}

fn makers(rule: &Rule, read: ReadFile<'_>) -> anyhow::Result<Vec<Make>> {
    let mut makers = Vec::new();
    if let Some(settings) = &rule.inspect.drift {
        makers.push(drift(rule, settings, read)?);
    }
    Ok(makers)
}

fn drift(rule: &Rule, settings: &settings::Drift, read: ReadFile<'_>) -> anyhow::Result<Make> {
    let path = Path::new(&*rule.file).parent().unwrap_or(Path::new("")).join(&settings.baseline);
    let bytes = read(&path).with_context(|| {
        format!("inspect.drift.baseline: cannot read {}; `interceptor baseline learn` makes one", path.display())
    })?;
    let baseline = Baseline::read(&bytes).with_context(|| format!("inspect.drift.baseline: {}", path.display()))?;
    Drift::new(settings, &baseline).map_err(|unfit| anyhow!("inspect.drift: {unfit}"))?;
    let settings = settings.clone();
    Ok(Box::new(move || Drift::new(&settings, &baseline).ok().map(|drift| Box::new(drift) as Box<dyn Inspector>)))
}
