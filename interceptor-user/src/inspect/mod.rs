//! What inspectors see in exchanges.
//!
//! An inspector looks at an exchange that is over, within a budget of time and bytes; what it did not look at, it says.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod budget;
pub mod drift;
mod path;
pub mod pii;
mod plan;
mod policies;
mod redact;
mod schema;
mod stage;
#[cfg(test)]
pub(crate) mod testing;
mod transport;

use std::sync::Arc;

pub use self::{
    budget::Budget,
    plan::{Plan, ReadFile},
    policies::Policies,
    schema::Schema,
    stage::{Look, Options, Stage},
    transport::Transport,
};
use crate::{
    model::{
        DriftRecord, Exchange, Finding, Inference, InspectorName, Needs, Role, Timestamp, Uninspected,
        UninspectedReason,
    },
    protobuf::Registry,
};

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The exchange, which is over.
    pub exchange: &'a Exchange,
    /// What it means, if it means something to a model server.
    pub inference: Option<&'a Inference>,
    /// What is known of protobuf messages.
    pub registry: &'a Registry,
}

/// Looks at exchanges, for one rule of the policy.
pub trait Inspector: Send {
    /// Which one it is.
    fn name(&self) -> InspectorName;

    /// What it has to have of an exchange.
    fn needs(&self) -> Needs;

    /// Looks at an exchange.
    fn inspect(&mut self, subject: &Subject<'_>, budget: &mut Budget, report: &mut Report);

    /// Called about once a second, and at the end with `over`: windows may be over.
    fn tick(&mut self, _now: Timestamp, _over: bool, _report: &mut Report) {}
}

/// What inspectors say, for one rule.
#[derive(Debug)]
pub struct Report {
    /// The rule that asks: `policy/rule`.
    pub rule: Arc<str>,
    /// What was seen.
    pub findings: Vec<Finding>,
    /// What was not looked at.
    pub uninspected: Vec<Uninspected>,
    /// Windows that are over.
    pub drift: Vec<DriftRecord>,
}

impl Report {
    /// Nothing yet.
    pub const fn new(rule: Arc<str>) -> Self {
        Self { rule, findings: Vec::new(), uninspected: Vec::new(), drift: Vec::new() }
    }

    /// Something was not looked at; said once for each message and reason.
    pub fn skip(&mut self, inspector: InspectorName, role: Option<Role>, reason: UninspectedReason) {
        let skipped = Uninspected { inspector, role, reason, rule: Arc::clone(&self.rule) };
        if !self.uninspected.contains(&skipped) {
            self.uninspected.push(skipped);
        }
    }
}
