//! One side's bytes to frames.
//!
//! ```text
//!  Preface ─► Header ─► Data | Whole | Skip ─► Header …
//!                ▲          │ gap that is not within content, or what is no frame
//!              Search ◄─────┘
//! ```

use super::{
    block::Blocks,
    frame::{self, HEADER, Header, Kind, Settings},
    hpack,
    search::Search,
    section::Section,
};
use crate::{
    model::{Anomaly, Chunk, Timestamp},
    protocol::{Context, Finish},
};

/// What a client sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Settings are six bytes each; nobody sends more than this.
const SETTINGS_MAX: u32 = 6 * 256;

/// A frame, or a part of one, as far as it matters.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// Content. `charged` is what counts for flow control: all of the frame, with its first piece.
    Data {
        stream: u32,
        bytes: &'a [u8],
        charged: u32,
        end: bool,
    },
    /// Content that is missing.
    DataGap {
        stream: u32,
        len: u64,
        end: bool,
    },
    /// A field section, all of its frames together.
    Section {
        stream: u32,
        promised: Option<u32>,
        section: Section,
        end: bool,
    },
    /// A field section that is lost.
    NoSection {
        stream: u32,
        promised: Option<u32>,
        why: Anomaly,
        end: bool,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    Settings(Settings),
    SettingsAck,
    Ping,
    GoAway {
        last: u32,
        code: u32,
    },
    Window {
        stream: u32,
        increment: u32,
    },
    /// PRIORITY, and what RFC 9113 does not know.
    Other,
    /// What cannot be a frame where it came.
    Bad,
    /// Frames are missing, and where the next one begins is not known.
    Lost,
    /// Frames begin with these bytes, which are to be decoded next; the first of them was captured then.
    Found {
        bytes: Vec<u8>,
        time: Timestamp,
    },
}

#[derive(Debug)]
enum State {
    /// That many bytes of the preface have come.
    Preface(u8),
    Header,
    /// In content: bytes of it that are left, and of the padding after it. `charged` is not told yet.
    Data {
        stream: u32,
        left: u32,
        padding: u32,
        charged: u32,
        end: bool,
    },
    /// Before a DATA frame's pad length.
    PadLength(Header),
    /// In a frame whose first so many bytes are needed as a whole.
    Whole(Header, u32),
    /// In a frame of which no more is needed.
    Skip(u32),
    Search(Box<Search>),
    Over,
}

/// Reader of one side.
#[derive(Debug)]
pub(super) struct Side {
    state: State,
    /// A header, or a frame, that has not come whole.
    buffer: Vec<u8>,
    pub(super) blocks: Blocks,
    /// When the first byte of the current frame, or of the first one of the current block, was captured.
    started: Timestamp,
    pub(super) parsed: u64,
    pub(super) reported: u64,
}

impl Side {
    /// From the first byte on.
    pub(super) fn new(preface: bool) -> Self {
        Self::with_state(if preface { State::Preface(0) } else { State::Header }, hpack::Decoder::new())
    }

    /// Joined in the middle.
    pub(super) fn joined() -> Self {
        Self::with_state(State::Search(Box::default()), hpack::Decoder::joined())
    }

    fn with_state(state: State, hpack: hpack::Decoder) -> Self {
        Self {
            state,
            buffer: Vec::new(),
            blocks: Blocks::new(hpack),
            started: Timestamp::from_nanos(0),
            parsed: 0,
            reported: 0,
        }
    }

    pub(super) const fn started(&self) -> Timestamp {
        self.started
    }

