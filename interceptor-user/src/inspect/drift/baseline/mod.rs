//! What features were like when all was well: a file that `interceptor baseline learn` writes.

mod file;
mod learn;

use std::collections::BTreeMap;

pub use self::{
    file::{BaselineError, schema},
    learn::Learner,
};
use super::stats::Sample;
use crate::model::Role;

/// Features in one baseline.
pub const FEATURES: usize = 4_096;

/// Categories of a feature; the rest is counted together.
pub const CATEGORIES: usize = 10_000;

/// Bytes of a category's name; it is cut there.
pub const NAME: usize = 256;

/// Numbers that stand for those of a feature of which not all are kept.
pub const QUANTILES: u32 = 2_048;

/// Features of one model or of several.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// In the order of models, roles and names.
    pub features: Vec<Feature>,
}

/// A feature, as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// Model; None of data that names none.
    pub model: Option<String>,
    /// Input (request) or output (response).
    pub role: Role,
    /// Tensor or column.
    pub name: String,
    /// Values, missing ones included.
    pub count: u64,
    /// Missing ones.
    pub missing: u64,
    /// How they were distributed.
    pub values: Values,
}

/// Values of one type.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers.
    Numbers(Numbers),
    /// Strings.
    Categories(Categories),
}

/// How numbers were distributed.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbers {
    /// The least.
    pub minimum: f64,
    /// The greatest.
    pub maximum: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation, of all of them.
    pub deviation: f64,
    /// Different ones; of a sketch at least so many.
    pub distinct: u64,
    /// The numbers, or what stands for them.
    pub sample: Sample,
}

/// How often each category was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Categories {
    /// By name.
    pub counts: BTreeMap<String, u64>,
    /// Values of categories beyond those.
    pub other: u64,
}

/// A category's name as it is kept: no longer than [`NAME`].
pub(super) fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME)).unwrap_or(name)
}
