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

mod buffer;
mod chunked;
mod framing;
mod head;
pub(crate) mod line;
mod tolerant;

use buffer::Buffer;
use chunked::{Chunked, Step};
use framing::Framing;
use head::{Parsed, Strict};
use line::Fit;

use super::{Context, Finish, Role};
use crate::model::{Anomalies, Anomaly, Chunk, Message, Protocol, StartLine, Timestamp};

/// How much is added to the buffer before it is looked at again, so that little of what follows a head is copied.
const PIECE: usize = 2048;
/// Heads that are tried for one empty line while searching: a bound on the work that hostile bytes cause.
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

    /// Bytes that became part of a message.
    pub const fn parsed(&self) -> u64 {
        self.parsed
    }

    /// Bytes that became part of none.
    pub const fn reported(&self) -> u64 {
        self.reported
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

    fn chunked<'a>(&mut self, data: &mut &'a [u8]) -> Option<Message<'a>> {
        let State::Chunked(chunked) = &mut self.state else { return None };
        let before = data.len();
        let mut anomalies = Anomalies::NONE;
        let step = chunked.step(data, &mut anomalies);
        self.parsed += (before - data.len()) as u64;
        self.anomalies.merge(anomalies);
        match step {
            Step::Bad => self.lose(Anomaly::BadChunk),
            Step::Last => self.state = State::Trailers,
            Step::Content => {
                if let Chunked::Data(left) = chunked
                    && !data.is_empty()
                {
                    let piece = take(data, *left);
                    *left -= piece.len() as u64;
                    if *left == 0 {
                        *chunked = Chunked::DataReturn;
                    }
                    self.parsed += piece.len() as u64;
                    return Some(Message::Body(piece));
                }
            }
        }
        None
    }

    #[inline]
    fn head<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> Option<Message<'a>> {
        if self.buffer.is_empty() {
            while let Some(rest) = line::strip_empty_line(data) {
                self.parsed += (data.len() - rest.len()) as u64;
                *data = rest;
            }
            if data.is_empty() {
                return None;
            }
            self.started = context.time;
            if let Strict::Whole(parsed, len) = head::strict(self.role, data)
                && len <= context.head_limit
            {
                take(data, len as u64);
                return Some(self.begin_message(parsed, len, context));
            }
        }
        self.buffered_head(data, context)
    }

    /// A head that is not whole in this chunk, or odd.
    #[cold]
    fn buffered_head(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            let had = self.buffer.len();
            let taken = self.fill(data, context);
            let mut held = had;
            if had < 2 {
                while let Some(rest) = line::strip_empty_line(self.buffer.bytes()) {
                    let empty = self.buffer.len() - rest.len();
                    self.buffer.discard(empty);
                    held = held.saturating_sub(empty);
                    self.parsed += empty as u64;
                    self.started = context.time;
                }
            }
            if self.buffer.bytes() == b"\r" || self.buffer.is_empty() {
                continue;
            }
            if !self.may_be_head(had) {
                self.give_back(data, taken, held);
                self.anomalies.insert(Anomaly::Skipped);
                self.state = State::Search { fresh: false };
                return None;
            }
            if let Some(end) = self.buffer.head_end() {
                self.give_back(data, taken, end);
                let parsed = self.buffer.bytes().get(..end).and_then(|raw| head::lenient(self.role, raw));
                let Some(parsed) = parsed else {
                    self.lose(Anomaly::BadHead);
                    return None;
                };
                self.buffer.clear();
                return Some(self.begin_message(parsed, end, context));
            }
            if self.buffer.len() >= context.head_limit {
                self.lose(Anomaly::HeadTooLarge);
                return None;
            }
        }
        None
    }

    /// Adds to the buffer, as far as the limit allows, and says from where.
    fn fill<'a>(&mut self, data: &mut &'a [u8], context: &Context) -> &'a [u8] {
        let room = context.head_limit.saturating_sub(self.buffer.len()).clamp(1, PIECE);
        let taken = *data;
        self.buffer.extend(take(data, room as u64));
        taken
    }

    /// Puts what lies beyond `end` from the buffer back in front of `data`, which began as `taken`.
    fn give_back<'a>(&mut self, data: &mut &'a [u8], taken: &'a [u8], end: usize) {
        let beyond = self.buffer.len().saturating_sub(end);
        let used = taken.len().saturating_sub(data.len()).saturating_sub(beyond);
        *data = taken.get(used..).unwrap_or_default();
        self.buffer.truncate(end);
    }

    /// Does the buffer begin as a head does? Looks at its first bytes while they are few, and once at its first line.
    fn may_be_head(&mut self, had: usize) -> bool {
        if had < line::BEGINNING && !line::may_begin(self.role, self.buffer.bytes()) {
            return false;
        }
        if self.buffer.line_checked {
            return true;
        }
        let fits = self.buffer.first_line().map(|line| line::is_start_line(self.role, line));
        self.buffer.line_checked = fits == Some(true);
        fits != Some(false)
    }

    /// A head was read: what follows it?
    #[inline]
    fn begin_message(&mut self, parsed: Parsed, len: usize, context: &Context) -> Message<'static> {
        self.parsed += len as u64;
        let Parsed { head, facts, mut anomalies } = parsed;
        let framing = match head.start_line() {
            StartLine::Request { .. } => framing::request(&facts, head.version, &mut anomalies),
            StartLine::Response { status } => {
                framing::response(status, &facts, head.version, context.expects, &mut anomalies)
            }
        };
        self.anomalies.merge(anomalies);
        self.state = State::Head;
        match framing {
            Framing::None => self.end_message(),
            Framing::Interim => {}
            Framing::Length(length) => self.state = State::Length(length),
            Framing::Chunked => self.state = State::Chunked(Chunked::START),
            Framing::UntilClose => self.state = State::UntilClose,
            Framing::Tunnel => {
                self.then = Then::EndOfTalk;
                self.state = State::Opaque;
            }
            Framing::Lost => {
                self.then = Then::Aborted;
                self.state = State::Search { fresh: true };
            }
        }
        Message::Head(head)
    }

    fn trailers(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            let taken = self.fill(data, context);
            let empty = line::strip_empty_line(self.buffer.bytes()).map(<[u8]>::len);
            let end = match empty {
                Some(rest) => Some(self.buffer.len() - rest),
                None => self.buffer.head_end(),
            };
            if let Some(end) = end {
                self.give_back(data, taken, end);
                let (fields, anomalies) = head::trailers(self.buffer.bytes());
                self.buffer.clear();
                self.parsed += end as u64;
                self.anomalies.merge(anomalies);
                self.end_message();
                return (!fields.is_empty()).then_some(Message::Trailers(fields));
            }
            if self.buffer.len() >= context.head_limit {
                self.lose(Anomaly::HeadTooLarge);
                return None;
            }
        }
        None
    }

    /// After a final response to a request that waited for `100 Continue`, its content may come, or the next request
    /// (RFC 9110 section 10.1.1). A method that we know and a space is taken for a request.
    fn length_maybe(&mut self, data: &mut &[u8], left: u64) -> Option<Message<'static>> {
        while let [byte, rest @ ..] = *data {
            let had = self.buffer.len();
            if had as u64 == left {
                return self.settle(left);
            }
            self.buffer.extend(&[*byte]);
            match line::known_request(self.buffer.bytes()).0 {
                Fit::More => *data = rest,
                Fit::Yes => {
                    *data = rest;
                    self.then = Then::Aborted;
                    self.state = State::Head;
                    return None;
                }
                Fit::No => {
                    self.buffer.truncate(had);
                    return self.settle(left);
                }
            }
        }
        None
    }

    /// It is content. What was held back of it begins a method, so we know it without the chunk that it came in.
    fn settle(&mut self, left: u64) -> Option<Message<'static>> {
        let (_, held) = line::known_request(self.buffer.bytes());
        self.buffer.clear();
        self.parsed += held.len() as u64;
        let left = left.saturating_sub(held.len() as u64);
        if left == 0 {
            self.end_message();
        } else {
            self.state = State::Length(left);
        }
        (!held.is_empty()).then_some(Message::Body(held))
    }

    fn search(&mut self, data: &mut &[u8], context: &Context) -> Option<Message<'static>> {
        while !data.is_empty() {
            let taken = self.fill(data, context);
            while let Some(fit) = self.candidate(context) {
                match fit {
                    Fit::More => break,
                    Fit::No => self.skip(1),
                    Fit::Yes => {
                        let Some(end) = self.buffer.head_end() else { break };
                        let head = self.buffer.bytes().get(..end).unwrap_or_default();
                        if let Strict::Whole(parsed, len) = head::strict(self.role, head)
                            && len == end
                        {
                            self.give_back(data, taken, end);
                            self.buffer.clear();
                            return Some(self.begin_message(parsed, end, context));
                        }
                        self.buffer.attempts += 1;
                        self.skip(if self.buffer.attempts < ATTEMPTS { 1 } else { end });
                    }
                }
            }
            if self.buffer.len() >= context.head_limit {
                self.skip(1);
            }
        }
        None
    }

    /// Does a head begin where one may begin next? `None` if there is no such place in the buffer.
    fn candidate(&mut self, context: &Context) -> Option<Fit> {
        let begins = match self.role {
            Role::Request => line::request,
            Role::Response => line::response,
        };
        let bytes = self.buffer.bytes();
        if !self.buffer.candidate && !bytes.is_empty() {
            let fresh = self.state == State::Search { fresh: true } && begins(bytes) != Fit::No;
            self.state = State::Search { fresh: false };
            if !fresh {
                let found = line::find(self.role, bytes);
                self.skip(found.unwrap_or(bytes.len().saturating_sub(line::TAIL)));
                found?;
            }
            self.buffer.candidate = true;
            self.started = context.time;
        }
        self.buffer.candidate.then(|| begins(self.buffer.bytes()))
    }

    fn skip(&mut self, count: usize) {
        self.buffer.discard(count);
        self.reported += count as u64;
    }
}

/// Takes up to `count` bytes from the front.
fn take<'a>(data: &mut &'a [u8], count: u64) -> &'a [u8] {
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(data.len());
    let (front, rest) = data.split_at_checked(count).unwrap_or((*data, &[]));
    *data = rest;
    front
}