    /// Bytes held that can grow: what has not come whole, and the table.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        let search = if let State::Search(search) = &self.state { search.memory() } else { 0 };
        self.buffer.capacity() + self.blocks.memory() + search
    }

    /// Takes from the front of `chunk`; None when it is used up.
    #[inline]
    pub(super) fn next<'a>(&mut self, chunk: &mut Chunk<'a>, context: &Context) -> Option<Frame<'a>> {
        loop {
            let frame = match chunk {
                Chunk::Gap { len: 0, .. } | Chunk::Data([]) => return None,
                Chunk::Gap { len, .. } => self.gap(len),
                Chunk::Data(data) => self.data(data, context),
            };
            if frame.is_some() {
                return frame;
            }
        }
    }

    /// Frees what is not whole.
    pub(super) fn give_up(&mut self) {
        self.lose(Frame::Lost);
        self.buffer = Vec::new();
        self.blocks.free();
    }

    /// The other side's frames are found. What is held of this side that is likely a frame is taken for one.
    pub(super) fn relax(&mut self) -> Option<(Vec<u8>, Timestamp)> {
        let State::Search(search) = &mut self.state else { return None };
        let bytes = search.relax()?;
        let time = search.time();
        self.reported += search.len() as u64;
        self.state = State::Header;
        Some((bytes, time))
    }

    /// No more bytes will come.
    pub(super) fn finish(&mut self, how: Finish) -> Option<Frame<'static>> {
        self.report_held();
        let State::Search(mut search) = std::mem::replace(&mut self.state, State::Over) else { return None };
        let bytes = search.last().filter(|_| how != Finish::Reset)?;
        self.reported -= bytes.len() as u64;
        self.state = State::Header;
        Some(Frame::Found { bytes, time: search.time() })
    }

    fn gap(&mut self, len: &mut u64) -> Option<Frame<'static>> {
        match &mut self.state {
            State::Data { stream, left, padding, charged, end } => {
                let missing = (*len).min(u64::from(*left));
                *len -= missing;
                *left -= missing as u32;
                *charged = 0;
                let (stream, over) = (*stream, *left == 0);
                let end = *end && over;
                if over {
                    self.state = State::after_content(*padding);
                }
                Some(Frame::DataGap { stream, len: missing, end })
            }
            State::Skip(left) => {
                let missing = (*len).min(u64::from(*left));
                *len -= missing;
                *left -= missing as u32;
                if *left == 0 {
                    self.state = State::Header;
                }
                None
            }
            State::Over => {
                *len = 0;
                None
            }
            _ => {
                *len = 0;
                Some(self.lose(Frame::Lost))
            }
        }
    }

    /// What is held and was not counted becomes part of nothing.
    fn report_held(&mut self) {
        self.reported += match &self.state {
            State::Search(search) => search.len(),
            State::Header => self.buffer.len(),
            _ => 0,
        } as u64;
    }

    /// Out of step.
    fn lose(&mut self, frame: Frame<'static>) -> Frame<'static> {
        self.report_held();
        self.buffer.clear();
        self.blocks.forget();
        self.state = State::Search(Box::default());
        frame
    }

    #[inline]
    fn data<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> Option<Frame<'a>> {
        match &mut self.state {
            State::Header => self.header(data, context),
            State::Data { .. } => Some(self.content(data)),
            State::PadLength(header) => {
                let header = *header;
                let [padding, rest @ ..] = *data else { return None };
                *data = rest;
                self.parsed += 1;
                self.padded(header, u32::from(*padding))
            }
            State::Whole(header, needed) => {
                let (header, needed) = (*header, *needed);
                self.whole(header, needed, data, context)
            }
            State::Skip(left) => {
                let skipped = data.len().min(*left as usize);
                *left -= skipped as u32;
                if *left == 0 {
                    self.state = State::Header;
                }
                self.parsed += skipped as u64;
                *data = data.get(skipped..).unwrap_or_default();
                None
            }
            State::Preface(seen) => {
                let expected = PREFACE.get(usize::from(*seen)..).unwrap_or_default();
                let same = expected.iter().zip(*data).take_while(|(a, b)| a == b).count();
                *data = data.get(same..).unwrap_or_default();
                self.parsed += same as u64;
                *seen += same as u8;
                if usize::from(*seen) == PREFACE.len() {
                    self.state = State::Header;
                } else if !data.is_empty() {
                    return Some(self.lose(Frame::Bad));
                }
                None
            }
            State::Search(search) => {
                let dropped = search.add(std::mem::take(data), context.time);
                self.reported += dropped as u64;
                let bytes = search.found()?;
                self.reported += search.len() as u64;
                let time = search.time();
                self.state = State::Header;
                Some(Frame::Found { bytes, time })
            }
            State::Over => {
                self.reported += std::mem::take(data).len() as u64;
                None
            }
        }
    }

    #[inline]
    fn header<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> Option<Frame<'a>> {
        if self.buffer.is_empty() && !self.blocks.is_open() {
            self.started = context.time;
        }
        let header = Header::parse(gather(&mut self.buffer, data, HEADER)?.first_chunk()?);
        self.buffer.clear();
        if !header.is_allowed() || !self.blocks.allows(&header) {
            self.reported += HEADER as u64;
            return Some(self.lose(Frame::Bad));
        }
        self.parsed += HEADER as u64;
        match header.kind {
            Kind::Data if header.has(frame::PADDED) && header.len > 0 => {
                self.state = State::PadLength(header);
                None
            }
            Kind::Data => self.begin_content(header, header.len, 0),
            Kind::Headers | Kind::PushPromise | Kind::Continuation
                if self.blocks.len() + header.len as usize > context.head_limit =>
            {
                self.state = State::skip(header.len);
                Some(self.blocks.too_long(header))
            }
            Kind::Priority | Kind::Extension(_) => {
                self.state = State::skip(header.len);
                Some(Frame::Other)
            }
            kind => {
                let needed = match kind {
                    // What follows may be long, and is for people.
                    Kind::GoAway => 8,
                    Kind::Settings => header.len.min(SETTINGS_MAX),
                    _ => header.len,
                };
                self.state = State::Whole(header, needed);
                if needed == 0 { self.whole(header, needed, data, context) } else { None }
            }
        }
    }

    fn padded(&mut self, header: Header, padding: u32) -> Option<Frame<'static>> {
        let Some(content) = (header.len - 1).checked_sub(padding) else {
            return Some(self.lose(Frame::Bad));
        };
        self.begin_content(header, content, padding)
    }

    fn begin_content(&mut self, header: Header, left: u32, padding: u32) -> Option<Frame<'static>> {
        let (stream, charged, end) = (header.stream, header.len, header.has(frame::END_STREAM));
        if left == 0 {
            self.state = State::after_content(padding);
            return Some(Frame::Data { stream, bytes: &[], charged, end });
        }
        self.state = State::Data { stream, left, padding, charged, end };
        None
    }

    #[inline]
    fn content<'a>(&mut self, data: &mut &'a [u8]) -> Frame<'a> {
        let State::Data { stream, left, padding, charged, end } = &mut self.state else { return Frame::Other };
        let (bytes, rest) = data.split_at_checked(*left as usize).unwrap_or((*data, &[]));
        *data = rest;
        *left -= bytes.len() as u32;
        let (stream, charged, over) = (*stream, std::mem::take(charged), *left == 0);
        let end = *end && over;
        if over {
            self.state = State::after_content(*padding);
        }
        self.parsed += bytes.len() as u64;
        Frame::Data { stream, bytes, charged, end }
    }

    fn whole(&mut self, header: Header, needed: u32, data: &mut &[u8], context: &Context) -> Option<Frame<'static>> {
        let before = data.len();
        let payload = gather(&mut self.buffer, data, needed as usize);
        self.parsed += (before - data.len()) as u64;
        let payload = payload?;
        self.state = State::skip(header.len - needed);
        let frame = match header.kind {
            Kind::Headers | Kind::PushPromise | Kind::Continuation => {
                self.blocks.fragment(header, payload, context.head_limit)
            }
            kind => control(kind, header, payload),
        };
        self.buffer.clear();
        Some(frame)
    }
}

