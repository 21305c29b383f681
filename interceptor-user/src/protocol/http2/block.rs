//! HEADERS, PUSH_PROMISE and the CONTINUATION frames after them to field sections (RFC 9113 section 4.3).

use super::{
    frame::{self, Header, Kind},
    hpack,
    section::Builder,
    side::Frame,
};
use crate::model::Anomaly;

/// What one side's field blocks take.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) hpack: hpack::Decoder,
    builder: Builder,
    /// What has come of `open`.
    bytes: Vec<u8>,
    /// The block that awaits CONTINUATION frames.
    open: Option<Block>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    stream: u32,
    promised: Option<u32>,
    end: bool,
    /// It is lost, and is only followed to its end.
    lost: Option<Anomaly>,
}

impl Blocks {
    pub(super) fn new(hpack: hpack::Decoder) -> Self {
        Self { hpack, builder: Builder::default(), bytes: Vec::new(), open: None }
    }

    /// Bytes of memory held beside itself.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.builder.memory() + self.hpack.memory()
    }

    /// Is a block not whole?
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Bytes of it that have come.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// A block's frames follow each other without any other between them.
    pub(super) fn allows(&self, header: &Header) -> bool {
        match &self.open {
            Some(block) => header.kind == Kind::Continuation && header.stream == block.stream,
            None => header.kind != Kind::Continuation,
        }
    }

    /// What has come of a block is lost, and with it what the table held.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
        self.open = None;
        self.hpack.forget();
    }

    /// Frees what is kept for its memory.
    pub(super) fn free(&mut self) {
        (self.bytes, self.builder) = (Vec::new(), Builder::default());
    }

    /// The next frame of a block is more than is kept of one: the table cannot be followed through it.
    pub(super) fn too_long(&mut self, header: Header) -> Frame<'static> {
        let end = header.kind == Kind::Headers && header.has(frame::END_STREAM);
        // Of a promise that is not read the number does not matter.
        let promised = (header.kind == Kind::PushPromise).then_some(0);
        let new = Block { stream: header.stream, promised, end, lost: None };
        let block = Block { lost: Some(Anomaly::HeadTooLarge), ..self.open.take().unwrap_or(new) };
        self.forget();
        if header.has(frame::END_HEADERS) {
            return block.no_section(Anomaly::HeadTooLarge);
        }
        self.open = Some(block);
        Frame::Other
    }

    /// The next frame of a block. Most often it is a whole one, which is decoded where it lies.
    pub(super) fn fragment(&mut self, header: Header, payload: &[u8], limit: usize) -> Frame<'static> {
        let first = self.open.is_none();
        let (block, part) = match self.open.take() {
            Some(block) => (block, payload),
            None => begin(header, payload),
        };
        if !header.has(frame::END_HEADERS) {
            self.bytes.extend_from_slice(part);
            self.open = Some(block);
            return Frame::Other;
        }
        if let Some(why) = block.lost {
            self.forget();
            return block.no_section(why);
        }
        let section = if first {
            self.builder.decode(part, &mut self.hpack, limit)
        } else {
            self.bytes.extend_from_slice(part);
            let section = self.builder.decode(&self.bytes, &mut self.hpack, limit);
            self.bytes.clear();
            section
        };
        Frame::Section { stream: block.stream, promised: block.promised, section, end: block.end }
    }
}

impl Block {
    const fn no_section(self, why: Anomaly) -> Frame<'static> {
        Frame::NoSection { stream: self.stream, promised: self.promised, why, end: self.end }
    }
}

/// Takes padding and priority off the first frame (RFC 9113 section 6.2).
fn begin(header: Header, payload: &[u8]) -> (Block, &[u8]) {
    let end = header.kind == Kind::Headers && header.has(frame::END_STREAM);
    let promised = (header.kind == Kind::PushPromise).then_some(0);
    let block = Block { stream: header.stream, promised, end, lost: None };
    match strip(header, payload) {
        Some((promised, part)) => (Block { promised, ..block }, part),
        None => (Block { lost: Some(Anomaly::BadFrame), ..block }, &[]),
    }
}

fn strip(header: Header, mut payload: &[u8]) -> Option<(Option<u32>, &[u8])> {
    let mut padding = 0;
    if header.has(frame::PADDED) {
        let (length, rest) = payload.split_first()?;
        (padding, payload) = (usize::from(*length), rest);
    }
    let mut promised = None;
    if header.kind == Kind::PushPromise {
        let (stream, rest) = frame::word(payload)?;
        (promised, payload) = (Some(stream & !(1 << 31)), rest);
    } else if header.has(frame::PRIORITY) {
        payload = payload.get(5..)?;
    }
    Some((promised, payload.get(..payload.len().checked_sub(padding)?)?))
}
