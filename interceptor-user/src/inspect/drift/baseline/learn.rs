use std::collections::BTreeMap;

use super::{Baseline, CATEGORIES, Categories, FEATURES, Feature, Numbers, Values, cut};
use crate::{
    inspect::drift::{
        features::{self, Column},
        sketch::{Sketch, whole},
    },
    model::{Inference, Role},
};

/// Learns a baseline from values as they come.
#[derive(Debug, Default)]
pub struct Learner {
    features: BTreeMap<(Option<String>, bool, String), Learning>,
    beyond: u64,
    ignored: u64,
}

/// What is known of a feature so far.
#[derive(Debug, Default)]
struct Learning {
    count: u64,
    /// Infinities: of no range that numbers have, so they are missing among numbers.
    infinite: u64,
    numbers: Sketch,
    moments: Moments,
    categories: Categories,
    /// Values that are no numbers.
    texts: u64,
}

impl Learner {
    /// Takes what an inference's tensors of this side hold.
    pub fn inference(&mut self, inference: &Inference, role: Role) {
        let model = inference.model.as_deref();
        self.ignored += features::each(inference.tensors(role), role, |name, column| match column {
            Column::Numbers(numbers) => numbers.for_each(|number| self.number(model, role, name, number)),
            Column::Strings(strings) => strings.for_each(|text| self.text(model, role, name, text.as_deref())),
        });
    }

    /// A number of a feature; one that is not finite is missing.
    pub fn number(&mut self, model: Option<&str>, role: Role, name: &str, number: f64) {
        self.of(model, role, name, |feature| {
            feature.count += 1;
            feature.number(number);
        });
    }

    /// A number of single precision.
    pub fn single(&mut self, model: Option<&str>, role: Role, name: &str, number: f32) {
        self.number(model, role, name, features::widened(number, &mut String::new()));
    }

    /// A category of a feature; None is missing.
    pub fn text(&mut self, model: Option<&str>, role: Role, name: &str, text: Option<&str>) {
        self.of(model, role, name, |feature| {
            feature.count += 1;
            if let Some(text) = text {
                feature.texts += 1;
                feature.categories.push(text);
            }
        });
    }

    /// A value that is written as text: a number if it reads as one, and so do all others of the feature.
    pub fn written(&mut self, model: Option<&str>, role: Role, name: &str, text: &str) {
        let number = text.trim().parse();
        self.of(model, role, name, |feature| {
            feature.count += 1;
            feature.categories.push(text);
            match number {
                Ok(number) => feature.number(number),
                Err(_) => feature.texts += 1,
            }
        });
    }

    fn of(&mut self, model: Option<&str>, role: Role, name: &str, take: impl FnOnce(&mut Learning)) {
        let key = (model.map(str::to_owned), role == Role::Response, name.to_owned());
        if self.features.len() < FEATURES || self.features.contains_key(&key) {
            take(self.features.entry(key).or_default());
        } else {
            self.beyond += 1;
        }
    }

    /// How many features there are so far.
    pub fn features(&self) -> usize {
        self.features.len()
    }

    /// Values of the feature that has most.
    pub fn values(&self) -> u64 {
        self.features.values().map(|feature| feature.count).max().unwrap_or_default()
    }

    /// Names of the features of which each value is missing: they are not in the baseline.
    pub fn unfounded(&self) -> impl Iterator<Item = &str> {
        let without = |feature: &Learning| feature.texts == 0 && feature.numbers.count() == 0;
        self.features.iter().filter(move |(_, feature)| without(feature)).map(|((_, _, name), _)| &**name)
    }

    /// Names of the features of numbers that have infinities among them, with how many: they count as missing.
    pub fn infinite(&self) -> impl Iterator<Item = (&str, u64)> {
        let numeric = self.features.iter().filter(|(_, feature)| feature.infinite > 0 && feature.are_numbers());
        numeric.map(|((_, _, name), feature)| (&**name, feature.infinite))
    }

    /// Values of features beyond [`FEATURES`].
    pub const fn beyond(&self) -> u64 {
        self.beyond
    }

    /// Tensors, and columns of tensors, that are no features.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// What was learned. A feature of which no value was there is left out.
    pub fn finish(self) -> Baseline {
        let features = self.features.into_iter().filter_map(|((model, response, name), feature)| {
            let role = if response { Role::Response } else { Role::Request };
            let (values, present) = feature.values()?;
            // What is of another type than most is missing.
            let missing = feature.count - present;
            Some(Feature { model, role, name, count: feature.count, missing, values })
        });
        Baseline { features: features.collect() }
    }
}

impl Learning {
    fn number(&mut self, number: f64) {
        if number.is_finite() {
            self.numbers.push(number);
            self.moments.push(number);
        }
        self.infinite += u64::from(number.is_infinite());
    }

    /// Most values are numbers, and not all are missing. Text that reads as a number was counted as both.
    fn are_numbers(&self) -> bool {
        let numbers = self.numbers.count();
        numbers > 0 && (self.texts == 0 || numbers > self.categories.count())
    }

    /// Its values, of the type that most are of, and how many there are.
    fn values(&self) -> Option<(Values, u64)> {
        let (numbers, all) = (self.numbers.count(), self.categories.count());
        if !self.are_numbers() {
            return (self.texts > 0).then(|| (Values::Categories(self.categories.clone()), all));
        }
        let sample = self.numbers.sample();
        let Moments { minimum, maximum, mean, squares, .. } = self.moments;
        let deviation = (squares / whole(numbers)).sqrt();
        let distinct = sample.distinct() as u64;
        let values = Numbers { minimum, maximum, mean, deviation, distinct, sample };
        Some((Values::Numbers(values), numbers))
    }
}

impl Categories {
    fn push(&mut self, text: &str) {
        let name = cut(text);
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < CATEGORIES {
            self.counts.insert(name.to_owned(), 1);
        } else {
            self.other += 1;
        }
    }

    fn count(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.other
    }
}

/// Mean and squares as they come (Welford 1962).
#[derive(Clone, Copy, Debug)]
struct Moments {
    count: f64,
    minimum: f64,
    maximum: f64,
    mean: f64,
    squares: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0.0, minimum: f64::INFINITY, maximum: f64::NEG_INFINITY, mean: 0.0, squares: 0.0 }
    }
}

impl Moments {
    fn push(&mut self, number: f64) {
        self.count += 1.0;
        self.minimum = self.minimum.min(number);
        self.maximum = self.maximum.max(number);
        let before = number - self.mean;
        self.mean += before / self.count;
        self.squares += before * (number - self.mean);
    }
}