impl State {
    const fn skip(len: u32) -> Self {
        if len == 0 { Self::Header } else { Self::Skip(len) }
    }

    const fn after_content(padding: u32) -> Self {
        Self::skip(padding)
    }
}

/// The next `len` bytes as one slice, once all of them have come. Those that came before are in `buffer`.
#[inline]
fn gather<'s, 'd: 's>(buffer: &'s mut Vec<u8>, data: &mut &'d [u8], len: usize) -> Option<&'s [u8]> {
    if buffer.is_empty()
        && let Some((whole, rest)) = data.split_at_checked(len)
    {
        *data = rest;
        return Some(whole);
    }
    let (more, rest) = data.split_at_checked(len.saturating_sub(buffer.len())).unwrap_or((*data, &[]));
    buffer.extend_from_slice(more);
    *data = rest;
    (buffer.len() >= len).then_some(&*buffer)
}

fn control(kind: Kind, header: Header, payload: &[u8]) -> Frame<'static> {
    let Some((first, rest)) = frame::word(payload) else {
        return match kind {
            Kind::Settings if header.has(frame::ACK) => Frame::SettingsAck,
            Kind::Settings => Frame::Settings(Settings::default()),
            _ => Frame::Other,
        };
    };
    match kind {
        Kind::RstStream => Frame::Reset { stream: header.stream, code: first },
        Kind::Settings => Frame::Settings(Settings::parse(payload)),
        Kind::Ping => Frame::Ping,
        Kind::GoAway => Frame::GoAway { last: first & !(1 << 31), code: frame::word(rest).map_or(0, |(code, _)| code) },
        Kind::WindowUpdate => Frame::Window { stream: header.stream, increment: first & !(1 << 31) },
        _ => Frame::Other,
    }
}
