//! What is left in a source once nothing is added to it.

use std::time::{Duration, Instant};

use crate::{
    capture::{Polled, Source},
    model::Event,
};

/// What found no room in the ring is looked for less often than the ring itself; an idle ring is not the end before.
const AT_LEAST: Duration = Duration::from_millis(250);
/// The ring holds less than this takes to read; something is wrong if it lasts longer.
const AT_MOST: Duration = Duration::from_secs(5);

/// A source that ends when there is no more to read.
pub(super) struct Drain<'a, S> {
    source: &'a mut S,
    start: Instant,
}

impl<'a, S> Drain<'a, S> {
    pub(super) fn new(source: &'a mut S) -> Self {
        Self { source, start: Instant::now() }
    }
}

impl<S: Source> Source for Drain<'_, S> {
    fn poll<F: FnMut(Event<'_>)>(&mut self, timeout: Duration, take: F) -> anyhow::Result<Polled> {
        let spent = self.start.elapsed();
        if spent >= AT_MOST {
            tracing::warn!("the ring did not run dry in {} s; what is left in it is lost", AT_MOST.as_secs());
            return Ok(Polled::End);
        }
        match self.source.poll(timeout.min(AT_LEAST / 10), take)? {
            Polled::Idle { .. } if spent >= AT_LEAST => Ok(Polled::End),
            polled => Ok(polled),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    /// Gives events for so many polls, then none.
    struct Fading(u32);

    impl Source for Fading {
        fn poll<F: FnMut(Event<'_>)>(&mut self, _: Duration, _: F) -> anyhow::Result<Polled> {
            std::thread::sleep(Duration::from_millis(10));
            let now = Timestamp::default();
            let polled = if self.0 > 0 { Polled::Events { now } } else { Polled::Idle { now } };
            self.0 = self.0.saturating_sub(1);
            Ok(polled)
        }
    }

    #[test]
    fn it_ends_once_dry_and_not_before_losses_were_looked_for() {
        let mut source = Fading(3);
        let mut drain = Drain::new(&mut source);
        let start = Instant::now();
        while drain.poll(Duration::from_millis(100), |_| {}).expect("polls") != Polled::End {}
        assert!((AT_LEAST..AT_MOST).contains(&start.elapsed()), "{:?}", start.elapsed());
        assert_eq!(source.0, 0);
    }
}
