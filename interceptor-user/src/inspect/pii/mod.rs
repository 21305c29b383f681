//! Personal data and secrets in what was sent.
//!
//! A recogniser is a form, a checksum where the number has one, and words that speak of it; scores are as Presidio's. What
//! takes a language model to find (names of persons and places) is out of reach. Precision and recall: `docs/pii.md`.

mod address;
mod body;
mod checksum;
mod conceal;
mod context;
mod custom;
mod identifier;
mod inspector;
mod json;
mod phone;
mod redact;
mod scan;
mod secret;
mod shape;
#[cfg(test)]
mod tests;

pub(super) use self::conceal::shown;
pub use self::{
    conceal::Key,
    inspector::Pii,
    redact::Replacement,
    scan::{Kind, Match, Scanner},
};

/// Score from which on something is a finding, where the policy names none.
pub const THRESHOLD: f32 = 0.5;
