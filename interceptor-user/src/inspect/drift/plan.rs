use std::{collections::HashMap, sync::Arc};

use super::baseline::{Baseline, Values};
use crate::{
    model::{DriftTest, Role, glob},
    policy::settings::drift::{Drift as Settings, Test},
};

/// A test that cannot compare what it is to compare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("test `{test}` does not compare {what}, which feature `{feature}` holds in the baseline; {those} does")]
pub struct UnfitTest {
    feature: String,
    test: &'static str,
    what: &'static str,
    those: &'static str,
}

/// What is compared, by model.
pub(super) struct Plans {
    pub(super) groups: Vec<Group>,
}

/// Features of one model in the baseline.
pub(super) struct Group {
    model: Option<String>,
    pub(super) plans: Vec<Plan>,
    inputs: HashMap<Arc<str>, usize>,
    outputs: HashMap<Arc<str>, usize>,
}

/// How one feature is compared, and with what.
pub(super) struct Plan {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    pub(super) count: u64,
    pub(super) missing: u64,
    pub(super) values: Values,
    /// The test that the settings name.
    pub(super) test: Option<DriftTest>,
    /// Where drift begins, if the settings say so for this feature.
    pub(super) threshold: Option<f64>,
}

impl Plans {
    pub(super) fn new(settings: &Settings, baseline: &Baseline) -> Result<Self, UnfitTest> {
        let mut groups: Vec<Group> = Vec::new();
        for feature in &baseline.features {
            let role = |role: &crate::policy::settings::drift::FeatureRole| Role::from(*role) == feature.role;
            if !(settings.roles.is_empty() || settings.roles.iter().any(role)) || !wanted(settings, &feature.name) {
                continue;
            }
            let own = settings.features.iter().find(|test| glob::matches(&test.name, &feature.name));
            let test = own.and_then(|own| own.test).or(match feature.values {
                Values::Numbers(_) => settings.tests.number,
                Values::Categories(_) => settings.tests.category,
            });
            fits(test, &feature.name, &feature.values)?;
            let plan = Plan {
                name: Arc::from(&*feature.name),
                role: feature.role,
                count: feature.count,
                missing: feature.missing,
                values: feature.values.clone(),
                test: test.map(DriftTest::from),
                threshold: own.and_then(|own| own.threshold),
            };
            match groups.iter_mut().find(|group| group.model == feature.model) {
                Some(group) => group.add(plan),
                None => groups.push(Group::new(feature.model.clone(), plan)),
            }
        }
        Ok(Self { groups })
    }

    /// What this version of this model is compared with, if it is.
    pub(super) fn group(
        &self,
        settings: &Settings,
        model: Option<&str>,
        version: Option<&str>,
    ) -> Option<(usize, &Group)> {
        let fits = |pattern: &Option<String>, text: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, text.unwrap_or_default()))
        };
        if !fits(&settings.model, model) || !fits(&settings.version, version) {
            return None;
        }
        let named = self.groups.iter().position(|group| group.model.as_deref() == model);
        // The only one, if the settings say which models it is for, or nobody does.
        let only = self
            .groups
            .first()
            .filter(|only| self.groups.len() == 1 && (settings.model.is_some() || only.model.is_none()));
        let index = named.or(only.map(|_| 0))?;
        Some((index, self.groups.get(index)?))
    }

    /// Is anything of this side compared?
    pub(super) fn wants(&self, role: Role) -> bool {
        self.groups.iter().any(|group| !group.names(role).is_empty())
    }
}

impl Group {
    fn new(model: Option<String>, first: Plan) -> Self {
        let mut group = Self { model, plans: Vec::new(), inputs: HashMap::new(), outputs: HashMap::new() };
        group.add(first);
        group
    }

    fn add(&mut self, plan: Plan) {
        let names = if plan.role == Role::Request { &mut self.inputs } else { &mut self.outputs };
        names.insert(Arc::clone(&plan.name), self.plans.len());
        self.plans.push(plan);
    }

    const fn names(&self, role: Role) -> &HashMap<Arc<str>, usize> {
        match role {
            Role::Request => &self.inputs,
            Role::Response => &self.outputs,
        }
    }

    /// A feature by its name, and its place.
    pub(super) fn find(&self, role: Role, name: &str) -> Option<(&Plan, usize)> {
        let index = *self.names(role).get(name)?;
        Some((self.plans.get(index)?, index))
    }
}

/// Is this feature one to look at?
pub(super) fn wanted(settings: &Settings, name: &str) -> bool {
    let any = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, name));
    (settings.include.is_empty() || any(&settings.include)) && !any(&settings.exclude)
}

fn fits(test: Option<Test>, feature: &str, values: &Values) -> Result<(), UnfitTest> {
    let Some(test) = test else { return Ok(()) };
    let (fits, what, those) = match values {
        Values::Numbers(_) => (test.takes_numbers(), "numbers", "ks, wasserstein, jensenshannon or psi"),
        Values::Categories(_) => (test.takes_categories(), "categories", "chisquare, z, jensenshannon or psi"),
    };
    if fits {
        return Ok(());
    }
    Err(UnfitTest { feature: feature.to_owned(), test: DriftTest::from(test).name(), what, those })
}

impl Plan {
    pub(super) const fn is_sketched(&self) -> bool {
        match &self.values {
            Values::Numbers(numbers) => numbers.sample.is_sketched(),
            Values::Categories(_) => false,
        }
    }
}
