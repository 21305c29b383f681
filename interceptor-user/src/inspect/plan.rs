use std::{fmt, io, path::Path};

use anyhow::{Context as _, anyhow};

use super::{
    Inspector, Schema, Transport,
    drift::{Baseline, Drift},
    pii::{Key, Pii},
};
use crate::{
    model::{Needs, Sinks},
    policy::{Policy, Rule, settings},
};

/// A policy with all that its inspectors need, ready to be put in force.
pub struct Plan {
    policy: Policy,
    /// What makes the inspectors of each rule.
    makers: Vec<Vec<Make>>,
    /// What searches for personal data, for rules that take it out.
    searches: Vec<Option<Pii>>,
    /// What they need.
    needs: Vec<Needs>,
    /// Does a rule need to know what is asked of a model server, or whether something is?
    reads_inference: bool,
    estimates_tokens: bool,
}

/// Makes an inspector for a worker, of what was read and checked before.
type Make = Box<dyn Fn() -> Option<Box<dyn Inspector>> + Send + Sync>;

/// Reads a file that a policy names.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Vec<u8>>;

impl Plan {
    /// Reads what the policy names. Hashes of what is found are made with `key`. Errors say which rule is meant, and what is
    /// wrong with what it names.
    pub fn new(policy: Policy, read: ReadFile<'_>, key: &Key) -> anyhow::Result<Self> {
        let rules = policy.rules();
        let in_rule = |rule: &Rule| format!("{}: rule {}", rule.file, rule.name);
        let (mut makers, mut searches) = (Vec::new(), Vec::new());
        for rule in rules {
            let pii = rule.inspect.pii.as_ref().map(|settings| Pii::new(settings, key.clone()).context("inspect.pii"));
            let pii = pii.transpose().with_context(|| in_rule(rule))?;
            makers.push(self::makers(rule, pii.as_ref(), read).with_context(|| in_rule(rule))?);
            searches.push(pii.filter(|_| rule.redact.as_ref().is_some_and(|redact| redact.pii)));
        }
        let needs = makers.iter().map(|makers| {
            makers
                .iter()
                .filter_map(|make| make())
                .map(|inspector| inspector.needs())
                .fold(Needs::default(), Needs::max)
        });
        let needs = needs.collect();
        let reads_inference = rules.iter().any(Rule::recognises_inference);
        let estimates = |rule: &Rule| rule.inspect.inference.is_some_and(|inference| inference.estimate_tokens);
        let estimates_tokens = rules.iter().any(estimates);
        Ok(Self { policy, makers, searches, needs, reads_inference, estimates_tokens })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the inspectors of each rule need, in the order of the policy's rules.
    pub fn needs(&self) -> &[Needs] {
        &self.needs
    }

    /// As much as any rule needs of an exchange, where these sinks get contents.
    pub fn most(&self, contents: Sinks) -> Needs {
        let rules = self.policy.rules().iter().zip(&self.needs);
        let each = rules.map(|(rule, inspectors)| rule.wants(true, *inspectors).max(rule.shows(contents, true)));
        each.fold(Needs::default(), Needs::max)
    }

    /// Does a rule need to know what is asked of a model server, or whether something is?
    pub const fn reads_inference(&self) -> bool {
        self.reads_inference
    }

    /// Are tokens estimated that the wire does not state?
    pub const fn estimates_tokens(&self) -> bool {
        self.estimates_tokens
    }

    /// Of each rule that takes personal data out, what finds it.
    pub(super) fn searches(&self) -> impl Iterator<Item = Option<&Pii>> {
        self.searches.iter().map(Option::as_ref)
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

fn makers(rule: &Rule, pii: Option<&Pii>, read: ReadFile<'_>) -> anyhow::Result<Vec<Make>> {
    let mut makers: Vec<Make> = Vec::new();
    if let Some(pii) = pii.cloned() {
        makers.push(Box::new(move || Some(Box::new(pii.clone()))));
    }
    if let Some(settings) = &rule.inspect.schema {
        let directory = Path::new(&*rule.file).parent().unwrap_or(Path::new(""));
        let schema = Schema::new(settings, |path| read(&directory.join(path))).context("inspect.schema")?;
        makers.push(Box::new(move || Some(Box::new(schema.clone()))));
    }
    if let Some(settings) = rule.inspect.transport.clone() {
        Transport::new(&settings).context("inspect.transport")?;
        makers.push(Box::new(move || boxed(Transport::new(&settings))));
    }
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
    Ok(Box::new(move || boxed(Drift::new(&settings, &baseline))))
}

/// It was made before, of the same.
fn boxed<I: Inspector + 'static, E>(made: Result<I, E>) -> Option<Box<dyn Inspector>> {
    made.ok().map(|inspector| Box::new(inspector) as Box<dyn Inspector>)
}
