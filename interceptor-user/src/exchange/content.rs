use bytes::Bytes;

use super::{
    live::{About, Live},
    tail::Last,
};
use crate::{
    content::{self, Item, Reader},
    model::{Anomalies, Anomaly, Delays, Exchange, KeptPiece, Part, Piece, Pieces, Record, Role, Timestamp},
};

/// Messages of one content that are kept; of those after them only the number is.
const MESSAGES: usize = 1024;

/// Bytes that are told to be unwanted at one time. Only the end of them is seen, so there are no more of them than may pass while a
/// flow is taken for a live one, and than acknowledgements and resets may be ahead (`flow`).
const UNWANTED: u64 = 4 << 20;

/// What reading the content of one side needs, until that is over.
#[derive(Debug, Default)]
pub(super) struct Content {
    reader: Reader,
    /// What is kept of it.
    body: Vec<u8>,
    /// Where in `body` the current message begins.
    message: usize,
    /// Its messages are told as they come.
    live: Option<Box<Live>>,
    /// Its last messages, once there is no room for more of the first.
    last: Option<Box<Last>>,
    /// There was no room for what reading takes: the rest is only counted.
    given_up: bool,
    /// That nobody wants what comes next was told, but for so many bytes at the end.
    told_unwanted: Option<u64>,
}

/// The next bytes of a content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Data<'a> {
    pub(super) role: Role,
    pub(super) bytes: &'a [u8],
    pub(super) time: Timestamp,
    /// What has held up that side in all, until these.
    pub(super) delays: Delays,
}

/// How much may be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Of this content.
    pub(super) body: usize,
    /// For content.
    pub(super) content: usize,
    /// For all that reading takes.
    pub(super) total: usize,
}

/// Takes what a reader gives.
struct Taker<'a, 'e> {
    body: &'a mut Vec<u8>,
    message: &'a mut usize,
    part: &'a mut Part,
    anomalies: &'a mut Anomalies,
    /// Bytes of content that may still be kept: of this one, and of all.
    left: usize,
    room: usize,
    whole: bool,
    decodes: bool,
    last: &'a mut Option<Box<Last>>,
    /// The message that is told as it comes, and where it goes.
    live: Option<&'a mut Live>,
    about: About<'a>,
    emit: &'a mut (dyn FnMut(Record) + 'e),
    /// Most bytes of it.
    most: usize,
}

impl Content {
    /// Of a message that `reader` reads. `live`: its messages are told as they come.
    pub(super) fn new(reader: Reader, part: &mut Part, live: bool) -> Self {
        part.decoded = reader.coding();
        part.pieces = reader.format().map(Pieces::new);
        let live = (live && !reader.is_plain()).then(Box::default);
        Self { reader, live, ..Self::default() }
    }

