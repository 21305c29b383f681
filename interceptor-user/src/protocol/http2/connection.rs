//! Both sides of a connection: what one says about how the other is to be read, and whether they keep to it.

use std::collections::VecDeque;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};

use super::{
    flood::Flood,
    frame::Settings,
    section::Section,
    side::{Frame, Side as Reader},
    windows::Windows,
};
use crate::{
    model::{Anomaly, Chunk, Side, Timestamp},
    protocol::{Context, Finish},
};

/// SETTINGS frames that wait for their acknowledgement; more are not remembered.
const SETTINGS_MAX: usize = 32;
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

/// The readers of both sides.
#[derive(Debug)]
pub struct Connection {
    sides: [Reader; 2],
    /// Settings that each side sent and that are not acknowledged, the oldest first.
    settings: [VecDeque<Settings>; 2],
    windows: Windows,
    flood: Flood,
    /// The last stream that each side, going away, will look at.
    gone: [Option<u32>; 2],
    /// Every frame of both sides was seen, so windows and settings are known.
    exact: bool,
    found: bool,
    odd: VecDeque<Event<'static>>,
}

impl Connection {
    /// From the first byte on. `preface` is who sends the preface: the client.
    pub fn new(preface: Side) -> Self {
        Self::with_sides(Side::BOTH.map(|side| Reader::new(side == preface)), preface, true)
    }

    /// Joined in the middle.
    pub fn joined() -> Self {
        Self::with_sides([Reader::joined(), Reader::joined()], Side::Client, false)
    }

    fn with_sides(sides: [Reader; 2], client: Side, exact: bool) -> Self {
        Self {
            sides,
            settings: Default::default(),
            windows: Windows::new(client),
            flood: Flood::default(),
            gone: [None; 2],
            exact,
            found: exact,
            odd: VecDeque::new(),
        }
    }

