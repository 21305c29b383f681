//! Addresses that fail are left alone for a while.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    config::Ejection,
    proxy::counts::{Counts, Gauge},
};

/// Times of `ejection.time` at the most.
const MOST: u32 = 10;

/// What is known of an address.
#[derive(Default)]
pub(super) struct Outlier {
    /// In a row.
    failures: u32,
    /// How often it was left alone lately.
    times: u32,
    /// Until when it is.
    ejected: Option<(Instant, Gauge)>,
    /// When that ended last.
    back: Option<Instant>,
}

impl Outlier {
    pub(super) fn is_ejected(&mut self, now: Instant) -> bool {
        if let Some((until, _)) = self.ejected.take_if(|(until, _)| *until <= now) {
            self.back = Some(until);
        }
        self.ejected.is_some()
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether it is to be left alone.
    pub(super) fn failed(&mut self, settings: &Ejection) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures >= settings.failures.0
    }

    pub(super) fn eject(&mut self, settings: &Ejection, counts: &Arc<Counts>, now: Instant) -> Duration {
        // For each time that it was there in between, one of the earlier ones is forgotten.
        let there = self.back.map_or(Duration::ZERO, |back| now.saturating_duration_since(back));
        let forgotten = u32::try_from(there.as_nanos() / settings.time.0.as_nanos().max(1)).unwrap_or(u32::MAX);
        self.times = self.times.saturating_sub(forgotten).saturating_add(1).min(MOST);
        self.failures = 0;
        let time = settings.time.0.saturating_mul(self.times);
        self.ejected = Some((now + time, Gauge::new(counts, |counts| &counts.upstream.ejected)));
        time
    }
}

/// How many of so many addresses may be left alone: a part, but one at the least, and never the last.
pub(super) fn most(addresses: usize, settings: &Ejection) -> usize {
    match settings.percent.0 as usize {
        0 => 0,
        percent => (addresses * percent / 100).max(1).min(addresses.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;
    use crate::config::{Count, Percent, Period};

    #[test]
    fn failures_in_a_row_eject_for_longer_each_time() {
        let counts = Arc::new(Counts::default());
        let settings = Ejection { failures: Count(2), time: Period(Duration::from_secs(10)), percent: Percent(50) };
        let mut outlier = Outlier::default();
        assert!(!outlier.failed(&settings));
        outlier.succeeded();
        assert!(!outlier.failed(&settings) && outlier.failed(&settings));
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut eject = |seconds: u64, expected: u64| {
            let time = outlier.eject(&settings, &counts, at(seconds));
            assert_eq!(time, Duration::from_secs(expected), "at {seconds}");
            assert_eq!(counts.upstream.ejected.load(Relaxed), 1);
            assert!(outlier.is_ejected(at(seconds + expected - 1)) && !outlier.is_ejected(at(seconds + expected)));
            assert_eq!(counts.upstream.ejected.load(Relaxed), 0);
        };
        eject(0, 10);
        eject(15, 20);
        eject(36, 30);
        // It is back at 66, and was there twice as long as the base.
        eject(86, 20);
        eject(1000, 10);
        for _ in 0..3 * MOST {
            outlier.eject(&settings, &counts, at(1010));
        }
        assert_eq!(outlier.eject(&settings, &counts, at(1010)), Duration::from_secs(100));
    }

    #[test]
    fn a_part_of_the_addresses_is_left_alone_but_never_the_last() {
        let most =
            |addresses, percent| super::most(addresses, &Ejection { percent: Percent(percent), ..Ejection::default() });
        assert_eq!([0, 1, 2, 3, 10, 20].map(|addresses| most(addresses, 10)), [0, 0, 1, 1, 1, 2]);
        assert_eq!([1, 2, 3, 10].map(|addresses| most(addresses, 100)), [0, 1, 2, 9]);
        assert_eq!([1, 2, 100].map(|addresses| most(addresses, 0)), [0, 0, 0]);
    }
}
