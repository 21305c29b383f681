//! Where events come from.

pub mod memory;
pub mod packet;
pub mod pcap;

use std::time::Duration;

use crate::model::{Event, Timestamp};

pub mod ring;

/// What a [`Source::poll`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Some events were handed over; there may be more. `now` is the source's time.
    Events {
        /// The source's time: the clock if it is live, the last packet's if it is a file.
        now: Timestamp,
    },
    /// None within the time-out.
    Idle {
        /// The source's time.
        now: Timestamp,
    },
    /// There will be no more.
    End,
}

/// A place that events come from: the ring, a capture file, memory.
pub trait Source {
    /// Hands over events that are there, in bounded batches, waiting up to `timeout` for the first.
    fn poll<F: FnMut(Event<'_>)>(&mut self, timeout: Duration, take: F) -> anyhow::Result<Polled>;
}
