//! What holds up one side of a flow: a slow reader, and what the network lost.

use std::time::Duration;

use crate::model::{Chunk, Delays, Timestamp};

/// How one side of a flow gets on.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// From when its peer had no room, and until when, if it said so.
    full: Option<(Timestamp, Option<Timestamp>)>,
    /// The latest capture time of its data.
    latest: Timestamp,
    /// The last time for which data that was here had to wait. Times that touch are one, so that none counts twice.
    waited: (Timestamp, Timestamp),
}

impl Pace {
    /// The peer has no room, or has again.
    pub(super) fn window(&mut self, full: bool, time: Timestamp) {
        match &mut self.full {
            None if full => self.full = Some((time, None)),
            // What it has asked for since did not make it go on.
            Some((_, until)) if full => *until = None,
            Some((_, until)) => *until = until.or(Some(time)),
            None => {}
        }
    }

    /// Its next chunk came. Says by what it was held up, if it was.
    #[inline]
    pub(super) fn chunk(&mut self, chunk: Chunk<'_>, time: Timestamp) -> Option<Delays> {
        if self.full.is_none() && time >= self.latest && matches!(chunk, Chunk::Data(_)) {
            self.latest = time;
            return None;
        }
        self.held_up(chunk, time)
    }

    #[cold]
    fn held_up(&mut self, chunk: Chunk<'_>, time: Timestamp) -> Option<Delays> {
        if matches!(chunk, Chunk::Gap { .. }) {
            // When these bytes came nobody saw, so neither when there was room again; and they fill no hole.
            self.full = None;
            return None;
        }
        let full = self.full.take_if(|(from, _)| *from <= time);
        let stalled = full.map_or(Duration::ZERO, |(from, until)| until.unwrap_or(time).min(time).since(from));
        let waited = if time < self.latest { self.wait(time) } else { Duration::ZERO };
        self.latest = self.latest.max(time);
        let delays = Delays { stalled, waited };
        (delays != Delays::default()).then_some(delays)
    }

    /// What was captured at `time` could be read at the time of the latest data only, which filled a hole before it.
    fn wait(&mut self, time: Timestamp) -> Duration {
        let (from, until) = self.waited;
        if time >= until {
            self.waited = (time, self.latest);
            return self.latest.since(time);
        }
        self.waited = (from.min(time), self.latest);
        from.since(time) + self.latest.since(until)
    }
}

#[cfg(test)]
mod tests;
