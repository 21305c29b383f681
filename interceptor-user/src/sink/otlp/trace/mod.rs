//! Spans: what is sent of exchanges as traces.

pub mod context;
pub mod ids;
