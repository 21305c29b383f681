//! Features that are not distributed as in the baseline.
//!
//! Values of each feature are collected in windows; a window that is over is compared with the baseline and reported.
//! Time is that of the exchanges. What is compared how is in `docs/drift.md`.

pub mod baseline;
mod compare;
mod features;
mod findings;
mod plan;
mod sketch;
pub mod stats;
mod window;

use std::sync::Arc;

pub use self::{baseline::Baseline, plan::UnfitTest};
use self::{
    features::Column,
    findings::{Findings, Oddity},
    plan::{Plan, Plans},
    window::Window,
};
use super::{Budget, Inspector, Report, Subject};
use crate::{
    model::{
        Dialect, DriftRecord, Exchange, Inference, InspectorName, Needs, Role, Sinks, Tensor, Timestamp,
        UninspectedReason, Unread, Values,
    },
    policy::settings::drift::Drift as Settings,
};

/// Models and versions that have windows at once; beyond, those of the one that was silent longest are over.
const MODELS: usize = 64;

/// Bytes of a content that may hold features.
const CONTENT: usize = 1 << 20;

/// Bytes that are asked of the budget at a time.
const STEP: usize = 32 << 10;

/// Compares features with a baseline.
pub struct Drift {
    settings: Settings,
    plans: Plans,
    models: Vec<Model>,
}

/// Windows of one version of a model.
struct Model {
    name: Option<Arc<str>>,
    version: Option<Arc<str>>,
    dialect: Dialect,
    group: usize,
    /// When it was last asked.
    last: Timestamp,
    /// By the group's plans.
    windows: Vec<Option<Window>>,
}

impl Drift {
    /// Compares with this baseline; an error if the settings name a test that a feature cannot be compared with.
    pub fn new(settings: &Settings, baseline: &Baseline) -> Result<Self, UnfitTest> {
        Ok(Self { settings: settings.clone(), plans: Plans::new(settings, baseline)?, models: Vec::new() })
    }

    /// Where the windows of this inference's model are; begins them if need be.
    fn model(&mut self, inference: &Inference, now: Timestamp, report: &mut Report) -> Option<usize> {
        let (name, version) = (inference.model.as_deref(), inference.version.as_deref());
        let known = |model: &Model| model.name.as_deref() == name && model.version.as_deref() == version;
        if let Some(index) = self.models.iter().position(known) {
            return Some(index);
        }
        let (group, plans) = self.plans.group(&self.settings, name, version)?;
        let windows = plans.plans.iter().map(|_| None).collect();
        if self.models.len() >= MODELS
            && let Some(silent) =
                (0..self.models.len()).min_by_key(|index| self.models.get(*index).map(|model| model.last))
        {
            self.models.swap_remove(silent).end(&self.plans, &self.settings, report, |_| true);
        }
        let dialect = inference.dialect;
        self.models.push(Model {
            name: name.map(Arc::from),
            version: version.map(Arc::from),
            dialect,
            group,
            last: now,
            windows,
        });
        self.models.len().checked_sub(1)
    }

    /// Looks at the tensors of one side.
    fn side(&mut self, index: usize, subject: &Side<'_>, budget: &mut Budget, report: &mut Report) {
        let (settings, role) = (&self.settings, subject.role);
        let Some(model) = self.models.get_mut(index) else { return };
        let Some(group) = self.plans.groups.get(model.group) else { return };
        model.last = model.last.max(subject.time);
        let tensors = subject.inference.tensors(role);
        let mut findings = Findings::new(settings, role);
        for (tensor, place) in tensors.iter().zip(0..) {
            let limit = allowed(tensor, budget, role, report);
            features::each_of(tensor, place, role, limit, |name, column| {
                let Some((plan, window)) = group.find(role, name) else { return findings.unknown(name) };
                findings.known(window);
                let Some(slot) = model.windows.get_mut(window) else { return };
                let origin = Origin { name: &model.name, version: &model.version, dialect: model.dialect };
                let mut feed =
                    Feed { plan, slot, time: subject.time, settings, origin, report, findings: &mut findings };
                match column {
                    Column::Numbers(numbers) => {
                        numbers.for_each(|number| feed.take(|window| window.number(number, plan)));
                    }
                    Column::Strings(texts) => {
                        texts.for_each(|text| feed.take(|window| window.text(text.as_deref(), plan)));
                    }
                }
            });
        }
        let whole = subject.inference.unread.is_none() && subject.inference.error.is_none() && !tensors.is_empty();
        findings.end(whole.then_some(group), report);
    }
}

/// One side of an inference.
struct Side<'a> {
    inference: &'a Inference,
    role: Role,
    time: Timestamp,
}

/// Whose windows they are.
#[derive(Clone, Copy)]
struct Origin<'a> {
    name: &'a Option<Arc<str>>,
    version: &'a Option<Arc<str>>,
    dialect: Dialect,
}

/// Values of a feature on their way into its window.
struct Feed<'a, 'b> {
    plan: &'a Plan,
    slot: &'a mut Option<Window>,
    time: Timestamp,
    settings: &'a Settings,
    origin: Origin<'a>,
    report: &'a mut Report,
    findings: &'a mut Findings<'b>,
}

