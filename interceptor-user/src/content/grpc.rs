//! gRPC: each message has a byte of flags and its length before it. gRPC-Web is the same, with trailers as a last frame.

use super::{Item, Limits, coding, grpc_web};
use crate::model::{Anomaly, Coding, Format, Kind, Piece, Timestamp};

/// Flag: the message is compressed.
const COMPRESSED: u8 = 1;
/// Flag of gRPC-Web: these are the trailers.
const TRAILERS: u8 = 0x80;
/// Most bytes of trailers in a content, as many as implementations allow for header fields by default.
const TRAILERS_MAX: u32 = 64 * 1024;

/// Where in the content we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// In a message's head, of which so many bytes were read.
    Head(u8),
    /// In a message that is handed on as it comes.
    Passing,
    /// In a message, or trailers, that is decoded once it is there.
    Collecting,
    /// In trailers that cannot be read.
    Skipping,
    /// Out of step: nobody knows where the next message begins.
    Lost,
}

/// State of one side of a call.
#[derive(Debug)]
pub(super) struct Grpc {
    /// When the last bytes came.
    time: Timestamp,
    /// Allocated for the first message that is decoded.
    packed: Option<Box<Packed>>,
    /// Length of the message by its head, or as much of the number as was read.
    len: u32,
    /// Of which are still to come,
    left: u32,
    /// and were lost.
    missing: u32,
    stage: Stage,
    flags: u8,
    coding: Option<Coding>,
    web: bool,
}

/// A message that is compressed by itself.
#[derive(Debug, Default)]
struct Packed {
    bytes: Vec<u8>,
    /// What all of them came to so far.
    decoded: u64,
}

impl Grpc {
    pub(super) const fn new(coding: Option<Coding>, web: bool) -> Self {
        let time = Timestamp::from_nanos(0);
        Self { time, packed: None, len: 0, left: 0, missing: 0, stage: Stage::Head(0), flags: 0, coding, web }
    }

    pub(super) const fn format(&self) -> Format {
        if self.web { Format::GrpcWeb } else { Format::Grpc }
    }

    pub(super) fn memory(&self) -> usize {
        self.packed.as_ref().map_or(0, |packed| size_of::<Packed>() + packed.bytes.capacity())
    }

