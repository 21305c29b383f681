//! Quantiles of durations in bounded memory, for summaries.

use std::time::Duration;

/// Steps per power of two: a quantile is exact to 1/64.
const STEPS: u64 = 64;
const BITS: u32 = STEPS.ilog2();
/// Powers of two from 2^6 to 2^63, after one run of single nanoseconds.
const BUCKETS: usize = (STEPS as usize) * (65 - BITS as usize);

/// Durations counted in buckets that grow with them: one addition each, whatever their number.
#[derive(Debug)]
pub(crate) struct Latency {
    buckets: Box<[u64]>,
    count: u64,
    longest: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into(), count: 0, longest: 0 }
    }
}

impl Latency {
    pub(crate) fn add(&mut self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)] += 1;
        self.count += 1;
        self.longest = self.longest.max(nanos);
    }

    /// The least duration that so many thousandths of all do not exceed. None if there were none.
    pub(crate) fn permille(&self, permille: u64) -> Option<Duration> {
        let rank = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += u128::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_nanos(largest_in(bucket).min(self.longest)))
    }
}

/// The first `STEPS` hold one value each; after them each power of two is split into `STEPS`.
const fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    let power = nanos.ilog2() - BITS;
    (power as u64 * STEPS + (nanos >> power)) as usize
}

const fn largest_in(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * STEPS {
        return bucket;
    }
    let power = bucket / STEPS - 1;
    let first = (STEPS + bucket % STEPS) << power;
    first + ((1 << power) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_has_a_bucket_that_is_right_to_a_64th() {
        for nanos in (0..64)
            .flat_map(|bit| [1_u64 << bit, (1 << bit) + 1, (1 << bit) - 1, (1_u64 << bit).wrapping_mul(3)])
            .chain([u64::MAX])
        {
            let end = largest_in(bucket(nanos));
            assert!(end >= nanos && end - nanos <= nanos / STEPS, "{nanos}: {end}");
        }
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn quantiles_by_rank() {
        let mut latency = Latency::default();
        assert_eq!(latency.permille(500), None);
        (1..=1000).for_each(|micros| latency.add(Duration::from_micros(micros)));
        for (permille, expected) in [(0, 1_000), (500, 500_000), (990, 990_000), (1000, 1_000_000)] {
            let found = u64::try_from(latency.permille(permille).expect("some").as_nanos()).expect("small");
            assert!(found.abs_diff(expected) <= expected / STEPS, "{permille}: {found}");
        }
    }
}
