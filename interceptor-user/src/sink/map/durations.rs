//! Durations of an edge: quantiles and a histogram from the same few counts.

use std::time::Duration;

/// Steps per power of two: a quantile is exact to 1/16.
const STEPS: u64 = 16;
const BITS: u32 = STEPS.ilog2();
/// Units in 100 ms, a power of two: so all bounds of the histogram are bounds of buckets, and counts are exact.
const TENTH: u64 = 1 << 18;
/// Longer ones (about seven hours) are counted as this long, so that a hostile end cannot have us keep ever more buckets.
const LONGEST: u64 = TENTH << 18;
/// Upper bounds of the histogram's buckets in seconds: those of Tempo's service graphs (from 0.1), and finer ones.
pub(in crate::sink) const BOUNDS: [f64; 14] =
    [0.001_562_5, 0.003_125, 0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8];

/// Counted in buckets that grow with them, of which only those are there that hold something.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    /// By bucket, in order.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum: Duration,
    longest: Duration,
}

impl Durations {
    pub(super) fn add(&mut self, duration: Duration) {
        self.count_in(bucket(units(duration)), 1);
        self.count += 1;
        self.sum = self.sum.saturating_add(duration);
        self.longest = self.longest.max(duration);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            self.count_in(*bucket, *count);
        }
        self.count += other.count;
        self.sum = self.sum.saturating_add(other.sum);
        self.longest = self.longest.max(other.longest);
    }

    /// Those that have come since there were these. The longest is that of all.
    pub(super) fn since(&self, before: &Self) -> Self {
        let had = |bucket: u16| {
            let place = before.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket);
            place.ok().and_then(|place| before.buckets.get(place)).map_or(0, |(_, count)| *count)
        };
        let came = self.buckets.iter().map(|(bucket, count)| (*bucket, count.saturating_sub(had(*bucket))));
        let buckets: Vec<_> = came.filter(|(_, count)| *count > 0).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Self { buckets, count, sum: self.sum.saturating_sub(before.sum), longest: self.longest }
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) const fn sum(&self) -> Duration {
        self.sum
    }

    /// The least duration that so many thousandths of all do not exceed. None if there were none.
    pub(super) fn permille(&self, permille: u64) -> Option<Duration> {
        let rank = (u128::from(self.count) * u128::from(permille)).div_ceil(1000).max(1);
        let mut seen = 0;
        let (bucket, _) = self.buckets.iter().find(|(_, count)| {
            seen += u128::from(*count);
            seen >= rank
        })?;
        Some(duration(largest_in(*bucket) + 1).min(self.longest))
    }

    /// How many were not longer than each of [`BOUNDS`].
    pub(super) fn cumulative(&self) -> [u64; BOUNDS.len()] {
        let mut counts = [0; BOUNDS.len()];
        for (place, count) in counts.iter_mut().enumerate() {
            // 0.1 s is the seventh.
            let bound = (TENTH << place) >> 6;
            let within = self.buckets.iter().take_while(|(bucket, _)| largest_in(*bucket) < bound);
            *count = within.map(|(_, count)| count).sum();
        }
        counts
    }

    fn count_in(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.buckets[place].1 += count,
            Err(place) => self.buckets.insert(place, (bucket, count)),
        }
    }
}

/// So many units begun, less one: what is exactly as long as a bound is within it.
fn units(duration: Duration) -> u64 {
    let nanos = u128::from(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let units = (nanos * u128::from(TENTH)).div_ceil(100_000_000);
    u64::try_from(units).unwrap_or(u64::MAX).saturating_sub(1).min(LONGEST)
}

fn duration(units: u64) -> Duration {
    let nanos = u128::from(units) * 100_000_000 / u128::from(TENTH);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The first `STEPS` hold one value each; after them each power of two is split into `STEPS`.
const fn bucket(units: u64) -> u16 {
    if units < STEPS {
        return units as u16;
    }
    let power = units.ilog2() - BITS;
    (power as u64 * STEPS + (units >> power)) as u16
}

const fn largest_in(bucket: u16) -> u64 {
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
    fn quantiles_by_rank() {
        let mut durations = Durations::default();
        assert_eq!(durations.permille(500), None);
        (1..=1000).for_each(|micros| durations.add(Duration::from_micros(micros)));
        for (permille, expected) in [(500, 500_000), (990, 990_000), (1000, 1_000_000)] {
            let found = u64::try_from(durations.permille(permille).expect("some").as_nanos()).expect("small");
            assert!(found.abs_diff(expected) <= expected / STEPS, "{permille}: {found}");
        }
    }

    #[test]
    fn bounds_are_exact_and_what_is_as_long_is_within() {
        let mut durations = Durations::default();
        for bound in BOUNDS {
            durations.add(Duration::from_secs_f64(bound));
            durations.add(Duration::from_secs_f64(bound) + Duration::from_micros(1));
        }
        let expected: Vec<u64> = (0..BOUNDS.len() as u64).map(|place| 2 * place + 1).collect();
        assert_eq!(durations.cumulative().to_vec(), expected);
    }

    #[test]
    fn memory_ends_where_durations_do_not() {
        let mut durations = Durations::default();
        for bit in 0..64 {
            (0..64).for_each(|part| durations.add(Duration::from_nanos((1_u64 << bit).wrapping_mul(64 + part) / 64)));
        }
        durations.add(Duration::MAX);
        let most = usize::from(bucket(LONGEST)) + 1;
        assert!(durations.buckets.len() <= most && most < 600, "{} of {most}", durations.buckets.len());
    }

    #[test]
    fn what_came_since_is_what_there_is_without_what_there_was() {
        let (mut before, mut all, mut came) = (Durations::default(), Durations::default(), Durations::default());
        for micros in 1..500 {
            all.add(Duration::from_micros(micros));
            if micros < 300 { &mut before } else { &mut came }.add(Duration::from_micros(micros));
        }
        let since = all.since(&before);
        assert_eq!((&since.buckets, since.count, since.sum), (&came.buckets, came.count, came.sum));
        assert_eq!(before.since(&all).count, 0, "what was forgotten takes nothing away");
    }

    #[test]
    fn together_they_are_what_they_were_apart() {
        let (mut one, mut other, mut all) = (Durations::default(), Durations::default(), Durations::default());
        for micros in 1..500 {
            if micros % 3 == 0 { &mut one } else { &mut other }.add(Duration::from_micros(micros));
            all.add(Duration::from_micros(micros));
        }
        one.merge(&other);
        assert_eq!((&one.buckets, one.count, one.sum, one.longest), (&all.buckets, all.count, all.sum, all.longest));
    }
}
