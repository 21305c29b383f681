use std::sync::Arc;

use super::{Dialect, Role, Sinks, Timestamp};

/// How two samples are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriftTest {
    /// Kolmogorov-Smirnov, two samples: the p-value.
    KolmogorovSmirnov,
    /// Pearson's chi-squared: the p-value.
    ChiSquared,
    /// Two proportions, pooled z: the p-value.
    ZTest,
    /// First Wasserstein distance, by the baseline's standard deviation.
    Wasserstein,
    /// Jensen-Shannon distance, by natural logarithms.
    JensenShannon,
    /// Population stability index.
    Psi,
}

impl DriftTest {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 6] =
        [Self::KolmogorovSmirnov, Self::ChiSquared, Self::ZTest, Self::Wasserstein, Self::JensenShannon, Self::Psi];

    /// Name in policies and output: Evidently's.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KolmogorovSmirnov => "ks",
            Self::ChiSquared => "chisquare",
            Self::ZTest => "z",
            Self::Wasserstein => "wasserstein",
            Self::JensenShannon => "jensenshannon",
            Self::Psi => "psi",
        }
    }

    /// Is its score a p-value? Then there is drift below the threshold, else at or above it.
    pub const fn is_p_value(self) -> bool {
        matches!(self, Self::KolmogorovSmirnov | Self::ChiSquared | Self::ZTest)
    }
}

/// A feature in one window, against the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftRecord {
    /// The rule that asked.
    pub rule: Arc<str>,
    /// API through which the model is asked.
    pub dialect: Dialect,
    /// Model.
    pub model: Option<Arc<str>>,
    /// Its version.
    pub version: Option<Arc<str>>,
    /// Input (request) or output (response).
    pub role: Role,
    /// Name of the feature: tensor or column, `name[i]` for a column of a tensor of two dimensions.
    pub feature: Arc<str>,
    /// When the first value in the window was captured.
    pub start: Timestamp,
    /// When the last one was.
    pub end: Timestamp,
    /// Values in the window, missing ones included.
    pub count: u64,
    /// Missing ones.
    pub missing: u64,
    /// Values in the baseline, missing ones included.
    pub reference_count: u64,
    /// Missing ones in the baseline.
    pub reference_missing: u64,
    /// Values below the least or above the greatest of the baseline.
    pub out_of_range: u64,
    /// Values of categories that the baseline does not know, and the first of these categories: at most ten, without
    /// their values where the policy does not allow to show them.
    pub new_category_count: u64,
    /// The first of them.
    pub new_categories: Vec<String>,
    /// Values of another type than the baseline's.
    pub wrong_type: u64,
    /// How it was compared; None where there were too few values.
    pub test: Option<DriftTest>,
    /// What came of it.
    pub score: Option<f64>,
    /// Where drift begins.
    pub threshold: f64,
    /// There is drift.
    pub drifted: bool,
    /// Sinks that get it.
    pub sinks: Sinks,
    /// The window's quantiles stand for its values: there were more than are kept.
    pub sketched: bool,
}
