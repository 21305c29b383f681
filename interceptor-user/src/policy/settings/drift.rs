use std::{collections::BTreeMap, time::Duration};

use jiff::fmt::friendly::SpanParser;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::model::{DriftTest, Role};

/// Comparison of features with a baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Drift {
    /// File that `interceptor baseline learn` wrote, from the policy's directory on.
    #[serde(deserialize_with = "path")]
    pub baseline: String,
    /// Models that are compared: a name or a pattern with `*` and `?`. Without it, those that the baseline names. Of a
    /// baseline of one model it may name others: another deployment of it, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Their versions, likewise; without it all of them, each in windows of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When a feature is compared.
    #[serde(default)]
    pub window: Window,
    /// A window with fewer values (missing ones not counted) is reported, but not compared.
    #[serde(default = "minimum", deserialize_with = "whole::<_, 1, 1_000_000>")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub minimum: u64,
    /// How features are compared that `features` does not name.
    #[serde(default)]
    pub tests: Tests,
    /// Where drift begins, by test: a p-value below it, a distance at or above it.
    #[serde(default, deserialize_with = "thresholds")]
    pub thresholds: BTreeMap<Test, f64>,
    /// Features that are compared otherwise; the first that fits counts.
    #[serde(default)]
    pub features: Vec<FeatureTest>,
    /// Features to compare: names or patterns; without it all in the baseline.
    #[serde(default)]
    pub include: Vec<String>,
    /// Features not to compare.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// What to compare: inputs, outputs; without it both.
    #[serde(default)]
    pub roles: Vec<FeatureRole>,
    /// Into what bins the population stability index sorts numbers.
    #[serde(default)]
    pub psi_bins: PsiBins,
    /// What is said of single exchanges, too.
    #[serde(default)]
    pub findings: Findings,
    /// Categories that are not in the baseline are named. They are values from requests.
    #[serde(default)]
    pub show_categories: bool,
}

/// A window ends with so many values, or after so much time, whichever comes first.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Window {
    /// Values of a feature, missing ones included. Beyond 10,000 a sketch stands for them.
    #[serde(deserialize_with = "whole::<_, 1, 1_000_000>")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub count: u64,
    /// Time since its first value: `30s`, `5m`, `1h`.
    #[serde(serialize_with = "write_time", deserialize_with = "time")]
    #[schemars(with = "String")]
    pub time: Duration,
}

impl Default for Window {
    fn default() -> Self {
        Self { count: 1_000, time: Duration::from_mins(5) }
    }
}

/// Tests by type of feature; without one, by type and size as Evidently chooses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Tests {
    /// For numbers: `ks`, `wasserstein`, `jensenshannon`, `psi`.
    #[serde(deserialize_with = "of_numbers", skip_serializing_if = "Option::is_none")]
    pub number: Option<Test>,
    /// For categories: `chisquare`, `z`, `jensenshannon`, `psi`.
    #[serde(deserialize_with = "of_categories", skip_serializing_if = "Option::is_none")]
    pub category: Option<Test>,
}

/// A test, by Evidently's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Test {
    /// Kolmogorov-Smirnov.
    Ks,
    /// Chi-squared.
    Chisquare,
    /// Two proportions.
    Z,
    /// Wasserstein distance by the baseline's standard deviation.
    Wasserstein,
    /// Jensen-Shannon distance.
    Jensenshannon,
    /// Population stability index.
    Psi,
}

impl Test {
    /// Can it compare numbers?
    pub const fn takes_numbers(self) -> bool {
        !matches!(self, Self::Chisquare | Self::Z)
    }

    /// Can it compare categories?
    pub const fn takes_categories(self) -> bool {
        !matches!(self, Self::Ks | Self::Wasserstein)
    }
}

impl From<Test> for DriftTest {
    fn from(test: Test) -> Self {
        match test {
            Test::Ks => Self::KolmogorovSmirnov,
            Test::Chisquare => Self::ChiSquared,
            Test::Z => Self::ZTest,
            Test::Wasserstein => Self::Wasserstein,
            Test::Jensenshannon => Self::JensenShannon,
            Test::Psi => Self::Psi,
        }
    }
}

/// How some features are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct FeatureTest {
    /// Their names: a name or a pattern.
    pub name: String,
    /// Test; without it as for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<Test>,
    /// Where drift begins; without it the test's.
    #[serde(default, deserialize_with = "maybe_threshold", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub threshold: Option<f64>,
}

/// What a feature is to the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FeatureRole {
    /// It is sent to it.
    Input,
    /// It comes from it.
    Output,
}

