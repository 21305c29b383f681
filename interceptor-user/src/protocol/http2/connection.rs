//! Both sides of a connection: what one says about how the other is to be read, and whether they keep to it.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;

use super::{
    frame::Settings,
    section::Section,
    side::{Frame, Side as Reader},
};
use crate::{
    model::{Anomaly, Chunk, Side, Timestamp},
    protocol::{Context, Finish},
};

/// Flow-control window before anyone says otherwise (RFC 9113 section 6.9.2).
const WINDOW: i64 = 65_535;
/// Largest window (section 6.9.1).
const WINDOW_MAX: i64 = (1 << 31) - 1;
/// SETTINGS frames that wait for their acknowledgement; more are not remembered.
const SETTINGS_MAX: usize = 32;
/// Streams whose windows are followed.
const STREAMS_MAX: usize = 1 << 16;
/// Frames without use, or requests taken back, in a row and within this time, that no peer sends in earnest.
const FLOOD: u32 = 1000;
const FLOOD_TIME: u64 = 10;

/// What a side's bytes mean for the streams of the connection.
#[derive(Debug)]
pub enum Event<'a> {
    /// A field section.
    Section {
        /// Stream it came on.
        stream: u32,
        /// Stream whose request it promises (RFC 9113 section 8.4).
        promised: Option<u32>,
        /// What it holds.
        section: Section,
        /// It is the last on its stream of this side.
        end: bool,
    },
    /// Content.
    Data {
        /// Stream it came on.
        stream: u32,
        /// May be empty.
        bytes: &'a [u8],
        /// It is the last on its stream of this side.
        end: bool,
    },
    /// Content that is missing.
    DataGap {
        /// Stream it came on.
        stream: u32,
        /// Bytes.
        len: u64,
        /// It is the last on its stream of this side.
        end: bool,
    },
    /// A field section that is lost, on this stream.
    Lost {
        /// Stream it came on.
        stream: u32,
        /// Why.
        why: Anomaly,
        /// It is the last on its stream of this side.
        end: bool,
    },
    /// This side wants no more of the stream.
    Reset {
        /// Which.
        stream: u32,
        /// Error code (RFC 9113 section 7).
        code: u32,
    },
    /// This side takes no more streams.
    GoAway {
        /// The last one that it may have looked at.
        last: u32,
        /// Error code.
        code: u32,
    },
    /// Something is odd about a stream.
    Odd {
        /// Which.
        stream: u32,
        /// What.
        anomaly: Anomaly,
    },
    /// Something is odd about the connection.
    OddConnection(Anomaly),
    /// Frames of this side are missing, of any stream.
    Missing,
    /// These bytes are the next ones of this side; the first of them was captured at `time`.
    Found {
        /// Bytes.
        bytes: Vec<u8>,
        /// When.
        time: Timestamp,
    },
}

/// What a side may send, and what it said.
#[derive(Debug)]
struct Rules {
    /// What it may send on the connection as a whole.
    window: i64,
    /// What it may send on a new stream.
    initial: i64,
    /// Settings that it sent and that are not acknowledged, the oldest first.
    unacknowledged: VecDeque<Settings>,
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

/// What the peers do that leads nowhere.
#[derive(Debug, Default)]
struct Useless {
    since: Timestamp,
    frames: u32,
    resets: u32,
    told: bool,
}

/// The readers of both sides.
#[derive(Debug)]
pub struct Connection {
    sides: [Reader; 2],
    rules: [Rules; 2],
    streams: HashMap<u32, Stream, RandomState>,
    useless: Useless,
    /// Every frame of both sides was seen, so windows and settings are known.
    exact: bool,
    found: bool,
    odd: VecDeque<Event<'static>>,
}

impl Connection {
    /// From the first byte on. `preface` is who sends the preface: the client.
    pub fn new(preface: Side) -> Self {
        Self::with_sides(Side::BOTH.map(|side| Reader::new(side == preface)), true)
    }

    /// Joined in the middle.
    pub fn joined() -> Self {
        Self::with_sides([Reader::joined(), Reader::joined()], false)
    }

    fn with_sides(sides: [Reader; 2], exact: bool) -> Self {
        let rules = || Rules { window: WINDOW, initial: WINDOW, unacknowledged: VecDeque::new(), highest: 0 };
        Self {
            sides,
            rules: [rules(), rules()],
            streams: HashMap::default(),
            useless: Useless::default(),
            exact,
            found: exact,
            odd: VecDeque::new(),
        }
    }

