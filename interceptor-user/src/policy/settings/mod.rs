//! Settings of inspectors, as policies give them.

/// Comparison of features with a baseline.
pub mod drift;
mod pii;
mod schema;
mod transport;

pub use self::{drift::Drift, pii::Pii, schema::Schema, transport::Transport};
