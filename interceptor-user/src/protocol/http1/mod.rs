//! HTTP/1.0 and 1.1 (RFC 9112): one side's bytes to messages.
//!
//! ```text
//!            ┌──────────────────────── End, Aborted ───────────────────────┐
//!            ▼                                                             │
//!  ───────► Head ─► Length | Chunked ─► Trailers | UntilClose ─────────────┤
//!            ▲  └─► Opaque (tunnel)          │ gap or bad framing          │
//!            └────────── Search ◄────────────┴─────────────────────────────┘
//! ```
//!
//! What is ambiguous is an anomaly of the message and is read in one way:
//!
//! | what | read as |
//! |---|---|
//! | `Transfer-Encoding` and `Content-Length` | transfer coding wins (RFC 9112 6.3 rule 3) |
//! | `Content-Length` repeated, or a list | the first value; if others differ, the rest is skipped by searching |
//! | `Content-Length` that is no number | the end cannot be told: search for the next head |
//! | request's coding does not end in `chunked` | the same (rule 4: a server closes) |
//! | response's coding does not end in `chunked` | content until the sender closes (rule 4) |
//! | unknown coding before `chunked`, or in HTTP/1.0 | chunked |
//! | bare LF, folded line, NUL, space before colon | see [`tolerant`] |
//! | bad chunk size, chunk without its CRLF | the message is aborted; search |
//! | a gap within content of known length, or within a chunk | that much content is missing; still in step |
//! | a gap anywhere else | the message is lost; search |
//! | head or trailers over the limit | the message is lost; search |
//! | bytes where a head should begin, and that begin none | skipped; search |
//!
//! Searching finds a status line wherever it lies, and a request line with a known method wherever it lies, or with any
//! method where the search began; either only with a whole head that has nothing odd. It never looks at where segments
//! begin, as that would make the outcome depend on it.

mod begin;
mod buffer;
mod chunked;
mod content;
mod framing;
mod head;
pub(crate) mod line;
mod search;
mod tolerant;

use buffer::Buffer;
use chunked::Chunked;

use super::{Context, Finish};
use crate::model::{Anomalies, Anomaly, Chunk, Message, Protocol, Role, Timestamp};

/// How much is added to the buffer before it is looked at again, so that little of what follows a head is copied.
const PIECE: usize = 2048;
/// Heads that are tried for one empty line while searching, the last of them where its last start line is: a bound on
/// the work that hostile bytes cause.
const ATTEMPTS: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A head is next, or has begun in the buffer.
    Head,
    /// Out of step; `fresh` while the first byte may still be the first of a head with an unusual method.
    Search {
        fresh: bool,
    },
    /// That many bytes of content are left.
    Length(u64),
    /// As `Length`, but the client may leave it out and go on with another request.
    LengthMaybe(u64),
    Chunked(Chunked),
    Trailers,
    UntilClose,
    /// Not ours any more.
    Opaque,
}

/// What follows the anomalies that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Nothing,
    End,
    Aborted,
    /// End, and then a tunnel.
    EndOfTalk,
    Tunnel,
}

/// Decoder of one side.
#[derive(Debug)]
pub struct Decoder {
    role: Role,
    state: State,
    /// Messages that are due before more bytes are looked at.
    anomalies: Anomalies,
    then: Then,
    /// The flow becomes opaque with the end of the current message.
    tunnel_next: bool,
    buffer: Buffer,
    started: Timestamp,
    parsed: u64,
    reported: u64,
}

impl Decoder {
    /// For a side that was seen from its first byte.
    pub const fn new(role: Role) -> Self {
        Self::with_state(role, State::Head)
    }

    /// For a side that was joined in the middle.
    pub const fn joined(role: Role) -> Self {
        Self::with_state(role, State::Search { fresh: true })
    }

    const fn with_state(role: Role, state: State) -> Self {
        Self {
            role,
            state,
            anomalies: Anomalies::NONE,
            then: Then::Nothing,
            tunnel_next: false,
            buffer: Buffer::NEW,
            started: Timestamp::from_nanos(0),
            parsed: 0,
            reported: 0,
        }
    }

    /// When the first byte of the latest head was captured.
    pub const fn started(&self) -> Timestamp {
        self.started
    }