    #[inline]
    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        self.time = time;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.stage {
                Stage::Head(have) => self.head(have, rest, limits, out),
                Stage::Passing | Stage::Collecting | Stage::Skipping => self.payload(rest, limits, out),
                Stage::Lost => return out(Item::Bytes(rest)),
            };
        }
    }

    /// Reads what there is of a head; gives what follows.
    #[inline]
    fn head<'b>(&mut self, have: u8, bytes: &'b [u8], limits: &Limits, out: &mut impl FnMut(Item<'_>)) -> &'b [u8] {
        let Some((&byte, mut rest)) = bytes.split_first() else { return bytes };
        if have == 0 {
            let known = COMPRESSED | if self.web { TRAILERS } else { 0 };
            if byte & !known != 0 {
                self.lose(out);
                return bytes;
            }
            (self.flags, self.len) = (byte, 0);
            if let Some((length, payload)) = rest.split_first_chunk() {
                self.len = u32::from_be_bytes(*length);
                rest = payload;
                self.begin(limits, out);
            } else {
                self.stage = Stage::Head(1);
            }
            return rest;
        }
        self.len = self.len << 8 | u32::from(byte);
        match have {
            1..4 => self.stage = Stage::Head(have + 1),
            _ => self.begin(limits, out),
        }
        rest
    }

    /// The head is complete.
    #[inline]
    fn begin(&mut self, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        (self.left, self.missing) = (self.len, 0);
        self.stage = if self.flags == 0 { Stage::Passing } else { self.special(limits, out) };
        if self.left == 0 {
            self.over(limits, &[], out);
        }
    }

    /// What to do with trailers, and with a message that is compressed.
    fn special(&self, limits: &Limits, out: &mut impl FnMut(Item<'_>)) -> Stage {
        let trailers = self.flags & TRAILERS != 0;
        let other = if trailers { Stage::Skipping } else { Stage::Passing };
        let most = if trailers { TRAILERS_MAX } else { u32::try_from(limits.message).unwrap_or(u32::MAX) };
        if self.len == 0 || !(trailers || limits.keep) {
            other
        } else if self.flags & COMPRESSED != 0 && matches!(self.coding, None | Some(Coding::Unknown)) {
            out(Item::Anomaly(Anomaly::BadCoding));
            other
        } else if self.len > most {
            out(Item::Anomaly(Anomaly::ContentLimit));
            other
        } else {
            Stage::Collecting
        }
    }

    #[inline]
    fn payload<'b>(&mut self, bytes: &'b [u8], limits: &Limits, out: &mut impl FnMut(Item<'_>)) -> &'b [u8] {
        let (part, rest) = bytes.split_at_checked(self.left as usize).unwrap_or((bytes, &[]));
        self.left -= part.len() as u32;
        match self.stage {
            Stage::Passing => out(Item::Bytes(part)),
            // What comes in one piece is decoded where it is.
            Stage::Collecting if self.left > 0 || !self.held().is_empty() => {
                self.packed.get_or_insert_default().bytes.extend_from_slice(part);
            }
            _ => {}
        }
        if self.left == 0 {
            self.over(limits, part, out);
        }
        rest
    }

    fn held(&self) -> &[u8] {
        self.packed.as_ref().map_or(&[], |packed| &packed.bytes)
    }

    /// Everything of a frame came or is known to be missing; `last` is its last part.
    #[inline]
    fn over(&mut self, limits: &Limits, last: &[u8], out: &mut impl FnMut(Item<'_>)) {
        let stage = std::mem::replace(&mut self.stage, Stage::Head(0));
        match stage {
            Stage::Collecting => self.unpack(limits, last, out),
            Stage::Passing => self.message(u64::from(self.len - self.missing), self.missing == 0, out),
            Stage::Head(_) | Stage::Skipping | Stage::Lost => {}
        }
    }

    /// A message or trailers were collected, unless they came as one part.
    fn unpack(&mut self, limits: &Limits, part: &[u8], out: &mut impl FnMut(Item<'_>)) {
        let packed = self.packed.get_or_insert_default();
        let bytes = std::mem::take(&mut packed.bytes);
        let coded = if bytes.is_empty() { part } else { &bytes };
        let coding = self.coding.filter(|_| self.flags & COMPRESSED != 0);
        if self.flags & TRAILERS != 0 {
            return grpc_web::trailers(coded, coding, TRAILERS_MAX as usize, out);
        }
        let before = packed.decoded;
        let decoded = coding::message(coding, coded, &mut packed.decoded, limits, &mut |bytes| out(Item::Bytes(bytes)));
        let size = packed.decoded - before;
        if let Err(anomaly) = decoded {
            out(Item::Anomaly(anomaly));
        }
        self.message(size, decoded.is_ok(), out);
    }

    fn message(&self, size: u64, whole: bool, out: &mut impl FnMut(Item<'_>)) {
        out(Item::Message(Piece {
            kind: Kind::Data,
            time: self.time,
            size,
            wire_size: u64::from(self.len - self.left),
            compression: (self.flags & COMPRESSED != 0).then(|| self.coding.unwrap_or(Coding::Unknown)),
            whole,
        }));
    }

    /// What was collected will not be complete: hands it on as it is.
    fn give_up(&mut self, out: &mut impl FnMut(Item<'_>)) {
        if self.stage != Stage::Collecting {
            return;
        }
        let held = self.packed.as_mut().map(|packed| std::mem::take(&mut packed.bytes)).unwrap_or_default();
        if self.flags & TRAILERS != 0 {
            self.stage = Stage::Skipping;
            return;
        }
        self.stage = Stage::Passing;
        if !held.is_empty() {
            out(Item::Bytes(&held));
        }
    }

    fn lose(&mut self, out: &mut impl FnMut(Item<'_>)) {
        self.stage = Stage::Lost;
        out(Item::Anomaly(Anomaly::BadMessage));
    }

    pub(super) fn gap(&mut self, len: u64, out: &mut impl FnMut(Item<'_>)) {
        match self.stage {
            Stage::Lost => return,
            Stage::Head(_) => return self.lose(out),
            Stage::Passing | Stage::Collecting | Stage::Skipping => self.give_up(out),
        }
        let within = u32::try_from(len).unwrap_or(u32::MAX).min(self.left);
        self.missing += within;
        self.left -= within;
        if self.left > 0 {
            return;
        }
        if self.stage == Stage::Passing {
            self.message(u64::from(self.len - self.missing), false, out);
        }
        self.stage = Stage::Head(0);
        if len > u64::from(within) {
            self.lose(out);
        }
    }

    pub(super) fn end(&mut self, out: &mut impl FnMut(Item<'_>)) {
        if !self.close(out) {
            out(Item::Anomaly(Anomaly::BadMessage));
        }
    }

    /// Nothing more comes. Says whether that is at a place where something can be made of what came.
    pub(super) fn close(&mut self, out: &mut impl FnMut(Item<'_>)) -> bool {
        self.give_up(out);
        match std::mem::replace(&mut self.stage, Stage::Lost) {
            Stage::Head(0) | Stage::Lost => true,
            Stage::Passing => {
                self.message(u64::from(self.len - self.left - self.missing), false, out);
                true
            }
            Stage::Head(_) | Stage::Collecting | Stage::Skipping => false,
        }
    }
}
