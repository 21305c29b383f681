//! One bound on what the decoding of all workers keeps.
//!
//! Workers take room in steps, ahead of need, so that what they share is touched once a step and not once a message. No
//! more is given out than there is, and a worker that has no room left keeps nothing more; so what is kept exceeds the
//! bound by no more than the one message, of each worker, that used up its room.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The bound, and how much of it is given out.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    taken: AtomicUsize,
}

/// What is taken at once, and what is least kept ready, unless the whole is small.
const STEP: usize = 1 << 20;
/// How many steps the whole has at least.
const STEPS_MIN: usize = 64;

impl Budget {
    /// So many bytes, none of them given out.
    pub const fn new(total: usize) -> Self {
        Self { total, taken: AtomicUsize::new(0) }
    }

    fn step(&self) -> usize {
        STEP.min(self.total / STEPS_MIN).max(1)
    }

    /// Gives out up to so many bytes.
    fn take(&self, wanted: usize) -> usize {
        let mut given = 0;
        let take = |taken: usize| {
            given = wanted.min(self.total.saturating_sub(taken));
            (given > 0).then_some(taken + given)
        };
        // Without an update nothing was left.
        let _ = self.taken.fetch_update(Relaxed, Relaxed, take);
        given
    }

    /// What is not given out.
    fn left(&self) -> usize {
        self.total.saturating_sub(self.taken.load(Relaxed))
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Relaxed);
    }
}

impl Default for Budget {
    /// 256 MiB.
    fn default() -> Self {
        Self::new(256 << 20)
    }
}

/// One worker's share.
#[derive(Debug)]
pub(super) struct Share {
    budget: Arc<Budget>,
    step: usize,
    taken: usize,
    used: usize,
}

impl Share {
    pub(super) fn of(budget: Arc<Budget>) -> Self {
        Self { step: budget.step(), budget, taken: 0, used: 0 }
    }

    /// What is kept.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// How much more may be kept.
    #[inline]
    pub(super) fn room(&mut self) -> usize {
        if self.taken < self.used + self.step {
            self.taken += self.budget.take(self.step);
        }
        // What nobody has taken may be had at once: one message may need more than is kept ready.
        self.taken.saturating_sub(self.used) + self.budget.left()
    }

    /// What was kept as `before` is `after` now.
    #[inline]
    pub(super) fn change(&mut self, before: usize, after: usize) {
        self.used = (self.used + after).saturating_sub(before);
        if self.used > self.taken {
            self.taken += self.budget.take(self.used - self.taken);
        }
        // Two steps stay, so that going up and down by a little takes and gives back nothing.
        let surplus = self.taken.saturating_sub(self.used + 2 * self.step);
        if surplus > self.step {
            self.taken -= surplus;
            self.budget.give_back(surplus);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.give_back(self.taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_together_never_have_more_than_there_is_and_give_all_back() {
        let budget = Arc::new(Budget::new(64 * 100));
        let mut shares = [(); 3].map(|()| Share::of(Arc::clone(&budget)));
        let mut refused = 0;
        for round in 0..1000 {
            let share = &mut shares[round % 3];
            let room = share.room();
            if room < 70 {
                refused += 1;
            } else {
                share.change(0, 70);
            }
            assert!(shares.iter().map(Share::used).sum::<usize>() <= 6400);
            assert!(budget.taken.load(Relaxed) <= 6400);
        }
        assert!(refused > 800, "{refused}");
        let used = shares.iter().map(Share::used).sum::<usize>();
        assert!(used > 6400 - 3 * 70, "{used}: the last of it is used too");
        shares[0].change(shares[0].used(), 0);
        assert!(shares[1].room() >= 70, "what one gives back another gets");
        drop(shares);
        assert_eq!(budget.taken.load(Relaxed), 0);
    }

    #[test]
    fn a_little_up_and_down_leaves_what_is_shared_alone() {
        let budget = Arc::new(Budget::default());
        let mut share = Share::of(Arc::clone(&budget));
        share.room();
        share.change(0, 1000);
        share.room();
        let taken = budget.taken.load(Relaxed);
        for _ in 0..100 {
            assert!(share.room() >= STEP);
            share.change(0, 3000);
            share.change(3000, 0);
        }
        assert_eq!(budget.taken.load(Relaxed), taken);
    }
}
