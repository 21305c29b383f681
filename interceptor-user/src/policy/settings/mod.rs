//! Settings of inspectors, as policies give them.

pub mod drift;
mod pii;
mod schema;
mod transport;

pub use self::{drift::Drift, pii::Pii, schema::Schema, transport::Transport};
