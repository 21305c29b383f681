//! Settings of inspectors, as policies give them.

/// Comparison of features with a baseline.
pub mod drift;
mod error;
mod pii;
mod schema;
mod transport;

pub use self::{
    drift::Drift,
    error::Error,
    pii::{Pii, Place, Recognizer, Side},
    schema::{Schema, Signature, Source},
    transport::Transport,
};
