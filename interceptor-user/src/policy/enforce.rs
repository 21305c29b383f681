//! What the inline path is to do with a request: by its head, or where a rule asks for more by all of it.

use std::sync::Arc;

use super::{
    compile::Policy,
    document::{Action, Deny, Rewrite, Route},
    expression::Scene,
    rule::Rule,
};
use crate::model::Sampled;

/// What is to be done with a request before it is sent on. By default nothing.
#[derive(Clone, Debug, Default)]
pub struct Enforcement {
    /// It is answered instead; then nothing else is done.
    pub deny: Option<Deny>,
    /// It goes to other backends.
    pub route: Option<Route>,
    /// It is changed, in this order.
    pub rewrites: Vec<Rewrite>,
    /// It gets a trace context, if it has none.
    pub trace: bool,
    /// This one, which the rules do not know.
    pub traceparent: Option<String>,
    /// Rules that say so.
    pub rules: Vec<Arc<str>>,
    /// There is a rule that asks for the request's content, of which it takes so many bytes at the most: nothing is to be done before
    /// all of that has come.
    pub awaits: Option<usize>,
}

impl Policy {
    /// Is there a rule that has the inline path do something?
    pub fn enforces(&self) -> bool {
        self.rules().iter().any(|rule| rule.action.as_ref().is_some_and(Action::is_enforced))
    }

    /// What the rules say that what is known of the request satisfies, in their order: the first that denies ends it, the first that
    /// routes counts, changes add up.
    pub fn enforce(&self, scene: &Scene<'_>) -> Enforcement {
        let mut all = Enforcement::default();
        for rule in self.rules() {
            let Some(action) = rule.action.as_ref().filter(|action| action.is_enforced()) else { continue };
            if !rule.certainly(scene) {
                if rule.awaits_content(scene) {
                    all.awaits = all.awaits.max(Some(rule.keep.request));
                }
                continue;
            }
            if let Some(deny) = &action.deny {
                return Enforcement {
                    deny: Some(deny.clone()),
                    rules: vec![Arc::clone(&rule.name)],
                    ..Enforcement::default()
                };
            }
            if all.add(action) {
                all.rules.push(Arc::clone(&rule.name));
            }
        }
        all
    }
}

impl Enforcement {
    /// Says whether there is something in it that counts.
    fn add(&mut self, action: &Action) -> bool {
        match (&action.route, &action.rewrite, &action.trace) {
            (Some(route), ..) if self.route.is_none() => self.route = Some(route.clone()),
            (_, Some(rewrite), _) => self.rewrites.push(rewrite.value.clone()),
            (.., Some(_)) => self.trace = true,
            _ => return false,
        }
        true
    }
}

impl Rule {
    /// Does it match by what is known, and is it in the sample?
    fn certainly(&self, scene: &Scene<'_>) -> bool {
        self.condition.test(scene) == Ok(true) && self.sampled_by_now(scene).is_some_and(Sampled::is_in)
    }

    /// Does it have something done to requests by what their content says?
    pub(super) fn holds(&self) -> bool {
        self.action.as_ref().is_some_and(Action::is_enforced) && self.condition.asks_of_content()
    }

    /// May it match once the content is there, which it asks for?
    fn awaits_content(&self, scene: &Scene<'_>) -> bool {
        scene.asked.is_none()
            && self.condition.asks_of_content()
            && self.condition.is_possible(scene)
            && self.sampled_by_now(scene) != Some(Sampled::Out)
    }
}

impl Action {
    /// Does the inline path do it? (What it does not do yet is only told.)
    pub const fn is_enforced(&self) -> bool {
        self.deny.is_some() || self.route.is_some() || self.rewrite.is_some() || self.trace.is_some()
    }
}
