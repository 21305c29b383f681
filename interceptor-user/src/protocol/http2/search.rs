//! Where do frames begin? In the middle of a flow nothing says so but that they look like frames.
//!
//! Bytes are kept from the first place that may be the beginning on. Each of a chain of headers, every one where the one
//! before says, adds to the proof by as much as it is unlikely to come by chance. It is never looked at where segments begin,
//! as that would make the outcome depend on it.

use memchr::memchr;

use super::{
    frame::{self, HEADER, Header, Kind},
    hpack,
};
use crate::model::Timestamp;

/// How far a chain is followed.
const WINDOW: usize = 64 * 1024;
/// As much of a proof as is needed.
const ENOUGH: u32 = 6;
/// Enough where it is known that there are frames, or where the bytes end with a frame and nothing will come after them.
const ENOUGH_ELSE: u32 = 5;
/// Largest frame in a chain: what is larger would have to be waited for too long.
const FRAME_MAX: u32 = 32 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Yes,
    No,
    /// So much until now; more bytes are needed. Whether the bytes end with a frame.
    More(u32, bool),
}

/// What was not taken for frames yet.
#[derive(Debug, Default)]
pub(super) struct Search {
    bytes: Vec<u8>,
    /// Places before this one are none.
    tried: usize,
    time: Timestamp,
    /// The other side's frames are found: less of a proof will do.
    relaxed: bool,
}

impl Search {
    /// Bytes kept.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory held.
    pub(super) const fn memory(&self) -> usize {
        size_of::<Self>() + self.bytes.capacity()
    }

    /// When the first byte that is kept was captured, at the earliest.
    pub(super) const fn time(&self) -> Timestamp {
        self.time
    }

    /// Takes more bytes; says how many are given up.
    pub(super) fn add(&mut self, data: &[u8], time: Timestamp) -> usize {
        let dropped = self.tried;
        self.bytes.drain(..self.tried);
        if self.bytes.is_empty() {
            self.time = time;
        }
        self.tried = 0;
        self.bytes.extend_from_slice(data);
        dropped
    }

    /// It is known that there are frames.
    pub(super) fn relax(&mut self) -> Option<Vec<u8>> {
        self.relaxed = true;
        self.found()
    }

    /// The bytes from where frames begin on, if that is proven; they are not kept here any longer.
    pub(super) fn found(&mut self) -> Option<Vec<u8>> {
        while self.tried < self.bytes.len() {
            let rest = self.bytes.get(self.tried..)?;
            match chain(rest, self.relaxed) {
                // A frame that is short enough begins with a zero.
                Proof::No => self.tried += 1 + memchr(0, rest.get(1..)?).unwrap_or(rest.len() - 1),
                Proof::More(..) => return None,
                Proof::Yes => {
                    let found = rest.to_vec();
                    self.bytes.truncate(self.tried);
                    return Some(found);
                }
            }
        }
        None
    }

    /// Nothing will follow: the bytes from where frames begin on, if that is likely.
    pub(super) fn last(&mut self) -> Option<Vec<u8>> {
        let likely = |start: &usize| match self.bytes.get(*start..).map(|rest| chain(rest, self.relaxed)) {
            Some(Proof::More(proof, at_end)) => at_end && proof >= ENOUGH_ELSE,
            Some(Proof::Yes) => true,
            Some(Proof::No) | None => false,
        };
        let start = (self.tried..self.bytes.len()).find(likely)?;
        let found = self.bytes.get(start..).map(<[u8]>::to_vec);
        self.bytes.truncate(start);
        found
    }
}