    /// The stream of a request that came before the connection was HTTP/2 (RFC 7540 section 3.2).
    pub fn upgraded(&mut self, client: Side) {
        let mut stream = Stream::default();
        *of(&mut stream.ended, client) = true;
        self.streams.insert(1, stream);
        of(&mut self.rules, client).highest = 1;
    }

    /// Is it known to be HTTP/2? Of one that was joined, frames have to be found first.
    pub const fn is_found(&self) -> bool {
        self.found
    }

    /// When the first byte of this side's latest field section was captured.
    pub fn started(&self, side: Side) -> Timestamp {
        get(&self.sides, side).started()
    }

    /// Bytes of this side that were, and that were not, part of frames.
    pub fn counted(&self, side: Side) -> (u64, u64) {
        let reader = get(&self.sides, side);
        (reader.parsed, reader.reported)
    }

    /// Bytes of memory held beside the connection itself.
    #[inline]
    pub fn memory(&self) -> usize {
        let streams = self.streams.capacity() * (size_of::<(u32, Stream)>() + 1);
        self.sides.iter().map(Reader::memory).sum::<usize>() + streams
    }

    /// Takes from the front of `chunk`; None when it is used up.
    pub fn next<'a>(&mut self, side: Side, chunk: &mut Chunk<'a>, context: &Context) -> Option<Event<'a>> {
        loop {
            if let Some(odd) = self.odd.pop_front() {
                return Some(odd);
            }
            let frame = of(&mut self.sides, side).next(chunk, context)?;
            if let Some(event) = self.frame(side, frame, context.time) {
                return Some(event);
            }
        }
    }

    /// Frees what is kept of this side that is not whole. Where its frames go on has to be found then.
    pub fn give_up(&mut self, side: Side) {
        self.exact = false;
        of(&mut self.sides, side).give_up();
    }

    /// No more bytes of this side will come.
    pub fn finish(&mut self, side: Side, how: Finish) -> Option<Event<'static>> {
        let frame = of(&mut self.sides, side).finish(how)?;
        self.frame(side, frame, Timestamp::default())
    }

    #[inline]
    fn frame<'a>(&mut self, side: Side, frame: Frame<'a>, time: Timestamp) -> Option<Event<'a>> {
        match frame {
            Frame::Data { stream, bytes, charged, end } => {
                if charged > 0 {
                    self.charge(side, stream, charged);
                } else if bytes.is_empty() && !end {
                    self.note_useless(time);
                }
                if !bytes.is_empty() {
                    self.useless.frames = 0;
                }
                self.ended(side, stream, end);
                Some(Event::Data { stream, bytes, end })
            }
            Frame::DataGap { stream, len, end } => {
                self.ended(side, stream, end);
                Some(Event::DataGap { stream, len, end })
            }
            Frame::Section { stream, promised, section, end } => {
                self.begun(side, promised.unwrap_or(stream));
                self.ended(side, stream, end);
                self.useless.frames = 0;
                Some(Event::Section { stream, promised, section, end })
            }
            Frame::NoSection { stream, promised, why, end } => {
                self.begun(side, promised.unwrap_or(stream));
                self.ended(side, stream, end);
                Some(Event::Lost { stream, why, end })
            }
            Frame::Reset { stream, code } => {
                let answered = self.streams.remove(&stream).is_some_and(|stream| stream.answered);
                if !answered {
                    self.useless.resets += 1;
                }
                self.note_useless(time);
                Some(Event::Reset { stream, code })
            }
            Frame::Settings(settings) => {
                let unacknowledged = &mut of(&mut self.rules, side).unacknowledged;
                if unacknowledged.len() < SETTINGS_MAX {
                    unacknowledged.push_back(settings);
                }
                self.note_useless(time);
                None
            }
            Frame::SettingsAck => {
                self.acknowledged(side);
                None
            }
            Frame::Ping | Frame::Other => {
                self.note_useless(time);
                None
            }
            Frame::GoAway { last, code } => Some(Event::GoAway { last, code }),
            Frame::Window { stream, increment } => self.grant(side.peer(), stream, increment, time),
            Frame::Bad => {
                self.exact = false;
                self.odd.push_back(Event::Missing);
                Some(Event::OddConnection(Anomaly::BadFrame))
            }
            Frame::Lost => {
                self.exact = false;
                Some(Event::Missing)
            }
            Frame::Found { bytes, time } => {
                self.found = true;
                Some(Event::Found { bytes, time })
            }
        }
    }

    /// `side` has seen the settings of its peer, and what it sends from now on follows them.
    fn acknowledged(&mut self, side: Side) {
        let Some(settings) = of(&mut self.rules, side.peer()).unacknowledged.pop_front() else { return };
        if let Some(size) = settings.header_table_size {
            of(&mut self.sides, side).blocks.hpack.allow(size as usize);
        }
        if let Some(size) = settings.initial_window_size {
            of(&mut self.rules, side).initial = i64::from(size);
        }
    }

    fn begun(&mut self, side: Side, stream: u32) {
        if let Some(known) = self.streams.get_mut(&stream) {
            known.answered = true;
            return;
        }
        let highest = &mut of(&mut self.rules, side).highest;
        // What was over before is not begun again: trailers of a stream that was reset.
        if stream <= *highest && self.exact {
            return;
        }
        *highest = stream.max(*highest);
        if self.streams.len() < STREAMS_MAX {
            self.streams.insert(stream, Stream::default());
        }
    }

    fn ended(&mut self, side: Side, stream: u32, end: bool) {
        if !end {
            return;
        }
        let over = self.streams.get_mut(&stream).is_some_and(|known| {
            *of(&mut known.ended, side) = true;
            known.ended == [true, true]
        });
        if over {
            self.streams.remove(&stream);
        }
    }

    /// `side` sent content that flow control counts.
    fn charge(&mut self, side: Side, stream: u32, bytes: u32) {
        let bytes = i64::from(bytes);
        // Some use a window as soon as it is offered, and acknowledge it after that.
        let offered = &get(&self.rules, side.peer()).unacknowledged;
        let offered = offered.iter().filter_map(|settings| settings.initial_window_size).max().map_or(0, i64::from);
        let rules = of(&mut self.rules, side);
        let mut exceeded = rules.window < bytes;
        rules.window -= bytes;
        if let Some(known) = self.streams.get_mut(&stream) {
            let granted = of(&mut known.granted, side);
            exceeded |= rules.initial.max(offered) + *granted < bytes;
            *granted -= bytes;
        }
        if exceeded && self.exact {
            self.odd.push_back(Event::Odd { stream, anomaly: Anomaly::FlowControl });
        }
    }

    /// `side` may send more.
    fn grant(&mut self, side: Side, stream: u32, increment: u32, time: Timestamp) -> Option<Event<'static>> {
        let rules = of(&mut self.rules, side);
        let (window, initial) = match self.streams.get_mut(&stream) {
            _ if stream == 0 => (&mut rules.window, 0),
            Some(known) => (of(&mut known.granted, side), rules.initial),
            None => return None,
        };
        *window += i64::from(increment);
        let too_large = *window + initial > WINDOW_MAX;
        if too_large {
            *window = WINDOW_MAX - initial;
        }
        if (increment == 0 || too_large) && self.exact {
            let anomaly = Anomaly::FlowControl;
            return Some(if stream == 0 { Event::OddConnection(anomaly) } else { Event::Odd { stream, anomaly } });
        }
        self.note_useless(time);
        None
    }

    /// A frame that brings nothing on by itself. There are such, but not without end.
    fn note_useless(&mut self, time: Timestamp) {
        let useless = &mut self.useless;
        if time.since(useless.since).as_secs() >= FLOOD_TIME {
            *useless = Useless { since: time, told: useless.told, ..Useless::default() };
        }
        useless.frames += 1;
        if (useless.frames > FLOOD || useless.resets > FLOOD) && !useless.told {
            useless.told = true;
            self.odd.push_back(Event::OddConnection(Anomaly::Flood));
        }
    }
}

const fn of<T>(both: &mut [T; 2], side: Side) -> &mut T {
    let [client, server] = both;
    match side {
        Side::Client => client,
        Side::Server => server,
    }
}

const fn get<T>(both: &[T; 2], side: Side) -> &T {
    let [client, server] = both;
    match side {
        Side::Client => client,
        Side::Server => server,
    }
}
