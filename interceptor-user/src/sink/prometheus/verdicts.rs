//! What policies say: rules that match, findings, what was not inspected, what would have been done, drift.

use std::{borrow::Cow, sync::Arc};

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

use super::{
    labels::OTHER,
    metrics::{array, by_label, register},
    sets::Few,
};
use crate::model::{DriftRecord, Role, Verdict};

/// A rule, a model and its feature.
type Drifting = (Arc<str>, Option<Arc<str>>, Arc<str>);

/// Metrics of verdicts. Their labels are names that policies' authors gave, and closed sets, but for models, whose names come
/// from the wire. Policies are read again with ever new names, too.
pub(super) struct Verdicts {
    reloads: [IntCounter; 2],
    in_force: IntGauge,
    rules: IntCounterVec,
    findings: IntCounterVec,
    uninspected: IntCounterVec,
    would: IntCounterVec,
    did: IntCounterVec,
    drift_score: GaugeVec,
    drift_detected: IntGaugeVec,
    drift_windows: IntCounterVec,
    drift_missing: GaugeVec,
    /// Rules in use.
    rules_in_use: Few<Arc<str>>,
    /// Rules, and kinds of what they found.
    kinds_in_use: Few<(Arc<str>, Cow<'static, str>)>,
    /// Rules, models and features in use.
    drift_in_use: Few<Drifting>,
}

const DRIFT: [&str; 4] = ["rule", "gen_ai_request_model", "inference_drift_direction", "inference_drift_feature"];

impl Verdicts {
    /// `cap` bounds the rules, the kinds of what they find, and the features of models.
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
            did: counter(
                "interceptor_policy_enforced_total",
                "Exchanges for which the inline path has done something.",
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
            rules_in_use: Few::new(cap, folded.clone()),
            kinds_in_use: Few::new(cap, folded.clone()),
            drift_in_use: Few::new(cap, folded),
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
            let rule = self.admitted(&said.rule);
            self.rules.get_metric_with_label_values(&[rule, said.sampled.name()])?.inc();
            if let Some(would) = &said.would {
                let counter = if would.done { &self.did } else { &self.would };
                counter.get_metric_with_label_values(&[rule, would.action])?.inc();
            }
        }
        for finding in &verdict.findings {
            let admitted = self.kinds_in_use.admits(&(Arc::clone(&finding.rule), finding.kind.clone()));
            let (rule, kind) = if admitted { (&*finding.rule, &*finding.kind) } else { (OTHER, OTHER) };
            let labels = [rule, finding.inspector.name(), kind, finding.role.map_or("", Role::name)];
            self.findings.get_metric_with_label_values(&labels)?.inc_by(finding.count.into());
        }
        for skipped in &verdict.uninspected {
            let rule = self.admitted(&skipped.rule);
            let labels = [rule, skipped.inspector.name(), skipped.role.map_or("", Role::name), skipped.reason.name()];
            self.uninspected.get_metric_with_label_values(&labels)?.inc();
        }
        Ok(())
    }

    /// The rule's name, if there is room for another rule.
    fn admitted<'a>(&self, rule: &'a Arc<str>) -> &'a str {
        if self.rules_in_use.admits(rule) { rule } else { OTHER }
    }

    pub(super) fn drift(&self, drift: &DriftRecord) -> prometheus::Result<()> {
        let drifted = if drift.drifted { "true" } else { "false" };
        self.drift_windows.get_metric_with_label_values(&[self.admitted(&drift.rule), drifted])?.inc();
        let side = if drift.role == Role::Request { "input" } else { "output" };
        // Names of models come from the wire.
        let model = drift.model.as_ref().map_or("", Arc::as_ref);
        let set = (Arc::clone(&drift.rule), drift.model.clone(), Arc::clone(&drift.feature));
        let known = self.drift_in_use.admits(&set);
        let [rule, model, feature] = if known { [&*drift.rule, model, &*drift.feature] } else { [OTHER; 3] };
        let labels = [rule, model, side, feature];
        // What has too few values to be compared has not drifted, as far as we know; that too few are there is in the ratio.
        self.drift_detected.get_metric_with_label_values(&labels)?.set(drift.drifted.into());
        #[expect(clippy::cast_precision_loss, reason = "a ratio of counts")]
        let ratio = drift.missing as f64 / drift.count.max(1) as f64;
        self.drift_missing.get_metric_with_label_values(&labels)?.set(ratio);
        if let (Some(test), Some(score)) = (drift.test, drift.score) {
            let labels = [rule, model, side, feature, test.name()];
            self.drift_score.get_metric_with_label_values(&labels)?.set(score);
        }
        Ok(())
    }
}
