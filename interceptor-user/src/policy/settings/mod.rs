//! Settings of inspectors, as policies give them.

/// Comparison of features with a baseline.
pub mod drift;
mod error;
pub mod pii;
pub mod schema;
mod transport;

pub use self::{drift::Drift, error::Error, pii::Pii, schema::Schema, transport::Transport};
