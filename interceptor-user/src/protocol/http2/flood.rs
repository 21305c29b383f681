//! Frames that lead nowhere: each is allowed, but not without end (RFC 9113 section 10.5).

use crate::model::Timestamp;

/// Frames without use, or requests taken back, within so many seconds, that no peer sends in earnest.
const FLOOD: u32 = 1000;
const SECONDS: u64 = 10;

/// What both peers of a connection do to no end.
#[derive(Debug, Default)]
pub(super) struct Flood {
    since: Timestamp,
    frames: u32,
    taken_back: u32,
    told: bool,
}

impl Flood {
    /// Something came of use.
    pub(super) const fn useful(&mut self) {
        self.frames = 0;
    }

    /// A frame brings nothing on by itself. Says once that there are too many.
    pub(super) fn useless(&mut self, time: Timestamp) -> bool {
        if time.since(self.since).as_secs() >= SECONDS {
            *self = Self { since: time, told: self.told, ..Self::default() };
        }
        self.frames += 1;
        let flood = (self.frames > FLOOD || self.taken_back > FLOOD) && !self.told;
        self.told |= flood;
        flood
    }

    /// A request that had no answer yet is taken back.
    pub(super) const fn taken_back(&mut self) {
        self.taken_back += 1;
    }
}
