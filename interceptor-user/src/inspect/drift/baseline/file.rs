use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use schemars::{JsonSchema, generate::SchemaSettings};
use serde::{Deserialize, Serialize};

use super::{Baseline, CATEGORIES, Categories, FEATURES, Feature, Numbers, QUANTILES, Sample, Values};
use crate::{
    inspect::drift::sketch::{KEPT, whole},
    model::Role,
};

/// Version of the format.
const VERSION: u64 = 1;

/// Why a file is no baseline, where in it, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// It is not what the schema says.
    #[error("it is no baseline: {0}; `interceptor baseline learn` makes one")]
    Format(serde_json::Error),
    /// It was written by a program that knows more.
    #[error("it is of version {0}, and this program reads version {VERSION}; learn it anew")]
    Version(u64),
    /// Its features do not hold together.
    #[error("feature {index}{name}: {problem}; learn it anew")]
    Feature {
        /// Its place in the file; the first is 1.
        index: usize,
        /// Its name.
        name: Quoted,
        /// What is wrong with it.
        problem: String,
    },
    /// It has more features than are taken.
    #[error("it has {0} features, and {FEATURES} are the most; learn fewer columns or tensors")]
    Large(usize),
}

/// A name in quotes, after a space.
#[derive(Debug)]
pub struct Quoted(String);

impl fmt::Display for Quoted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " `{}`", self.0.escape_debug())
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// A baseline for features of models, as `interceptor baseline learn` writes it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    /// Version of the format: 1.
    version: u64,
    /// Features in the order of models, inputs before outputs, names.
    #[schemars(length(max = 4096))]
    features: Vec<FileFeature>,
}

/// A feature.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileFeature {
    /// Model, as requests name it; none where the data names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    role: FileRole,
    /// Tensor or column; `NAME[i]` for a column of a tensor of two dimensions.
    name: String,
    /// Values, missing ones included.
    count: u64,
    /// Missing ones: null, empty, NaN, infinite.
    missing: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<FileNumbers>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<FileCategories>,
}

/// What a feature is to the model.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum FileRole {
    Input,
    Output,
}

/// Numbers: `values` where all are kept, else `quantiles`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileNumbers {
    minimum: f64,
    maximum: f64,
    mean: f64,
    /// Standard deviation, of the population.
    deviation: f64,
    /// Different numbers; with `quantiles` at least so many.
    distinct: u64,
    /// Each number with how often it was seen, in ascending order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10_000))]
    values: Vec<(f64, u64)>,
    /// Numbers in ascending order that stand for the same share of the values each: of `n` the `i`-th has a share of
    /// `(i - 1/2) / n` below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2048))]
    quantiles: Vec<f64>,
}

/// Categories by name, and how many values had others.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct FileCategories {
    counts: BTreeMap<String, u64>,
    #[serde(default)]
    other: u64,
}

/// The schema (draft 2020-12) as indented JSON that ends with a newline; `docs/baseline.schema.json` is this.
pub fn schema() -> serde_json::Result<String> {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<File>();
    schema.insert("title".into(), "interceptor drift baseline".into());
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}

impl Baseline {
    /// From the bytes of a file.
    pub fn read(bytes: &[u8]) -> Result<Self, BaselineError> {
        let Versioned { version } = serde_json::from_slice(bytes).map_err(BaselineError::Format)?;
        if version != VERSION {
            return Err(BaselineError::Version(version));
        }
        let File { version: _, features } = serde_json::from_slice(bytes).map_err(BaselineError::Format)?;
        if features.len() > FEATURES {
            return Err(BaselineError::Large(features.len()));
        }
        let mut read: Vec<Feature> = Vec::with_capacity(features.len());
        let mut seen = HashSet::new();
        for (feature, index) in features.into_iter().zip(1..) {
            let name = feature.name.clone();
            let of = |problem| BaselineError::Feature { index, name: Quoted(name.clone()), problem };
            let feature = feature.check().map_err(&of)?;
            if !seen.insert((feature.model.clone(), feature.role == Role::Request, feature.name.clone())) {
                return Err(of("it is there twice".to_owned()));
            }
            read.push(feature);
        }
        Ok(Self { features: read })
    }