    /// Bytes of memory that reading takes, beside what is kept.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        // Most often nothing is read, and this is asked often.
        if self.reader.is_plain() {
            return 0;
        }
        let last = if self.last.is_some() { Last::MEMORY } else { 0 };
        self.reader.memory() + self.live.as_ref().map_or(0, |live| live.memory()) + last
    }

    /// Is nothing kept, and nothing read?
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.reader.is_plain() && self.body.is_empty()
    }

    /// Bytes kept of the content: of itself, of its messages, and of trailers in it.
    #[inline]
    pub(super) fn kept(&self, exchange: &Exchange, role: Role) -> usize {
        if self.reader.is_plain() {
            return self.body.len();
        }
        let part = exchange.part(role);
        let pieces = part.and_then(|part| part.pieces.as_ref()).map_or(0, |pieces| pieces.kept.capacity());
        let trailers = part.map_or(0, |part| part.trailers.memory());
        self.body.len() + pieces * size_of::<KeptPiece>() + trailers
    }

    /// Is no more wanted, because no more than `most` bytes are and nothing is read?
    pub(super) const fn is_unwanted(&self, most: usize) -> bool {
        self.reader.is_plain() && self.body.len() >= most
    }

    /// Of `left` bytes that are still to come, how many of the next ones nobody wants; those that were told are not told again.
    pub(super) fn take_unwanted(&mut self, most: usize, left: u64) -> Option<u64> {
        if !self.is_unwanted(most) || self.told_unwanted.is_some_and(|after| left > after) {
            return None;
        }
        let count = left.min(UNWANTED);
        self.told_unwanted = Some(left - count);
        Some(count)
    }

    /// Bytes of memory held.
    pub(super) fn held(&self) -> usize {
        self.memory() + self.body.capacity()
    }

    /// Takes the next bytes. Says whether all was kept that was wanted.
    #[inline]
    pub(super) fn data(
        &mut self,
        exchange: &mut Exchange,
        data: Data<'_>,
        room: Room,
        emit: &mut dyn FnMut(Record),
    ) -> bool {
        // Most often nothing is to be kept, and nothing to be found.
        if self.given_up || (room.body == 0 && self.reader.is_plain()) {
            return true;
        }
        let limits = content::Limits { keep: room.body > 0, ..content::Limits::default() };
        let mut whole = true;
        self.read(exchange, data.role, room, emit, |reader, taker| {
            reader.data(data.bytes, data.time, &limits, &mut |item| taker.item(item));
            whole = taker.whole;
        });
        if self.memory() > room.total {
            self.give_up(exchange);
            return false;
        }
        whole
    }

    /// Bytes are missing.
    pub(super) fn gap(&mut self, exchange: &mut Exchange, role: Role, len: u64, emit: &mut dyn FnMut(Record)) {
        let none = Room { body: 0, content: 0, total: 0 };
        self.read(exchange, role, none, emit, |reader, taker| reader.gap(len, &mut |item| taker.item(item)));
    }

    /// It is over: what is not whole is told, and what reading took is freed.
    #[inline]
    pub(super) fn end(&mut self, exchange: &mut Exchange, role: Role, emit: &mut dyn FnMut(Record)) {
        if self.reader.is_plain() {
            return;
        }
        let none = Room { body: 0, content: 0, total: 0 };
        self.read(exchange, role, none, emit, |reader, taker| reader.end(&mut |item| taker.item(item)));
        self.reader = Reader::default();
        self.live = None;
        let tail = self.last.take().and_then(|last| last.into_tail());
        match (role, &mut exchange.request, &mut exchange.response) {
            (Role::Request, Some(part), _) | (Role::Response, _, Some(part)) => part.tail = tail,
            _ => {}
        }
    }

    /// What is kept.
    pub(super) fn into_body(self) -> Bytes {
        Bytes::from(self.body)
    }

    fn read(
        &mut self,
        exchange: &mut Exchange,
        role: Role,
        room: Room,
        emit: &mut dyn FnMut(Record),
        ask: impl FnOnce(&mut Reader, &mut Taker<'_, '_>),
    ) {
        let &mut Exchange { ref flow, number, protocol, stream, ref mut request, ref mut response, .. } = exchange;
        let anomalies = &mut exchange.anomalies;
        let (part, other) = if role == Role::Request { (request, &*response) } else { (response, &*request) };
        let Some(part) = part else { return };
        let about = About { flow, number, protocol, stream, role, other: other.as_ref() };
        let mut taker = Taker {
            left: room.body.saturating_sub(self.body.len()),
            room: room.content,
            decodes: !self.reader.is_plain(),
            body: &mut self.body,
            message: &mut self.message,
            part,
            anomalies,
            whole: true,
            last: &mut self.last,
            live: self.live.as_deref_mut(),
            about,
            emit,
            most: room.body,
        };
        ask(&mut self.reader, &mut taker);
    }

    fn give_up(&mut self, exchange: &mut Exchange) {
        exchange.anomalies.insert(Anomaly::MemoryLimit);
        self.reader = Reader::default();
        self.live = None;
        self.last = None;
        self.given_up = true;
    }
}

impl Taker<'_, '_> {
    #[inline]
    fn item(&mut self, item: Item<'_>) {
        match item {
            Item::Bytes(bytes) => self.bytes(bytes),
            Item::Format(format) => self.part.pieces = Some(Pieces::new(format)),
            Item::Message(piece) => self.message(piece),
            Item::Trailers(fields) => self.part.trailers = fields,
            Item::Anomaly(anomaly) => {
                self.anomalies.insert(anomaly);
                self.part.undecoded |= matches!(anomaly, Anomaly::BadCoding | Anomaly::ContentLimit);
            }
        }
    }

    fn message(&mut self, piece: Piece) {
        let Some(pieces) = &mut self.part.pieces else { return };
        pieces.count(&piece);
        let start = std::mem::replace(self.message, self.body.len());
        let wanted = (self.left > 0 || self.body.len() > start) && pieces.kept.len() < MESSAGES;
        if wanted && self.room > size_of::<KeptPiece>() {
            self.room -= size_of::<KeptPiece>();
            let len = (self.body.len() - start) as u32;
            pieces.kept.push(KeptPiece { piece, start: start as u32, len });
            if let Some(last) = self.last {
                last.skip();
            }
        } else if self.most > 0 {
            // One that began while there was room is among the first, cut or not.
            let torn = self.body.len() > start;
            self.last.get_or_insert_with(|| Box::new(Last::new(torn))).message(piece);
        }
        let counted = (pieces.format, pieces.count);
        if let Some(live) = &mut self.live {
            (self.emit)(live.tell(piece, self.part, counted, *self.anomalies, self.about));
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if let Some(live) = &mut self.live {
            live.take(bytes, self.most);
        }
        if self.decodes {
            self.part.decoded_size += bytes.len() as u64;
        }
        // What belongs to no message that is kept is of no use.
        let enough = self.part.pieces.as_ref().is_some_and(|pieces| pieces.kept.len() >= MESSAGES);
        let wanted = if enough { 0 } else { bytes.len().min(self.left) };
        if wanted > self.room {
            self.anomalies.insert(Anomaly::MemoryLimit);
            self.whole = false;
        }
        let kept = bytes.get(..wanted.min(self.room)).unwrap_or_default();
        let rest = bytes.get(kept.len()..).unwrap_or_default();
        if !rest.is_empty() && self.most > 0 && self.part.pieces.is_some() {
            let begun = self.body.len() + kept.len() > *self.message;
            self.last.get_or_insert_with(|| Box::new(Last::new(begun))).bytes(rest);
        }
        self.body.extend_from_slice(kept);
        self.left -= kept.len();
        self.room -= kept.len();
    }
}
