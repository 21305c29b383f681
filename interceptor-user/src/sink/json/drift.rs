use schemars::JsonSchema;
use serde::Serialize;

use super::line::stamp;
use crate::{
    model::{DriftRecord, Role},
    sink::clock::{Clock, Stamp},
};

/// A feature of a model in one window, compared with the baseline. It is told by `inference.drift.feature`, which no other
/// line has.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "Drift", extend("additionalProperties" = false))]
pub struct DriftLine<'a> {
    /// When the last value in the window was captured. UTC.
    #[serde(serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    timestamp: Stamp,
    /// When the first one was. UTC.
    #[serde(rename = "inference.drift.window.start", serialize_with = "stamp")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    start: Stamp,
    /// The rule that asked: `policy/rule`.
    #[serde(rename = "interceptor.policy.rule")]
    rule: &'a str,
    /// API through which the model is asked.
    #[serde(rename = "gen_ai.provider.name")]
    dialect: &'static str,
    /// Model.
    #[serde(rename = "gen_ai.request.model", skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    /// Its version.
    #[serde(rename = "inference.model.version", skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    /// Name of the feature.
    #[serde(rename = "inference.drift.feature")]
    feature: &'a str,
    /// Is it an input or an output?
    #[serde(rename = "inference.drift.direction")]
    #[schemars(extend("enum" = ["input", "output"]))]
    direction: &'static str,
    /// Values in the window, missing ones included.
    #[serde(rename = "inference.drift.count")]
    count: u64,
    /// Missing ones.
    #[serde(rename = "inference.drift.missing")]
    missing: u64,
    /// Values in the baseline, missing ones included.
    #[serde(rename = "inference.drift.reference.count")]
    reference_count: u64,
    /// Missing ones in the baseline.
    #[serde(rename = "inference.drift.reference.missing")]
    reference_missing: u64,
    /// Values beyond the least and the greatest of the baseline.
    #[serde(rename = "inference.drift.out_of_range")]
    out_of_range: u64,
    /// Values of categories that the baseline does not have.
    #[serde(rename = "inference.drift.new_category.count")]
    new_category_count: u64,
    /// The first of these categories.
    #[serde(rename = "inference.drift.new_categories", skip_serializing_if = "is_empty")]
    new_categories: &'a [String],
    /// Values of another type than the baseline's.
    #[serde(rename = "inference.drift.wrong_type")]
    wrong_type: u64,
    /// How it was compared, by Evidently's names; left out where there were too few values.
    #[serde(rename = "inference.drift.test", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("enum" = ["ks", "chisquare", "z", "wasserstein", "jensenshannon", "psi"]))]
    test: Option<&'static str>,
    /// What came of it: of `ks`, `chisquare` and `z` the p-value, of the others the distance.
    #[serde(rename = "inference.drift.score", skip_serializing_if = "Option::is_none")]
    score: Option<f64>,
    /// Where drift begins: below it for p-values, from it on for distances.
    #[serde(rename = "inference.drift.threshold")]
    threshold: f64,
    /// There is drift.
    #[serde(rename = "inference.drift.detected")]
    drifted: bool,
    /// There were more values than are kept; quantiles stand for them.
    #[serde(rename = "inference.drift.sketched")]
    sketched: bool,
}

impl<'a> DriftLine<'a> {
    pub(super) fn new(record: &'a DriftRecord, clock: &mut Clock) -> Self {
        Self {
            timestamp: clock.stamp(record.end),
            start: clock.stamp(record.start),
            rule: &record.rule,
            dialect: record.dialect.name(),
            model: record.model.as_deref(),
            version: record.version.as_deref(),
            feature: &record.feature,
            direction: if record.role == Role::Request { "input" } else { "output" },
            count: record.count,
            missing: record.missing,
            reference_count: record.reference_count,
            reference_missing: record.reference_missing,
            out_of_range: record.out_of_range,
            new_category_count: record.new_category_count,
            new_categories: &record.new_categories,
            wrong_type: record.wrong_type,
            test: record.test.map(crate::model::DriftTest::name),
            // JSON has no infinity and no NaN.
            score: record.score.filter(|score| score.is_finite()),
            threshold: record.threshold,
            drifted: record.drifted,
            sketched: record.sketched,
        }
    }
}

const fn is_empty(list: &[String]) -> bool {
    list.is_empty()
}