impl Feed<'_, '_> {
    fn take(&mut self, push: impl FnOnce(&mut Window) -> Option<Oddity>) {
        if self.slot.as_ref().is_some_and(|window| window.age(self.time) >= self.settings.window.time) {
            self.end();
        }
        let window = self.slot.get_or_insert_with(|| Window::new(self.plan, self.time));
        window.seen(self.time);
        let oddity = push(window);
        let full = window.count() >= self.settings.window.count;
        self.findings.count(&self.plan.name, oddity);
        if full {
            self.end();
        }
    }

    fn end(&mut self) {
        let rule = Arc::clone(&self.report.rule);
        let record = self.slot.take().map(|window| record(rule, &window, self.plan, self.settings, self.origin));
        self.report.drift.extend(record);
    }
}

impl Model {
    /// Reports the windows that are over.
    fn end(&mut self, plans: &Plans, settings: &Settings, report: &mut Report, over: impl Fn(&Window) -> bool) {
        let Some(group) = plans.groups.get(self.group) else { return };
        let origin = Origin { name: &self.name, version: &self.version, dialect: self.dialect };
        for (slot, plan) in self.windows.iter_mut().zip(&group.plans) {
            if let Some(window) = slot.take_if(|window| over(window)) {
                report.drift.push(record(Arc::clone(&report.rule), &window, plan, settings, origin));
            }
        }
    }
}

impl Inspector for Drift {
    fn name(&self) -> InspectorName {
        InspectorName::Drift
    }

    fn needs(&self) -> Needs {
        let of = |role| if self.plans.wants(role) { CONTENT } else { 0 };
        Needs { request: of(Role::Request), response: of(Role::Response) }
    }

    fn inspect(&mut self, subject: &Subject<'_>, budget: &mut Budget, report: &mut Report) {
        let Some(inference) = subject.inference else { return };
        let Some(model) = self.model(inference, time(subject.exchange, Role::Request), report) else { return };
        if let Some(unread) = inference.unread {
            report.skip(InspectorName::Drift, None, reason(unread));
        }
        for role in [Role::Request, Role::Response] {
            if self.plans.wants(role) {
                let side = Side { inference, role, time: time(subject.exchange, role) };
                self.side(model, &side, budget, report);
            }
        }
    }

    fn tick(&mut self, now: Timestamp, over: bool, report: &mut Report) {
        let time = self.settings.window.time;
        for model in &mut self.models {
            model.end(&self.plans, &self.settings, report, |window| over || window.age(now) >= time);
        }
    }
}

/// When this side's last byte was captured; of a side that was not seen, the other's.
fn time(exchange: &Exchange, role: Role) -> Timestamp {
    let other = if role == Role::Request { Role::Response } else { Role::Request };
    exchange.part(role).or_else(|| exchange.part(other)).map_or(exchange.flow.start, |part| part.last_byte)
}

const fn reason(unread: Unread) -> UninspectedReason {
    match unread {
        Unread::NotKept | Unread::Cut => UninspectedReason::NotKept,
        Unread::Missing => UninspectedReason::Missing,
        Unread::Malformed => UninspectedReason::Malformed,
        Unread::TooMuch => UninspectedReason::Bytes,
    }
}

/// How many values of the tensor the budget allows to look at.
fn allowed(tensor: &Tensor, budget: &mut Budget, role: Role, report: &mut Report) -> usize {
    let mut skip = |reason| report.skip(InspectorName::Drift, Some(role), reason);
    if tensor.cut {
        skip(UninspectedReason::NotKept);
    }
    let size = |index: usize| match &tensor.values {
        Values::Strings(texts) => texts.get(index).and_then(Option::as_ref).map_or(1, |text| text.len().max(1)),
        Values::Numbers(_) | Values::Unread => size_of::<f64>(),
    };
    let mut index = 0;
    while index < tensor.values.len() {
        let (mut bytes, mut upto) = (0, index);
        while bytes < STEP && upto < tensor.values.len() {
            bytes += size(upto);
            upto += 1;
        }
        match budget.take(bytes) {
            Ok(taken) if taken == bytes => index = upto,
            Ok(_) => {
                skip(UninspectedReason::Bytes);
                break;
            }
            Err(reason) => {
                skip(reason);
                break;
            }
        }
    }
    index
}

fn record(rule: Arc<str>, window: &Window, plan: &Plan, settings: &Settings, origin: Origin<'_>) -> DriftRecord {
    let outcome = compare::compare(window, plan, settings);
    DriftRecord {
        // The rule's, which whoever asked knows.
        sinks: Sinks::ALL,
        rule,
        dialect: origin.dialect,
        model: origin.name.clone(),
        version: origin.version.clone(),
        role: plan.role,
        feature: Arc::clone(&plan.name),
        start: window.start(),
        end: window.end(),
        count: window.count(),
        missing: window.missing(),
        reference_count: plan.count,
        reference_missing: plan.missing,
        out_of_range: window.out_of_range(),
        new_category_count: window.new_category_count(),
        new_categories: if settings.show_categories { window.new_categories() } else { Vec::new() },
        wrong_type: window.wrong_type(),
        test: outcome.score.and(Some(outcome.test)),
        score: outcome.score,
        threshold: outcome.threshold,
        drifted: outcome.drifted,
        sketched: window.is_sketched() || plan.is_sketched(),
    }
}

#[cfg(test)]
mod tests;