/// Follows the headers from the front on. What it says of the first bytes it says whatever comes after them: the outcome must not
/// depend on how many have come.
fn chain(bytes: &[u8], relaxed: bool) -> Proof {
    let (mut rest, mut proof, mut block) = (bytes, 0, None);
    let enough = if relaxed { ENOUGH_ELSE } else { ENOUGH };
    loop {
        if !may_begin(rest) {
            return Proof::No;
        }
        let Some(header) = rest.first_chunk::<HEADER>().map(Header::parse) else {
            return Proof::More(proof, rest.is_empty());
        };
        // CONTINUATION only after what it continues, and nothing else there.
        if (header.kind == Kind::Continuation) != block.is_some() || block.is_some_and(|stream| stream != header.stream)
        {
            return Proof::No;
        }
        let Some(weight) = weight(&header) else { return Proof::No };
        let follows = HEADER + header.len as usize;
        if bytes.len() - rest.len() + follows > WINDOW {
            return Proof::No;
        }
        let payload = rest.get(HEADER..follows);
        if header.kind == Kind::Headers && header.has(frame::END_HEADERS) {
            // Not by its header alone: what it holds has to be fields.
            let Some(payload) = payload else { return Proof::More(proof, false) };
            if !is_field_block(&header, payload) {
                return Proof::No;
            }
        }
        block = matches!(header.kind, Kind::Headers | Kind::PushPromise | Kind::Continuation)
            .then_some(header.stream)
            .filter(|_| !header.has(frame::END_HEADERS));
        proof += weight;
        if proof >= enough && (relaxed || rest.len() < bytes.len()) {
            return Proof::Yes;
        }
        let Some(next) = rest.get(follows..) else { return Proof::More(proof, false) };
        rest = next;
    }
}

/// A quick look that rules out most places.
#[inline]
fn may_begin(bytes: &[u8]) -> bool {
    let at = |place: usize, fits: fn(u8) -> bool| bytes.get(place).is_none_or(|byte| fits(*byte));
    at(0, |byte| byte == 0) && at(3, |byte| byte <= 9) && at(5, |byte| byte < 0x80)
}

/// How much a header proves; None if no peer sends it.
fn weight(header: &Header) -> Option<u32> {
    let flags = |allowed: u8| header.flags & !allowed == 0;
    // Stream numbers are used in order from 1 on.
    let likely = header.is_allowed() && header.len <= FRAME_MAX && header.stream < 1 << 28;
    let weight =
        match header.kind {
            Kind::Data if flags(frame::END_STREAM | frame::PADDED) => 2,
            Kind::Headers
                if header.len > 0
                    && flags(frame::END_STREAM | frame::END_HEADERS | frame::PADDED | frame::PRIORITY) =>
            {
                if header.has(frame::END_HEADERS) { 5 } else { 2 }
            }
            Kind::Continuation if flags(frame::END_HEADERS) => 2,
            Kind::PushPromise if flags(frame::END_HEADERS | frame::PADDED) => 2,
            Kind::Priority if flags(0) => 3,
            Kind::RstStream | Kind::WindowUpdate | Kind::GoAway if flags(0) => 4,
            Kind::Settings if flags(frame::ACK) && header.len <= 6 * 16 => 4,
            Kind::Ping if flags(frame::ACK) => 5,
            _ => return None,
        };
    likely.then_some(weight)
}

/// Could this be a block of fields, whatever the table holds?
fn is_field_block(header: &Header, payload: &[u8]) -> bool {
    let mut rest = payload;
    let mut padding = 0;
    if header.has(frame::PADDED) {
        let [length, after @ ..] = rest else { return false };
        (padding, rest) = (usize::from(*length), after);
    }
    if header.has(frame::PRIORITY) {
        rest = rest.get(5..).unwrap_or_default();
    }
    let Some(block) = rest.len().checked_sub(padding).and_then(|len| rest.get(..len)) else { return false };
    let mut plausible = !block.is_empty();
    let decoded = hpack::Decoder::joined().decode(block, &mut |field| {
        // gRPC peers may send binary metadata as it is ("True Binary Metadata").
        let binary = !field.known || field.name.ends_with(b"-bin");
        let printable = |bytes: &[u8]| bytes.iter().all(|byte| *byte >= b' ' && *byte != 0x7f);
        plausible &= !field.name.is_empty() && field.name.iter().all(u8::is_ascii_graphic);
        plausible &= binary || printable(field.value);
    });
    plausible && decoded.is_ok()
}
