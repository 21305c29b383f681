//! How far apart two samples are: the tests and distances that Evidently offers, each with scipy's result.
//!
//! What each is compared with, and how closely it agrees, is in `docs/drift.md`.

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
