use std::{collections::BTreeMap, time::Duration};

use super::{
    baseline::{Categories, Values as Reference, cut},
    findings::Oddity,
    plan::Plan,
    sketch::{Sketch, whole},
    stats::Pairs,
};
use crate::model::Timestamp;

/// Categories that the baseline does not know, in one window; beyond, they are one.
const NEW: usize = 1_000;

/// How many of them are named.
const NAMED: usize = 10;

/// Values of a feature, until they are compared.
pub(super) struct Window {
    began: Timestamp,
    start: Timestamp,
    end: Timestamp,
    count: u64,
    missing: u64,
    wrong_type: u64,
    out_of_range: u64,
    values: Values,
}

/// Those that are compared.
enum Values {
    Numbers(Sketch),
    Categories(Counts),
}

/// Categories of a window.
#[derive(Default)]
struct Counts {
    /// Those of the baseline.
    known: BTreeMap<Box<str>, u64>,
    /// Others.
    new: BTreeMap<Box<str>, u64>,
    new_count: u64,
    /// There were more than are told apart.
    many: bool,
    /// The first of them.
    first: Vec<String>,
}

impl Window {
    pub(super) fn new(plan: &Plan, time: Timestamp) -> Self {
        let values = match plan.values {
            Reference::Numbers(_) => Values::Numbers(Sketch::default()),
            Reference::Categories(_) => Values::Categories(Counts::default()),
        };
        Self { began: time, start: time, end: time, count: 0, missing: 0, wrong_type: 0, out_of_range: 0, values }
    }

    /// Time since the value that it began with.
    pub(super) const fn age(&self, now: Timestamp) -> Duration {
        now.since(self.began)
    }

    /// A value came at this time. Exchanges end in another order than they begin.
    pub(super) fn seen(&mut self, time: Timestamp) {
        self.start = self.start.min(time);
        self.end = self.end.max(time);
    }

    pub(super) fn number(&mut self, number: f64, plan: &Plan) -> Option<Oddity> {
        self.count += 1;
        if !number.is_finite() {
            self.missing += 1;
            return None;
        }
        let (Values::Numbers(sketch), Reference::Numbers(reference)) = (&mut self.values, &plan.values) else {
            self.wrong_type += 1;
            return Some(Oddity::Type);
        };
        sketch.push(number);
        let outside = number < reference.minimum || number > reference.maximum;
        self.out_of_range += u64::from(outside);
        outside.then_some(Oddity::Range)
    }

    pub(super) fn text(&mut self, text: Option<&str>, plan: &Plan) -> Option<Oddity> {
        self.count += 1;
        let Some(text) = text else {
            self.missing += 1;
            return None;
        };
        let (Values::Categories(counts), Reference::Categories(reference)) = (&mut self.values, &plan.values) else {
            self.wrong_type += 1;
            return Some(Oddity::Type);
        };
        counts.push(cut(text), reference).then_some(Oddity::Category)
    }

    pub(super) const fn start(&self) -> Timestamp {
        self.start
    }

    pub(super) const fn end(&self) -> Timestamp {
        self.end
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn missing(&self) -> u64 {
        self.missing
    }

    pub(super) const fn wrong_type(&self) -> u64 {
        self.wrong_type
    }

    pub(super) const fn out_of_range(&self) -> u64 {
        self.out_of_range
    }

    /// Values that can be compared.
    pub(super) const fn compared(&self) -> u64 {
        self.count - self.missing - self.wrong_type
    }

    pub(super) const fn new_category_count(&self) -> u64 {
        match &self.values {
            Values::Numbers(_) => 0,
            Values::Categories(counts) => counts.new_count,
        }
    }

    pub(super) fn new_categories(&self) -> Vec<String> {
        match &self.values {
            Values::Numbers(_) => Vec::new(),
            Values::Categories(counts) => counts.first.clone(),
        }
    }

    pub(super) fn is_sketched(&self) -> bool {
        self.sketch().is_some_and(|sketch| sketch.error() > 0)
    }

    /// Values that it holds.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        match &self.values {
            Values::Numbers(sketch) => sketch.kept(),
            Values::Categories(counts) => counts.known.len() + counts.new.len() + counts.first.len(),
        }
    }

    /// Its numbers, if it is of numbers.
    pub(super) const fn sketch(&self) -> Option<&Sketch> {
        match &self.values {
            Values::Numbers(sketch) => Some(sketch),
            Values::Categories(_) => None,
        }
    }

    /// How often each category was seen, there and here, in the order of their names.
    pub(super) fn pairs(&self, reference: &Categories) -> Pairs {
        let Values::Categories(counts) = &self.values else { return Pairs::default() };
        let mut pairs: BTreeMap<&str, (f64, f64)> =
            reference.counts.iter().map(|(name, count)| (name.as_str(), (whole(*count), 0.0))).collect();
        for (name, count) in counts.known.iter().chain(&counts.new) {
            pairs.entry(name).or_default().1 = whole(*count);
        }
        let mut pairs: Vec<(f64, f64)> = pairs.into_values().collect();
        // Where the baseline has a rest, a category that it does not name may be in it.
        let rest = if reference.other > 0 || counts.many { counts.new_count } else { 0 };
        if reference.other > 0 || rest > 0 {
            pairs.push((whole(reference.other), whole(rest)));
        }
        Pairs(pairs)
    }
}

impl Counts {
    /// Takes a value; is its category new?
    fn push(&mut self, name: &str, reference: &Categories) -> bool {
        if let Some(count) = self.known.get_mut(name) {
            *count += 1;
            return false;
        }
        if reference.counts.contains_key(name) {
            self.known.insert(name.into(), 1);
            return false;
        }
        self.new_count += 1;
        if reference.other > 0 {
            return false;
        }
        if self.first.len() < NAMED && !self.first.iter().any(|first| first == name) {
            self.first.push(name.to_owned());
        }
        if self.many {
            return true;
        }
        *self.new.entry(name.into()).or_default() += 1;
        // All of them become one, so that it does not matter which came first.
        if self.new.len() > NEW {
            self.new.clear();
            self.many = true;
        }
        true
    }
}
