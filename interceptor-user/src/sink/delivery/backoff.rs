use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST: Duration = Duration::from_secs(10);

/// Waits between attempts: each twice as long as the one before, and a random part shorter, so that many daemons do not
/// come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
    /// State of the generator (xorshift64*); nothing secret depends on it.
    random: u64,
}

impl Backoff {
    pub(super) fn new(seed: u64) -> Self {
        Self { next: FIRST, random: seed | 1 }
    }

    /// An attempt was good.
    pub(super) const fn reset(&mut self) {
        self.next = FIRST;
    }

    /// How long to wait now: between a half and all of the wait that is due; at least as long as is asked for.
    pub(super) fn wait(&mut self, asked: Option<Duration>) -> Duration {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let random = self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        let half = self.next / 2;
        let wait = half + Duration::from_nanos((half.as_nanos() as u64).wrapping_mul(random) >> 32);
        self.next = (self.next * 2).min(LONGEST);
        wait.max(asked.unwrap_or_default().min(LONGEST))
    }
}
