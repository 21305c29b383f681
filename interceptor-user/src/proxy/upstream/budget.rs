//! How much may be tried again: a share of the requests, so that retries do not add up to a load of their own.

use tokio::time::Instant;

use crate::config;

/// Seconds that requests count for.
const SECONDS: usize = 10;

/// Requests and retries of the last seconds.
pub(super) struct Budget {
    percent: u64,
    minimum: u64,
    began: Instant,
    /// The second that was last written to, since `began`.
    now: u64,
    slots: [Slot; SECONDS],
}

#[derive(Clone, Copy, Default)]
struct Slot {
    requests: u64,
    retries: u64,
}

impl Budget {
    pub(super) fn new(settings: &config::Budget, now: Instant) -> Self {
        let (percent, minimum) = (u64::from(settings.percent.0), u64::from(settings.minimum.0));
        Self { percent, minimum, began: now, now: 0, slots: Default::default() }
    }

    pub(super) fn request(&mut self, now: Instant) {
        if let Some(slot) = self.slot(now) {
            slot.requests += 1;
        }
    }

    /// Takes one retry out of it, if there is one left.
    pub(super) fn retry(&mut self, now: Instant) -> bool {
        let has_slot = self.slot(now).is_some();
        let sum = |of: fn(&Slot) -> u64| self.slots.iter().map(of).sum::<u64>();
        let (requests, retries) = (sum(|slot| slot.requests), sum(|slot| slot.retries));
        let allowed = (requests * self.percent / 100).max(self.minimum * SECONDS as u64);
        let is_left = has_slot && retries < allowed;
        if is_left && let Some(slot) = self.slot(now) {
            slot.retries += 1;
        }
        is_left
    }

    /// That of this second. What is older than all of them is forgotten.
    fn slot(&mut self, now: Instant) -> Option<&mut Slot> {
        let second = now.saturating_duration_since(self.began).as_secs();
        let slots = self.slots.len() as u64;
        for passed in self.now + 1..=second.min(self.now + slots) {
            if let Some(slot) = self.slots.get_mut((passed % slots) as usize) {
                *slot = Slot::default();
            }
        }
        self.now = self.now.max(second);
        self.slots.get_mut((self.now % slots) as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Count, Percent};

    #[test]
    fn a_share_of_the_requests_may_be_tried_again_and_some_a_second_anyway() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let settings = config::Budget { percent: Percent(20), minimum: Count(1) };
        let mut budget = Budget::new(&settings, begin);
        let retries = |budget: &mut Budget, now| (0..1000).take_while(|_| budget.retry(now)).count();
        assert_eq!(retries(&mut budget, at(0)), 10, "one a second, of ten");
        (0..200).for_each(|_| budget.request(at(3)));
        assert_eq!(retries(&mut budget, at(4)), 30, "a fifth of 200, of which ten are used");
        assert_eq!(retries(&mut budget, at(9)), 0);
        // The first ten retries are forgotten, later the requests, then all.
        assert_eq!(retries(&mut budget, at(10)), 10);
        assert_eq!(retries(&mut budget, at(13)), 0, "no request is left, and of the retries 40");
        assert_eq!(retries(&mut budget, at(14)), 0, "ten, at the tenth second");
        assert_eq!(retries(&mut budget, at(20)), 10);
        assert_eq!(retries(&mut budget, at(1000)), 10);
        // Nothing beside the minimum, and nothing of a future that is over.
        let mut none = Budget::new(&config::Budget { percent: Percent(0), minimum: Count(1) }, begin);
        (0..1000).for_each(|_| none.request(begin));
        assert_eq!(retries(&mut none, begin), 10);
    }
}
