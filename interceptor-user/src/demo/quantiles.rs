//! Quantiles of durations in bounded memory.

use std::time::Duration;

/// Buckets per power of two; a quantile is right to one part in this.
const STEPS: u64 = 32;
const STEP_BITS: u32 = STEPS.ilog2();
const BUCKETS: usize = (64 - STEP_BITS as usize) * STEPS as usize + STEPS as usize;

/// Counts of durations in buckets whose width grows with the duration.
#[derive(Clone, Debug)]
pub(super) struct Quantiles {
    buckets: Vec<u64>,
    count: u64,
    largest: u64,
}

impl Default for Quantiles {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, largest: 0 }
    }
}

impl Quantiles {
    pub(super) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.largest = self.largest.max(nanos);
    }

    /// The duration that this many percent were not longer than (nearest rank); `None` where there was nothing.
    pub(super) fn percent(&self, percent: u64) -> Option<Duration> {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(upper_end(found).min(self.largest)))
    }
}

/// Below [`STEPS`] each nanosecond has its bucket; from there on each power of two has [`STEPS`] of them.
const fn bucket(nanos: u64) -> usize {
    let shift = (nanos | 1).ilog2().saturating_sub(STEP_BITS);
    (shift as u64 * STEPS + (nanos >> shift)) as usize
}

/// The largest value of a bucket.
const fn upper_end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let shift = (bucket / STEPS).saturating_sub(1);
    let first = (bucket - shift * STEPS) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_ends_say() {
        for nanos in [0, 1, 31, 32, 33, 63, 64, 65, 1000, 123_456_789, u64::MAX / 2, u64::MAX] {
            let index = bucket(nanos);
            assert!(upper_end(index) >= nanos, "{nanos}");
            assert!(index == 0 || upper_end(index - 1) < nanos, "{nanos}");
            assert!(upper_end(index) - nanos <= nanos / STEPS, "{nanos}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_are_the_nearest_ranks() {
        let mut quantiles = Quantiles::default();
        assert_eq!(quantiles.percent(50), None);
        (1..=100).for_each(|millis| quantiles.add(Duration::from_millis(millis)));
        for percent in [1, 50, 90, 99] {
            let found = quantiles.percent(percent).unwrap();
            let exact = Duration::from_millis(percent);
            assert!(found >= exact && found < exact.mul_f64(1.04), "p{percent}: {found:?}");
        }
        assert_eq!(quantiles.percent(100), Some(Duration::from_millis(100)));
    }
}
