//! Flow control (RFC 9113 section 5.2): what each side may send, on the connection and on each stream.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::connection::{get, of};
use crate::model::Side;

/// Window before anyone says otherwise (section 6.9.2).
const WINDOW: i64 = 65_535;
/// Largest window (section 6.9.1).
const WINDOW_MAX: i64 = (1 << 31) - 1;
/// Streams that are followed.
const STREAMS_MAX: usize = 1 << 16;

/// What a side may send.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// On the connection as a whole.
    connection: i64,
    /// On a new stream.
    initial: i64,
    /// The highest stream that it opened.
    highest: u32,
}

/// What each side may send on a stream beyond its initial window, and whether it has ended it.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    granted: [i64; 2],
    ended: [bool; 2],
    answered: bool,
}

/// What both sides may send, and the streams that are open.
#[derive(Debug)]
pub(super) struct Windows {
    sides: [Allowance; 2],
    /// Who opens the odd ones (section 5.1.1).
    client: Side,
    streams: HashMap<u32, Stream, RandomState>,
}

impl Windows {
    pub(super) fn new(client: Side) -> Self {
        let allowance = Allowance { connection: WINDOW, initial: WINDOW, highest: 0 };
        Self { sides: [allowance; 2], client, streams: HashMap::default() }
    }

    /// Bytes of memory held beside itself.
    pub(super) fn memory(&self) -> usize {
        self.streams.capacity() * (size_of::<(u32, Stream)>() + 1)
    }

    /// Streams begin with another window, those that are open included (section 6.9.2).
    pub(super) fn initial(&mut self, side: Side, window: u32) {
        of(&mut self.sides, side).initial = i64::from(window);
    }

    /// `side` begins a stream, or answers on one. `exact`: every frame was seen, so a lower number than the highest is no
    /// new one.
    pub(super) fn begun(&mut self, side: Side, stream: u32, exact: bool) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.answered = true;
            return;
        }
        let opens = (stream % 2 == 1) == (side == self.client);
        if exact && !opens {
            return;
        }
        let highest = &mut of(&mut self.sides, side).highest;
        if stream <= *highest && exact {
            return;
        }
        *highest = stream.max(*highest);
        if self.streams.len() < STREAMS_MAX {
            self.streams.insert(stream, Stream::default());
        }
    }

    /// `side` sends no more on a stream.
    pub(super) fn ended(&mut self, side: Side, stream: u32) {
        let over = self.streams.get_mut(&stream).is_some_and(|known| {
            *of(&mut known.ended, side) = true;
            known.ended == [true, true]
        });
        if over {
            self.streams.remove(&stream);
        }
    }

    /// A stream is aborted. Says whether the other side had answered on it.
    pub(super) fn aborted(&mut self, stream: u32) -> bool {
        self.streams.remove(&stream).is_some_and(|stream| stream.answered)
    }

    /// `side` sent so much content. Says whether it was allowed to; `offered` is an initial window that its peer offers
    /// and it has not acknowledged: some use it before they do.
    pub(super) fn sent(&mut self, side: Side, stream: u32, bytes: u32, offered: i64) -> bool {
        let bytes = i64::from(bytes);
        let allowance = of(&mut self.sides, side);
        let mut allowed = bytes <= allowance.connection;
        allowance.connection -= bytes;
        if let Some(known) = self.streams.get_mut(&stream) {
            let granted = of(&mut known.granted, side);
            allowed &= bytes <= allowance.initial.max(offered) + *granted;
            *granted -= bytes;
        }
        allowed
    }

    /// `side` may send so much more on a stream, or on the connection (stream 0). Says whether that may be said.
    pub(super) fn granted(&mut self, side: Side, stream: u32, increment: u32) -> bool {
        let allowance = *get(&self.sides, side);
        let (window, initial) = match self.streams.get_mut(&stream) {
            _ if stream == 0 => (&mut of(&mut self.sides, side).connection, 0),
            Some(known) => (of(&mut known.granted, side), allowance.initial),
            None => return true,
        };
        let wanted = *window + i64::from(increment);
        *window = wanted.min(WINDOW_MAX - initial);
        increment > 0 && *window == wanted
    }
}
