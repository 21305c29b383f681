//! Features that are not distributed as in the baseline.

pub mod stats;
