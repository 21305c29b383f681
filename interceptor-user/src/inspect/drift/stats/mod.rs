//! How far apart two samples are: the tests and distances that Evidently offers, each with scipy's result.
//!
//! What each is compared with, and how closely it agrees, is in `docs/drift.md`.
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::many_single_char_names,
    reason = "formulas: counts are far below 2^52, and what they name has one letter in the literature"
)]

mod distance;
mod gamma;
mod kolmogorov;
mod ks;
mod pairs;
mod proportion;
mod sample;

pub use self::{
    distance::{jensen_shannon, psi, wasserstein},
    ks::kolmogorov_smirnov,
    pairs::Pairs,
    proportion::{chi_squared, z_test},
    sample::Sample,
};

#[cfg(test)]
mod tests;