impl From<FeatureRole> for Role {
    fn from(role: FeatureRole) -> Self {
        match role {
            FeatureRole::Input => Self::Request,
            FeatureRole::Output => Self::Response,
        }
    }
}

/// Bins of numbers for the population stability index, where the baseline has more than 20 different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PsiBins {
    /// Thirty with the same share of the baseline each.
    #[default]
    Quantiles,
    /// Of equal width, as many as Sturges' rule says, as Evidently 0.7 does.
    Sturges,
}

/// What is reported as findings of single exchanges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Findings {
    /// A feature of the baseline is missing, one is not in it, one is of another type.
    pub schema: bool,
    /// Numbers below the least or above the greatest of the baseline.
    pub range: bool,
    /// Categories that the baseline does not have.
    pub categories: bool,
}

const fn minimum() -> u64 {
    30
}

fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let path = String::deserialize(deserializer)?;
    let help = "it names no file; `interceptor baseline learn` makes one";
    if path.is_empty() { Err(D::Error::custom(help)) } else { Ok(path) }
}

fn whole<'de, D: Deserializer<'de>, const MIN: u64, const MAX: u64>(deserializer: D) -> Result<u64, D::Error> {
    let number = u64::deserialize(deserializer)?;
    let fits = (MIN..=MAX).contains(&number);
    if fits { Ok(number) } else { Err(D::Error::custom(format_args!("{number} is not from {MIN} to {MAX}"))) }
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = SpanParser::new().parse_unsigned_duration(&text).ok().filter(|time| *time >= Duration::from_secs(1));
    time.ok_or_else(|| {
        D::Error::custom(format_args!("`{text}` is not a time of a second or more, such as 30s, 5m or 1h"))
    })
}

fn write_time<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format!("{}ms", time.as_millis()))
}

fn of_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Test>, D::Error> {
    let test = Option::<Test>::deserialize(deserializer)?;
    match test.filter(|test| !test.takes_numbers()) {
        Some(test) => Err(unfit(test, "numbers", "ks, wasserstein, jensenshannon or psi")),
        None => Ok(test),
    }
}

fn of_categories<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Test>, D::Error> {
    let test = Option::<Test>::deserialize(deserializer)?;
    match test.filter(|test| !test.takes_categories()) {
        Some(test) => Err(unfit(test, "categories", "chisquare, z, jensenshannon or psi")),
        None => Ok(test),
    }
}

fn unfit<E: serde::de::Error>(test: Test, what: &str, those: &str) -> E {
    E::custom(format_args!("{} does not compare {what}; {those} does", DriftTest::from(test).name()))
}

fn threshold<E: serde::de::Error>(threshold: f64) -> Result<f64, E> {
    let fits = threshold.is_finite() && threshold >= 0.0;
    if fits { Ok(threshold) } else { Err(E::custom(format_args!("{threshold} is no threshold: it is 0 or more"))) }
}

fn maybe_threshold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    Option::<f64>::deserialize(deserializer)?.map(threshold).transpose()
}

fn thresholds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<Test, f64>, D::Error> {
    let given = BTreeMap::<Test, f64>::deserialize(deserializer)?;
    given.into_iter().map(|(test, value)| Ok((test, threshold(value)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_baseline_has_a_default() {
        let drift: Drift = serde_saphyr::from_str("baseline: iris.json").expect("valid");
        assert_eq!((drift.window, drift.minimum, drift.roles.len()), (Window::default(), 30, 0));
        let written = serde_json::to_string(&drift).expect("written");
        assert_eq!(serde_json::from_str::<Drift>(&written).expect("read"), drift);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("model: iris", "baseline"),
            ("baseline: ''", "interceptor baseline learn"),
            ("baseline: x\nwindow: {count: 0}", "from 1 to 1000000"),
            ("baseline: x\nwindow: {time: 5}", "5m"),
            ("baseline: x\ntests: {number: chisquare}", "ks, wasserstein, jensenshannon or psi"),
            ("baseline: x\ntests: {category: ks}", "chisquare, z, jensenshannon or psi"),
            ("baseline: x\nthresholds: {psi: -1}", "0 or more"),
            ("baseline: x\nthresholds: {pso: 1}", "psi"),
            ("baseline: x\nfeatures: [{name: a, threshold: .inf}]", "0 or more"),
            ("baseline: x\nroles: [inputs]", "input"),
            ("baseline: x\nwindows: 5", "window"),
        ] {
            let error = serde_saphyr::from_str::<Drift>(text).expect_err(text).to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