    /// The stream of a request that came before the connection was HTTP/2 (RFC 7540 section 3.2). Its field
    /// `HTTP2-Settings` is the payload of a SETTINGS frame in base64, which the server's 101 acknowledges.
    pub fn upgraded(&mut self, client: Side, settings: Option<&[u8]>) {
        let settings = settings.and_then(|settings| URL_SAFE_NO_PAD.decode(settings).ok());
        if let Some(settings) = settings.as_deref().map(Settings::parse) {
            of(&mut self.settings, client).push_front(settings);
            self.acknowledged(client.peer());
        }
        self.windows.begun(client, 1, true);
        self.windows.ended(client, 1);
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
        self.sides.iter().map(Reader::memory).sum::<usize>() + self.windows.memory()
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

    /// What was held of a side while its frames were looked for, now that those of the other side are found.
    pub fn found_too(&mut self, side: Side) -> Option<(Vec<u8>, Timestamp)> {
        of(&mut self.sides, side).relax()
    }

    /// Frees what is kept of this side that is not whole. Where its frames go on has to be found then.
    pub fn give_up(&mut self, side: Side) {
        self.missed(side);
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
                }
                if !bytes.is_empty() {
                    self.flood.useful();
                } else if !end && charged == 0 {
                    self.useless(time);
                }
                self.ended(side, stream, end);
                Some(Event::Data { stream, bytes, end })
            }
            Frame::DataGap { stream, len, end } => {
                self.ended(side, stream, end);
                Some(Event::DataGap { stream, len, end })
            }
            Frame::Section { stream, promised, section, end } => {
                self.windows.begun(side, promised.unwrap_or(stream), self.exact);
                self.ended(side, stream, end);
                self.flood.useful();
                Some(Event::Section { stream, promised, section, end })
            }
            Frame::NoSection { stream, promised, why, end } => {
                if promised.is_some() {
                    return Some(Event::Odd { stream, anomaly: why });
                }
                self.windows.begun(side, stream, self.exact);
                self.ended(side, stream, end);
                Some(Event::Lost { stream, why, end })
            }
            Frame::Reset { stream, code } => {
                if !self.windows.aborted(stream) {
                    self.flood.taken_back();
                }
                self.useless(time);
                Some(Event::Reset { stream, code })
            }
            Frame::GoAway { last, code } => {
                self.useless(time);
                // Only a lower one says anything new.
                let gone = of(&mut self.gone, side);
                let lower = gone.is_none_or(|gone| last < gone);
                *gone = Some(gone.map_or(last, |gone| gone.min(last)));
                lower.then_some(Event::GoAway { last, code })
            }
            Frame::Found { bytes, time } => {
                self.found = true;
                Some(Event::Found { bytes, time })
            }
            Frame::Bad => {
                self.missed(side);
                self.useless(time);
                self.odd.push_back(Event::Missing);
                Some(Event::OddConnection(Anomaly::BadFrame))
            }
            Frame::Lost => {
                self.missed(side);
                Some(Event::Missing)
            }
            Frame::Settings(settings) => self.settings(side, settings, time),
            Frame::SettingsAck => self.acknowledged(side),
            Frame::Window { stream, increment } => self.grant(side.peer(), stream, increment, time),
            Frame::Ping | Frame::Other => {
                self.useless(time);
                None
            }
        }
    }

    fn settings<'a>(&mut self, side: Side, settings: Settings, time: Timestamp) -> Option<Event<'a>> {
        let unacknowledged = of(&mut self.settings, side);
        if unacknowledged.len() < SETTINGS_MAX {
            unacknowledged.push_back(settings);
        }
        self.useless(time);
        None
    }

    /// `side` has seen the settings of its peer, and what it sends from now on follows them.
    fn acknowledged<'a>(&mut self, side: Side) -> Option<Event<'a>> {
        let settings = of(&mut self.settings, side.peer()).pop_front()?;
        if let Some(size) = settings.header_table_size {
            of(&mut self.sides, side).blocks.hpack.allow(size as usize);
        }
        if let Some(size) = settings.initial_window_size {
            self.windows.initial(side, size);
        }
        None
    }

    /// Frames of a side were missed, settings or acknowledgements among them perhaps.
    fn missed(&mut self, side: Side) {
        self.exact = false;
        self.settings.iter_mut().for_each(VecDeque::clear);
        of(&mut self.sides, side.peer()).blocks.hpack.allow_any();
    }

    fn ended(&mut self, side: Side, stream: u32, end: bool) {
        if end {
            self.windows.ended(side, stream);
        }
    }

    /// `side` sent content that flow control counts.
    fn charge(&mut self, side: Side, stream: u32, bytes: u32) {
        let offered = get(&self.settings, side.peer()).iter().filter_map(|settings| settings.initial_window_size).max();
        let allowed = self.windows.sent(side, stream, bytes, offered.map_or(0, i64::from));
        if !allowed && self.exact {
            self.odd.push_back(Event::Odd { stream, anomaly: Anomaly::FlowControl });
        }
    }

    /// `side` may send more.
    fn grant<'a>(&mut self, side: Side, stream: u32, increment: u32, time: Timestamp) -> Option<Event<'a>> {
        let allowed = self.windows.granted(side, stream, increment);
        self.useless(time);
        match (allowed || !self.exact, stream) {
            (true, _) => None,
            (false, 0) => Some(Event::OddConnection(Anomaly::FlowControl)),
            (false, _) => Some(Event::Odd { stream, anomaly: Anomaly::FlowControl }),
        }
    }

    /// A frame that brings nothing on by itself.
    fn useless(&mut self, time: Timestamp) {
        if self.flood.useless(time) {
            self.odd.push_back(Event::OddConnection(Anomaly::Flood));
        }
    }
}

pub(super) const fn of<T>(both: &mut [T; 2], side: Side) -> &mut T {
    let [client, server] = both;
    match side {
        Side::Client => client,
        Side::Server => server,
    }
}

pub(super) const fn get<T>(both: &[T; 2], side: Side) -> &T {
    let [client, server] = both;
    match side {
        Side::Client => client,
        Side::Server => server,
    }
}
