//! What the user wants to see, and to have looked at.
//!
//! A [`Filter`] says which exchanges `tail` and `replay` show. A [`Policy`] says what is looked at in which exchanges: its
//! text is read by [`document`], its conditions are [`expression`]s, `compile` makes its rules of both, and `decide`
//! applies them to exchanges.
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic))]

mod action;
mod compile;
mod decide;
pub mod document;
mod enforce;
pub mod expression;
mod extract;
mod filter;
mod rule;
mod sample;
pub mod settings;
mod steer;
mod tenant;
#[cfg(test)]
mod tests;

pub use self::{
    compile::Policy,
    enforce::Enforcement,
    expression::{Asked, Scene},
    extract::Extraction,
    filter::{CallStatus, Filter, HostPattern, Invalid, MethodName, PathPattern, ProcessPattern, StatusRange},
    rule::{Inspect, Redact, Rule},
    sample::Sample,
    steer::Steer,
    tenant::Tenant,
};
/// What is wrong with a policy: file, line, column, and what would be right.
pub use crate::config::ConfigError as Error;
