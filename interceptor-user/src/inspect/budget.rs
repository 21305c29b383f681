use std::time::{Duration, Instant};

use crate::model::UninspectedReason;

/// What all inspectors together may spend on one exchange.
#[derive(Clone, Debug)]
pub struct Budget {
    bytes: usize,
    until: Option<Instant>,
}

impl Budget {
    /// So many bytes, and so much time from now on; none is no limit.
    pub fn new(bytes: usize, time: Option<Duration>) -> Self {
        Self { bytes, until: time.and_then(|time| Instant::now().checked_add(time)) }
    }

    /// Everything.
    pub const fn unlimited() -> Self {
        Self { bytes: usize::MAX, until: None }
    }

    /// Asks to look at so many bytes more: as many as are left of them, which may be less. To be asked for no more than some
    /// tens of KiB at a time, because only here it is found out that the time is over.
    pub fn take(&mut self, bytes: usize) -> Result<usize, UninspectedReason> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err(UninspectedReason::Time);
        }
        let taken = bytes.min(self.bytes);
        self.bytes -= taken;
        if taken == 0 && bytes > 0 { Err(UninspectedReason::Bytes) } else { Ok(taken) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_time_are_used_up() {
        let mut budget = Budget::new(10, None);
        assert_eq!(budget.take(6), Ok(6));
        assert_eq!(budget.take(6), Ok(4));
        assert_eq!(budget.take(6), Err(UninspectedReason::Bytes));
        assert_eq!(budget.take(0), Ok(0));
        let mut budget = Budget::new(10, Some(Duration::ZERO));
        assert_eq!(budget.take(1), Err(UninspectedReason::Time));
    }
}
