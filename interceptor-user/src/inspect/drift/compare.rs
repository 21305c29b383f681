use super::{
    baseline::{Categories, Numbers, Values},
    plan::Plan,
    stats::{self, Pairs, Sample},
    window::Window,
};
use crate::{
    model::DriftTest,
    policy::settings::drift::{Drift as Settings, PsiBins},
};

/// Up to so many values a baseline is small: p-values decide, beyond it distances (Evidently).
const SMALL: u64 = 1_000;

/// Up to so many different numbers are compared as categories (Evidently).
const FEW: usize = 5;

/// Up to so many different numbers in the baseline are bins of their own (Evidently).
const UNBINNED: usize = 20;

/// Bins of the population stability index.
const BINS: u32 = 30;

/// What came of a comparison.
pub(super) struct Outcome {
    pub(super) test: DriftTest,
    pub(super) score: Option<f64>,
    pub(super) threshold: f64,
    pub(super) drifted: bool,
}

/// Compares a window with the baseline, if it has as many values as the settings want.
pub(super) fn compare(window: &Window, plan: &Plan, settings: &Settings) -> Outcome {
    let small = plan.count.saturating_sub(plan.missing) <= SMALL;
    let enough = window.compared() >= settings.minimum;
    let (test, score) = match (&plan.values, window.sketch()) {
        (Values::Numbers(reference), Some(sketch)) => {
            let sample = sketch.sample();
            let test = plan.test.unwrap_or_else(|| for_numbers(reference, &sample, small));
            (test, enough.then(|| numbers(test, reference, &sample, settings.psi_bins)).flatten())
        }
        (Values::Categories(reference), _) => {
            let pairs = window.pairs(reference);
            let test = plan.test.unwrap_or_else(|| for_categories(&pairs, reference, small));
            (test, enough.then(|| of_kinds(test, &pairs)).flatten())
        }
        (Values::Numbers(_), None) => (plan.test.unwrap_or(DriftTest::KolmogorovSmirnov), None),
    };
    let named = settings.thresholds.iter().find(|(named, _)| DriftTest::from(**named) == test);
    let threshold = plan.threshold.or(named.map(|(_, threshold)| *threshold)).unwrap_or_else(|| default(test));
    let drifted = score.is_some_and(|score| is_drift(test, score, threshold));
    Outcome { test, score, threshold, drifted }
}

/// Evidently's choice, by how many different numbers there are in both.
fn for_numbers(reference: &Numbers, current: &Sample, small: bool) -> DriftTest {
    let most = reference.sample.distinct().max(current.distinct());
    let few = most <= FEW && Pairs::of_values(&reference.sample, current).0.len() <= FEW;
    match (small, few) {
        (true, false) => DriftTest::KolmogorovSmirnov,
        (true, true) => of_few(&Pairs::of_values(&reference.sample, current)),
        (false, false) => DriftTest::Wasserstein,
        (false, true) => DriftTest::JensenShannon,
    }
}

fn for_categories(pairs: &Pairs, reference: &Categories, small: bool) -> DriftTest {
    match small {
        true if reference.other == 0 => of_few(pairs),
        true => DriftTest::ChiSquared,
        false => DriftTest::JensenShannon,
    }
}

fn of_few(pairs: &Pairs) -> DriftTest {
    if pairs.0.len() > 2 { DriftTest::ChiSquared } else { DriftTest::ZTest }
}

fn numbers(test: DriftTest, reference: &Numbers, current: &Sample, psi_bins: PsiBins) -> Option<f64> {
    let sample = &reference.sample;
    let binned = |bins: fn(&Sample, &Sample) -> Pairs| {
        if sample.distinct() <= UNBINNED { Pairs::of_values(sample, current) } else { bins(sample, current) }
    };
    match test {
        DriftTest::KolmogorovSmirnov => stats::kolmogorov_smirnov(sample, current),
        DriftTest::Wasserstein => stats::wasserstein(sample, current, reference.deviation),
        DriftTest::JensenShannon => stats::jensen_shannon(&binned(Pairs::of_sturges)),
        DriftTest::Psi => stats::psi(&match psi_bins {
            PsiBins::Sturges => binned(Pairs::of_sturges),
            PsiBins::Quantiles => binned(|sample, current| Pairs::of_quantiles(sample, current, BINS)),
        }),
        DriftTest::ChiSquared | DriftTest::ZTest => of_kinds(test, &Pairs::of_values(sample, current)),
    }
}

/// None for a test that needs numbers.
fn of_kinds(test: DriftTest, pairs: &Pairs) -> Option<f64> {
    match test {
        DriftTest::ChiSquared => stats::chi_squared(pairs),
        DriftTest::ZTest => stats::z_test(pairs),
        DriftTest::JensenShannon => stats::jensen_shannon(pairs),
        DriftTest::Psi => stats::psi(pairs),
        DriftTest::KolmogorovSmirnov | DriftTest::Wasserstein => None,
    }
}

/// Evidently's.
const fn default(test: DriftTest) -> f64 {
    if test.is_p_value() { 0.05 } else { 0.1 }
}

fn is_drift(test: DriftTest, score: f64, threshold: f64) -> bool {
    if test.is_p_value() { score < threshold } else { score >= threshold }
}
