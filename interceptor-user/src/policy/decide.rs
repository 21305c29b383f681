//! What a policy says of an exchange: what has to be kept of it while it goes on, and the verdict when it is over.

use std::sync::Arc;

use serde_json::Value;

use super::{compile::Policy, document::Action, expression::Scene, extract::Contents, rule::Rule, tenant::Tenant};
use crate::{
    model::{Exchange, Inference, Needs, RuleVerdict, Sampled, SinkName, Sinks, Verdict, Would},
    protobuf::Registry,
};

impl Policy {
    /// What has to be kept of an exchange, by what is known of it: to be asked with the request's head, and again with the
    /// response's. `inspectors` is what the inspectors of each rule need, in the order of [`Self::rules`]; where it is
    /// shorter, nothing. `contents` are the sinks that are there and get contents.
    pub fn needs(&self, scene: &Scene<'_>, inspectors: &[Needs], contents: Sinks) -> Needs {
        let wants = inspectors.iter().copied().chain(std::iter::repeat(Needs::default()));
        let each = self.rules().iter().zip(wants).map(|(rule, inspectors)| rule.needs(scene, inspectors, contents));
        each.fold(Needs::default(), Needs::max)
    }

    /// What it says of an exchange that is over, before inspectors have looked at it.
    pub fn verdict(&self, exchange: &Exchange, inference: Option<&Inference>, registry: &Registry) -> Verdict {
        let scene = Scene::of(exchange, inference);
        let contents = Contents::new(exchange, inference, registry);
        let mut verdict = Verdict { sinks: Sinks::NONE, ..Verdict::default() };
        for rule in self.rules() {
            if rule.condition.test(&scene) != Ok(true) {
                continue;
            }
            let sampled = rule.sampled(&scene);
            verdict.sinks = verdict.sinks.or(rule.sinks_of(sampled));
            if let (Some(tenant), Some(head), None) = (&rule.tenant, scene.request, &verdict.tenant) {
                verdict.tenant = tenant.of(head);
            }
            let extracted = if sampled.is_in() { rule.extracted(&contents) } else { Vec::new() };
            let would = rule.action.as_ref().and_then(Action::would);
            let done = exchange.enforced.contains(&rule.name);
            let would = would.map(|would| Would { done, ..would });
            verdict.rules.push(RuleVerdict { rule: Arc::clone(&rule.name), sampled, extracted, would });
        }
        if verdict.rules.is_empty() {
            verdict.sinks = self.unmatched();
        }
        verdict
    }
}

impl Policy {
    /// What is taken out of an exchange and on whose behalf it is, once more: something was redacted in it since the verdict.
    pub fn extract(&self, exchange: &Exchange, registry: &Registry, verdict: &mut Verdict) {
        let inference = exchange.inference.as_deref();
        let (scene, contents) = (Scene::of(exchange, inference), Contents::new(exchange, inference, registry));
        let tenant = verdict.tenant.take();
        for said in &mut verdict.rules {
            let Some(rule) = self.rules().iter().find(|rule| Arc::ptr_eq(&rule.name, &said.rule)) else { continue };
            verdict.tenant = match (&rule.tenant, scene.request, verdict.tenant.take()) {
                // The token that it is from is a secret, and taken out.
                (Some(Tenant::JwtClaim(_)), _, None) => tenant.clone(),
                (Some(tenant), Some(head), None) => tenant.of(head),
                (_, _, known) => known,
            };
            said.extracted = if said.sampled.is_in() { rule.extracted(&contents) } else { Vec::new() };
        }
    }
}

impl Rule {
    fn extracted(&self, contents: &Contents<'_>) -> Vec<(Arc<str>, Value)> {
        let values = self.extract.iter();
        values.filter_map(|value| Some((Arc::clone(&value.name), contents.extract(value)?))).collect()
    }

    fn needs(&self, scene: &Scene<'_>, inspectors: Needs, contents: Sinks) -> Needs {
        // What asks nothing of a model server will not turn out to be an inference.
        let is_inference = scene.recognised.is_some() || scene.request.is_none();
        let inspectors = if is_inference || self.inspects_any() { inspectors } else { Needs::default() };
        let wanted = self.wants(is_inference, inspectors).max(self.shows(contents, is_inference));
        // An exchange that is out of the sample is counted, for which nothing is kept. But whether it matches may be known
        // from its content only.
        let needed = wanted != Needs::default()
            && self.condition.is_possible(scene)
            && (self.sampled_by_now(scene) != Some(Sampled::Out) || self.condition.test(scene).is_err());
        if needed { wanted } else { Needs::default() }
    }

    pub(super) fn sampled_by_now(&self, scene: &Scene<'_>) -> Option<Sampled> {
        self.sample.as_ref().map_or(Some(Sampled::All), |sample| sample.decide(scene))
    }

    /// Of an exchange that is over.
    fn sampled(&self, scene: &Scene<'_>) -> Sampled {
        self.sampled_by_now(scene).unwrap_or(Sampled::Out)
    }

    /// What is out of the sample is counted, and nothing else.
    const fn sinks_of(&self, sampled: Sampled) -> Sinks {
        if sampled.is_in() { self.sinks } else { self.sinks.and(Sinks::only(SinkName::Metrics)) }
    }
}