    /// Bytes of the current content that are still to come, where its head says how many.
    pub const fn content_left(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Does the head that was given just now say how long its content is?
    pub const fn length_is_known(&self) -> bool {
        matches!(self.state, State::Head | State::Length(_) | State::LengthMaybe(_))
    }

    /// Bytes that became part of a message.
    pub const fn parsed(&self) -> u64 {
        self.parsed
    }

    /// Bytes that became part of none.
    pub const fn reported(&self) -> u64 {
        self.reported
    }

    /// Bytes of memory held beside the decoder itself.
    pub const fn memory(&self) -> usize {
        self.buffer.memory()
    }

    /// See [`super::Decoder::next`].
    #[inline]
    pub fn next<'a>(&mut self, chunk: &mut Chunk<'a>, context: &Context) -> Option<Message<'a>> {
        loop {
            if let Some(message) = self.due() {
                return Some(message);
            }
            let message = match chunk {
                Chunk::Gap { len: 0, .. } | Chunk::Data([]) => return None,
                Chunk::Gap { len, .. } => self.gap(len),
                Chunk::Data(data) => self.data(data, context),
            };
            if message.is_some() {
                return message;
            }
        }
    }

    /// See [`super::Decoder::finish`].
    pub fn finish(&mut self, how: Finish) {
        let cut_short = match self.state {
            State::UntilClose if how == Finish::Fin => {
                self.end_message();
                false
            }
            State::Head => !self.buffer.is_empty(),
            State::Search { .. } | State::Opaque => false,
            State::LengthMaybe(_) | State::Length(_) | State::Chunked(_) | State::Trailers | State::UntilClose => true,
        };
        if cut_short {
            self.lose(if how == Finish::Reset { Anomaly::Reset } else { Anomaly::Truncated });
        }
        self.skip_buffer();
        self.state = State::Opaque;
    }

    /// See [`super::Decoder::tunnel`].
    pub fn tunnel(&mut self) {
        match self.state {
            State::Head | State::Search { .. } | State::Opaque => {
                self.skip_buffer();
                self.state = State::Opaque;
            }
            _ => self.tunnel_next = true,
        }
    }

    /// See [`super::Decoder::go_on_until_close`].
    pub fn go_on_until_close(&mut self) {
        self.skip_buffer();
        self.then = Then::Nothing;
        self.state = State::UntilClose;
    }

    /// See [`super::Decoder::give_up`].
    pub fn give_up(&mut self) -> bool {
        let part = !self.buffer.is_empty() && !matches!(self.state, State::Search { .. });
        if part {
            self.lose(Anomaly::MemoryLimit);
        } else {
            self.skip_buffer();
        }
        part
    }

    /// See [`super::Decoder::content_may_not_come`].
    pub const fn content_may_not_come(&mut self) {
        if let State::Length(left) = self.state {
            self.state = State::LengthMaybe(left);
        }
    }

    /// The next message that needs no more bytes.
    #[inline]
    fn due(&mut self) -> Option<Message<'static>> {
        if let Some(anomaly) = self.anomalies.pop() {
            return Some(Message::Anomaly(anomaly));
        }
        match std::mem::replace(&mut self.then, Then::Nothing) {
            Then::Nothing => None,
            Then::End => Some(Message::End),
            Then::Aborted => Some(Message::Aborted),
            Then::EndOfTalk => {
                self.then = Then::Tunnel;
                Some(Message::End)
            }
            Then::Tunnel => Some(Message::Opaque(Protocol::Tunnel)),
        }
    }

    fn end_message(&mut self) {
        self.then = Then::End;
        self.state = if self.tunnel_next { State::Opaque } else { State::Head };
    }

    /// The current message is lost, or the one whose head should be here.
    fn lose(&mut self, why: Anomaly) {
        self.skip_buffer();
        self.anomalies.insert(why);
        self.then = Then::Aborted;
        self.state = if self.tunnel_next { State::Opaque } else { State::Search { fresh: why == Anomaly::Gap } };
    }

    fn skip_buffer(&mut self) {
        self.reported += self.buffer.len() as u64;
        self.buffer.clear();
    }

    fn gap(&mut self, len: &mut u64) -> Option<Message<'static>> {
        match &mut self.state {
            State::Opaque => {
                *len = 0;
                None
            }
            State::UntilClose => Some(Message::BodyGap(std::mem::take(len))),
            State::LengthMaybe(left) => {
                let left = *left;
                self.settle(left)
            }
            State::Length(left) => {
                let missing = (*len).min(*left);
                *len -= missing;
                *left -= missing;
                if *left == 0 {
                    self.end_message();
                }
                Some(Message::BodyGap(missing))
            }
            State::Chunked(Chunked::Data(left)) => {
                let missing = (*len).min(*left);
                let rest = std::mem::take(len) - missing;
                *left -= missing;
                if rest > 0 {
                    self.lose(Anomaly::Gap);
                } else if *left == 0 {
                    self.state = State::Chunked(Chunked::DataReturn);
                }
                Some(Message::BodyGap(missing))
            }
            State::Head | State::Search { .. } | State::Chunked(_) | State::Trailers => {
                *len = 0;
                self.lose(Anomaly::Gap);
                None
            }
        }
    }

    #[inline]
    fn data<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> Option<Message<'a>> {
        match &mut self.state {
            State::Head => self.head(data, context),
            State::Length(left) => {
                let piece = take(data, *left);
                *left -= piece.len() as u64;
                if *left == 0 {
                    self.end_message();
                }
                self.parsed += piece.len() as u64;
                Some(Message::Body(piece))
            }
            State::LengthMaybe(left) => {
                let left = *left;
                self.length_maybe(data, left)
            }
            State::UntilClose => {
                self.parsed += data.len() as u64;
                Some(Message::Body(std::mem::take(data)))
            }
            State::Chunked(_) => self.chunked(data),
            State::Trailers => self.trailers(data, context),
            State::Search { .. } => self.search(data, context),
            State::Opaque => {
                self.reported += std::mem::take(data).len() as u64;
                None
            }
        }
    }
}

/// Takes up to `count` bytes from the front.
fn take<'a>(data: &mut &'a [u8], count: u64) -> &'a [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(data.len());
    let (front, rest) = data.split_at_checked(count).unwrap_or((*data, &[]));
    *data = rest;
    front
}
