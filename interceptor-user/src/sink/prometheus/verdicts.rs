//! What policies say: rules that match, findings, what was not inspected, what would have been done, drift.

use std::sync::Arc;

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{
    labels::OTHER,
    metrics::{array, by_label, register},
    sets::Few,
};
use crate::model::{DriftRecord, Role, Verdict};

/// Metrics of verdicts. Their labels are names that the policy's author gave, and closed sets, but for features and models,
/// of which the inspector bounds the number.
pub(super) struct Verdicts {
    reloads: [IntCounter; 2],
    in_force: IntGauge,
    rules: IntCounterVec,
    findings: IntCounterVec,
    uninspected: IntCounterVec,
    would: IntCounterVec,
    drift_score: GaugeVec,
    drift_detected: IntGaugeVec,
    drift_windows: IntCounterVec,
    drift_missing: GaugeVec,
    /// Models and features in use.
    drift_sets: Few<(String, String)>,
}

const DRIFT: [&str; 4] = ["rule", "gen_ai_request_model", "inference_drift_direction", "inference_drift_feature"];

impl Verdicts {
    /// `cap` bounds the features of models.
    pub(super) fn new(registry: &Registry, cap: usize, folded: IntCounter) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels))
        };
        let gauge =
            |name: &str, help: &str, labels: &[&str]| register(registry, GaugeVec::new(Opts::new(name, help), labels));
        let detected = Opts::new("inference_drift_detected", "1 if a feature's last window has drifted, else 0.");
        let in_force = IntGauge::new("interceptor_policy_rules", "Rules of the policies that are in force.");
        Ok(Self {
            reloads: array(by_label(
                registry,
                "interceptor_policy_reloads_total",
                "How often policies were read: taken, or refused because one is bad; then what was in force stays so.",
                "result",
                ["taken", "refused"],
            )?)?,
            in_force: register(registry, in_force)?,
            rules: counter(
                "interceptor_policy_matches_total",
                "Exchanges that a rule matches, by why they are in its sample (out: they are not).",
                &["rule", "sampled"],
            )?,
            findings: counter(
                "interceptor_findings_total",
                "What inspectors saw in exchanges, by what it is.",
                &["rule", "inspector", "kind", "direction"],
            )?,
            uninspected: counter(
                "interceptor_uninspected_total",
                "Messages that an inspector did not look at, or not at all of, by why.",
                &["rule", "inspector", "direction", "reason"],
            )?,
            would: counter(
                "interceptor_policy_would_total",
                "Exchanges for which the inline path would have done something.",
                &["rule", "action"],
            )?,
            drift_score: gauge(
                "inference_drift_score",
                "A feature's last window compared with the baseline: a p-value of ks, chisquare and z, else a distance.",
                &[&DRIFT[..], &["inference_drift_test"]].concat(),
            )?,
            drift_detected: register(registry, IntGaugeVec::new(detected, &DRIFT))?,
            drift_windows: counter(
                "inference_drift_windows_total",
                "Windows of features that were compared with the baseline, by whether there was drift.",
                &["rule", "drifted"],
            )?,
            drift_missing: gauge(
                "inference_drift_missing_ratio",
                "Missing values of a feature's last window: 0 to 1.",
                &DRIFT,
            )?,
            drift_sets: Few::new(cap, folded),
        })
    }

    pub(super) fn taken(&self, rules: usize) {
        self.reloads[0].inc();
        self.in_force.set(i64::try_from(rules).unwrap_or(i64::MAX));
    }

    pub(super) fn refused(&self) {
        self.reloads[1].inc();
    }

    pub(super) fn count(&self, verdict: &Verdict) -> prometheus::Result<()> {
        for said in &verdict.rules {
            self.rules.get_metric_with_label_values(&[&*said.rule, said.sampled.name()])?.inc();
            if let Some(would) = &said.would {
                self.would.get_metric_with_label_values(&[&*said.rule, would.action])?.inc();
            }
        }
        for finding in &verdict.findings {
            let labels =
                [&*finding.rule, finding.inspector.name(), &*finding.kind, finding.role.map_or("", Role::name)];
            self.findings.get_metric_with_label_values(&labels)?.inc_by(finding.count.into());
        }
        for skipped in &verdict.uninspected {
            let labels =
                [&*skipped.rule, skipped.inspector.name(), skipped.role.map_or("", Role::name), skipped.reason.name()];
            self.uninspected.get_metric_with_label_values(&labels)?.inc();
        }
        Ok(())
    }

    pub(super) fn drift(&self, drift: &DriftRecord) -> prometheus::Result<()> {
        let drifted = if drift.drifted { "true" } else { "false" };
        self.drift_windows.get_metric_with_label_values(&[&*drift.rule, drifted])?.inc();
        let side = if drift.role == Role::Request { "input" } else { "output" };
        // Names of models come from the wire.
        let model = drift.model.as_ref().map_or("", Arc::as_ref);
        let admitted = self.drift_sets.admits(&(model.to_owned(), drift.feature.to_string()));
        let (model, feature) = if admitted { (model, &*drift.feature) } else { (OTHER, OTHER) };
        let labels = [&*drift.rule, model, side, feature];
        // What has too few values to be compared has not drifted, as far as we know; that too few are there is in the ratio.
        self.drift_detected.get_metric_with_label_values(&labels)?.set(drift.drifted.into());
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let ratio = drift.missing as f64 / drift.count.max(1) as f64;
        self.drift_missing.get_metric_with_label_values(&labels)?.set(ratio);
        if let (Some(test), Some(score)) = (drift.test, drift.score) {
            let labels = [&*drift.rule, model, side, feature, test.name()];
            self.drift_score.get_metric_with_label_values(&labels)?.set(score);
        }
        Ok(())
    }
}
