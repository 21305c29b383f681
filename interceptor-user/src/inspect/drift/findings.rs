use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::plan::{self, Group};
use crate::{
    inspect::Report,
    model::{Finding, InspectorName, Role},
    policy::settings::drift::Drift as Settings,
};

/// Findings of one side of an exchange.
const FINDINGS: usize = 32;

/// What is odd about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Oddity {
    /// It is of another type than those of the baseline.
    Type,
    /// It is below the least or above the greatest of them.
    Range,
    /// It is of a category that the baseline does not have.
    Category,
}

/// What is said of one side of an exchange: one finding a feature and kind, however many values it is about.
pub(super) struct Findings<'a> {
    settings: &'a Settings,
    role: Role,
    counts: BTreeMap<(Arc<str>, Oddity), u32>,
    unknown: Vec<String>,
    known: BTreeSet<usize>,
}

impl<'a> Findings<'a> {
    pub(super) const fn new(settings: &'a Settings, role: Role) -> Self {
        Self { settings, role, counts: BTreeMap::new(), unknown: Vec::new(), known: BTreeSet::new() }
    }

    /// A feature that the baseline does not have, or that nobody wants compared.
    pub(super) fn unknown(&mut self, name: &str) {
        if self.settings.findings.schema && self.unknown.len() < FINDINGS && plan::wanted(self.settings, name) {
            self.unknown.push(name.to_owned());
        }
    }

    /// A feature that it has.
    pub(super) fn known(&mut self, index: usize) {
        if self.settings.findings.schema {
            self.known.insert(index);
        }
    }

    pub(super) fn count(&mut self, feature: &Arc<str>, oddity: Option<Oddity>) {
        let asked = self.settings.findings;
        let Some(oddity) = oddity.filter(|oddity| match oddity {
            Oddity::Type => asked.schema,
            Oddity::Range => asked.range,
            Oddity::Category => asked.categories,
        }) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&(Arc::clone(feature), oddity)) {
            *count = count.saturating_add(1);
        } else if self.counts.len() < FINDINGS {
            self.counts.insert((Arc::clone(feature), oddity), 1);
        }
    }

    /// Reports them; what is missing only if all that there is was seen.
    pub(super) fn end(self, whole: Option<&Group>, report: &mut Report) {
        let role = self.role;
        let rule = Arc::clone(&report.rule);
        let finding = |kind: &'static str, name: &str, text: &str, count| Finding {
            inspector: InspectorName::Drift,
            kind: Cow::Borrowed(kind),
            role: Some(role),
            place: format!("tensor:{name}"),
            score: 1.0,
            value: None,
            text: text.to_owned(),
            count,
            rule: Arc::clone(&rule),
        };
        let mut found: Vec<Finding> = Vec::new();
        for ((name, oddity), count) in &self.counts {
            let (kind, text) = match oddity {
                Oddity::Type => ("wrong_type", "of another type than in the baseline"),
                Oddity::Range => ("out_of_range", "outside of the baseline's range"),
                Oddity::Category => ("new_category", "not in the baseline"),
            };
            found.push(finding(kind, name, text, *count));
        }
        found.extend(self.unknown.iter().map(|name| finding("new_feature", name, "not in the baseline", 1)));
        if let Some(group) = whole.filter(|_| self.settings.findings.schema) {
            let of_role = group.plans.iter().zip(0..).filter(|(plan, _)| plan.role == role);
            let missing = of_role.filter(|(_, index)| !self.known.contains(index)).take(FINDINGS);
            found.extend(
                missing.map(|(plan, _)| finding("missing_feature", &plan.name, "in the baseline, but not here", 1)),
            );
        }
        report.findings.extend(found.into_iter().take(FINDINGS));
    }
}
