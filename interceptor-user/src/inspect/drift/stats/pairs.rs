use super::{Sample, sample::merged};

/// How often each of the same kinds is in two samples: baseline and window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairs(pub Vec<(f64, f64)>);

impl Pairs {
    /// By number, in ascending order.
    pub fn of_values(reference: &Sample, current: &Sample) -> Self {
        let mut before = (0.0, 0.0);
        let counts = merged(reference, current).map(|(_, a, b)| {
            let counts = (a - before.0, b - before.1);
            before = (a, b);
            counts
        });
        Self(counts.collect())
    }

    /// By equal bins over all numbers of both, as many as Sturges (1926) says: what Evidently does (its release 0.7.23,
    /// `get_binned_data`, in numpy's order of operations).
    pub fn of_sturges(reference: &Sample, current: &Sample) -> Self {
        let ranges = reference.range().into_iter().chain(current.range());
        let Some((first, last)) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else { return Self::default() };
        let width = (last - first) / ((reference.count() + current.count()).log2() + 1.0);
        let bins = ((last - first) / width).ceil();
        if !(bins >= 1.0 && bins.is_finite()) {
            return Self(vec![(reference.count(), current.count())]);
        }
        let step = (last - first) / bins;
        // Below 66 bins: samples have less than 2^64 values.
        let inner: Vec<f64> = (1..bins.min(66.0) as u32).map(|index| f64::from(index) * step + first).collect();
        Self::between(&inner, reference, current)
    }

    /// By bins that each hold the same share of the baseline.
    pub fn of_quantiles(reference: &Sample, current: &Sample, bins: u32) -> Self {
        let mut inner = reference.quantiles((1..bins).map(|index| f64::from(index) / f64::from(bins)));
        inner.dedup();
        Self::between(&inner, reference, current)
    }

    /// Edges belong to the bin above them; the first bin and the last one are open.
    fn between(inner: &[f64], reference: &Sample, current: &Sample) -> Self {
        let histogram = |sample: &Sample| {
            let mut below = sample.below(inner);
            below.push(sample.count());
            let mut before = 0.0;
            for count in &mut below {
                before += std::mem::replace(count, *count - before) - before;
            }
            below
        };
        Self(histogram(reference).into_iter().zip(histogram(current)).collect())
    }

    /// How many there are in each.
    pub fn totals(&self) -> (f64, f64) {
        self.0.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
    }

    /// As shares of the whole; None where one of them is empty.
    pub fn shares(&self) -> Option<Vec<(f64, f64)>> {
        let (a, b) = self.totals();
        (a > 0.0 && b > 0.0).then(|| self.0.iter().map(|pair| (pair.0 / a, pair.1 / b)).collect())
    }
}