    /// As a file: JSON, a feature a line.
    pub fn write(&self) -> serde_json::Result<String> {
        let lines = self.features.iter().map(|feature| serde_json::to_string(&FileFeature::of(feature)));
        let lines = lines.collect::<serde_json::Result<Vec<String>>>()?;
        Ok(format!("{{\"version\":{VERSION},\"features\":[\n{}\n]}}\n", lines.join(",\n")))
    }
}

impl FileFeature {
    fn of(feature: &Feature) -> Self {
        let Feature { model, role, name, count, missing, values } = feature.clone();
        let role = if role == Role::Request { FileRole::Input } else { FileRole::Output };
        let (number, category) = match values {
            Values::Numbers(numbers) => (Some(FileNumbers::of(&numbers)), None),
            Values::Categories(Categories { counts, other }) => (None, Some(FileCategories { counts, other })),
        };
        Self { model, role, name, count, missing, number, category }
    }

    fn check(self) -> Result<Feature, String> {
        let role = match self.role {
            FileRole::Input => Role::Request,
            FileRole::Output => Role::Response,
        };
        let present = self.count.checked_sub(self.missing).ok_or("more values are missing than there are")?;
        let values = match (self.number, self.category) {
            (Some(numbers), None) => Values::Numbers(numbers.check(present)?),
            (None, Some(categories)) => Values::Categories(categories.check(present)?),
            _ => return Err("it has to have one of `number` and `category`".to_owned()),
        };
        Ok(Feature { model: self.model, role, name: self.name, count: self.count, missing: self.missing, values })
    }
}

impl FileNumbers {
    #[expect(clippy::cast_sign_loss, reason = "they are counts")]
    fn of(numbers: &Numbers) -> Self {
        let Numbers { minimum, maximum, mean, deviation, distinct, sample } = numbers;
        let (mut values, mut quantiles) = (Vec::new(), Vec::new());
        if sample.is_sketched() {
            quantiles = sample.thinned(QUANTILES);
        } else {
            values = sample.points().iter().map(|(value, count)| (*value, *count as u64)).collect();
        }
        Self {
            minimum: *minimum,
            maximum: *maximum,
            mean: *mean,
            deviation: *deviation,
            distinct: *distinct,
            values,
            quantiles,
        }
    }

    fn check(self, present: u64) -> Result<Numbers, String> {
        let Self { minimum, maximum, mean, deviation, distinct, values, quantiles } = self;
        if values.len() > KEPT || quantiles.len() > QUANTILES as usize {
            return Err(format!("it has more than {KEPT} values or {QUANTILES} quantiles"));
        }
        let sketched = !quantiles.is_empty();
        if sketched != values.is_empty() && present > 0 {
            return Err("it has to have one of `values` and `quantiles`".to_owned());
        }
        let ascending = values.is_sorted_by(|a, b| a.0 < b.0) && quantiles.is_sorted();
        let ends = values.first().map(|value| value.0).or(quantiles.first().copied());
        let ends = ends.zip(values.last().map(|value| value.0).or(quantiles.last().copied()));
        if !ascending || ends.is_some_and(|(first, last)| first < minimum || last > maximum) {
            return Err("its numbers do not ascend from `minimum` to `maximum`".to_owned());
        }
        if deviation < 0.0 {
            return Err("its standard deviation is negative".to_owned());
        }
        let sum = values.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count));
        if !sketched && sum != Some(present) {
            return Err(format!("its values are not as many as `count` less `missing`, {present}"));
        }
        let share = whole(present) / whole(quantiles.len().max(1) as u64);
        let points = values.into_iter().map(|(value, count)| (value, whole(count)));
        let sample = Sample::new(points.chain(quantiles.into_iter().map(|value| (value, share))), sketched);
        Ok(Numbers { minimum, maximum, mean, deviation, distinct, sample })
    }
}

impl FileCategories {
    fn check(self, present: u64) -> Result<Categories, String> {
        let Self { counts, other } = self;
        if counts.len() > CATEGORIES {
            return Err(format!("it has more than {CATEGORIES} categories"));
        }
        let sum = counts.values().try_fold(other, |sum, count| sum.checked_add(*count));
        if sum != Some(present) {
            return Err(format!("its categories are not as many as `count` less `missing`, {present}"));
        }
        Ok(Categories { counts, other })
    }
}

#[cfg(test)]
mod tests;
