//! WebSocket (RFC 6455): frames, messages of one or more of them, control frames between those; and what
//! permessage-deflate (RFC 7692) makes of a message.

mod deflate;
mod frame;

use self::{
    deflate::Inflater,
    frame::{Frame, HEAD_MAX, Opcode},
};
pub use deflate::PermessageDeflate;

use super::{Item, Limits};
use crate::model::{Anomaly, Coding, Kind, Piece, Timestamp};

/// Control frames that came between the frames of a message are handed on after it, so that the bytes before each message
/// are its own. So many wait.
const HELD_MAX: usize = 16;
/// Unmasked at once.
const BUFFER: usize = 4096;

/// State of what one side sends.
#[derive(Debug)]
pub(super) struct WebSocket {
    /// A frame's head, as far as it was read.
    head: [u8; HEAD_MAX],
    have: usize,
    frame: Option<Frame>,
    /// A message of which the last frame has not come.
    open: Option<Open>,
    /// A control frame's payload.
    control: Vec<u8>,
    control_torn: bool,
    held: Vec<(Piece, Vec<u8>)>,
    agreed: Option<PermessageDeflate>,
    inflater: Option<Box<Inflater>>,
    lost: bool,
}

/// A message of which the last frame has not come.
#[derive(Debug)]
struct Open {
    kind: Kind,
    size: u64,
    wire_size: u64,
    compressed: bool,
    way: Way,
    torn: bool,
}

/// What happens to a message's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Passing,
    Inflating,
    /// It was being inflated, and that failed.
    Dropping,
}

impl WebSocket {
    pub(super) fn new(agreed: Option<PermessageDeflate>) -> Self {
        Self {
            head: [0; HEAD_MAX],
            have: 0,
            frame: None,
            open: None,
            control: Vec::new(),
            control_torn: false,
            held: Vec::new(),
            agreed,
            inflater: None,
            lost: false,
        }
    }

    pub(super) fn memory(&self) -> usize {
        let held = self.held.iter().map(|(_, payload)| payload.capacity()).sum::<usize>();
        let places = self.held.capacity() * size_of::<(Piece, Vec<u8>)>();
        let inflater = self.inflater.as_ref().map_or(0, |_| Inflater::MEMORY);
        size_of::<Self>() + self.control.capacity() + held + places + inflater
    }

    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.lost {
                return out(Item::Bytes(rest));
            }
            if self.frame.is_some() {
                rest = self.payload(rest, time, limits, out);
                continue;
            }
            if let Some(place) = self.head.get_mut(self.have) {
                *place = byte;
                self.have += 1;
            }
            rest = after;
            let head = self.head.get(..self.have).unwrap_or_default();
            if frame::head_len(head).is_none_or(|len| self.have < len) {
                continue;
            }
            match Frame::parse(head) {
                Some(frame) if self.begin(&frame, limits) => {
                    (self.have, self.frame) = (0, Some(frame));
                    self.frame_over(time, limits, out);
                }
                _ => self.lose(time, out),
            }
        }
    }

    /// A frame begins. Says whether it may, here.
    fn begin(&mut self, frame: &Frame, limits: &Limits) -> bool {
        let compressed = frame.compressed;
        let kind = match (frame.opcode, &self.open) {
            (Opcode::Text, None) => Kind::Text,
            (Opcode::Binary, None) => Kind::Binary,
            (Opcode::Continuation, Some(_)) | (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return !compressed,
            (Opcode::Text | Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => return false,
        };
        let mut way = Way::Passing;
        if compressed {
            let Some(agreed) = self.agreed else { return false };
            if limits.keep && self.inflater.get_or_insert_default().begin(agreed) {
                way = Way::Inflating;
            }
        }
        self.open = Some(Open { kind, size: 0, wire_size: 0, compressed, way, torn: false });
        true
    }

    /// Reads what there is of a frame's payload; gives what follows.
    fn payload<'b>(
        &mut self,
        bytes: &'b [u8],
        time: Timestamp,
        limits: &Limits,
        out: &mut impl FnMut(Item<'_>),
    ) -> &'b [u8] {
        let Some(frame) = &mut self.frame else { return bytes };
        let room = if frame.is_masked() { BUFFER as u64 } else { u64::MAX };
        let len = usize::try_from(frame.left.min(room)).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at_checked(len).unwrap_or((bytes, &[]));
        let mut buffer = [0; BUFFER];
        let part = frame.unmask(part, &mut buffer);
        frame.advance(part.len() as u64);
        if frame.opcode.is_control() {
            self.control.extend_from_slice(part);
        } else {
            self.message_data(part, limits, out);
        }
        self.frame_over(time, limits, out);
        rest
    }

    fn message_data(&mut self, part: &[u8], limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        let Some(open) = &mut self.open else { return };
        open.wire_size += part.len() as u64;
        match (open.way, &mut self.inflater) {
            (Way::Passing, _) => {
                open.size += part.len() as u64;
                out(Item::Bytes(part));
            }
            (Way::Inflating, Some(inflater)) => {
                open.inflated(|size| inflater.data(part, limits, size, &mut |bytes| out(Item::Bytes(bytes))))
                    .unwrap_or_else(|anomaly| out(Item::Anomaly(anomaly)));
            }
            (Way::Inflating | Way::Dropping, _) => {}
        }
    }

    /// Goes on if all of the frame's payload came.
    fn frame_over(&mut self, time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        let Some(frame) = self.frame.take_if(|frame| frame.left == 0) else { return };
        if frame.opcode.is_control() {
            return self.control_over(frame.opcode, time, out);
        }
        if !frame.last {
            return;
        }
        if let (Some(open), Some(inflater)) = (&mut self.open, &mut self.inflater)
            && open.way == Way::Inflating
        {
            open.inflated(|size| inflater.end(limits, size, &mut |bytes| out(Item::Bytes(bytes))))
                .unwrap_or_else(|anomaly| out(Item::Anomaly(anomaly)));
        }
        self.message_over(true, time, out);
    }

    fn control_over(&mut self, opcode: Opcode, time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let payload = std::mem::take(&mut self.control);
        let kind = match opcode {
            Opcode::Ping => Kind::Ping,
            Opcode::Pong => Kind::Pong,
            // 1005: no status (RFC 6455 section 7.1.5).
            _ => Kind::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
        };
        let size = payload.len() as u64;
        let whole = !std::mem::take(&mut self.control_torn);
        let piece = Piece { kind, time, size, wire_size: size, compression: None, whole };
        if self.open.is_none() {
            hand_on(piece, &payload, out);
        } else if self.held.len() < HELD_MAX {
            self.held.push((piece, payload));
        } else {
            out(Item::Anomaly(Anomaly::ContentLimit));
        }
    }

    /// The open message is over, and with it the wait of control frames.
    fn message_over(&mut self, complete: bool, time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        let Some(open) = self.open.take() else { return };
        let Open { kind, size, wire_size, compressed, way, torn } = open;
        let whole = complete && !torn && way != Way::Dropping;
        let compression = compressed.then_some(Coding::Deflate);
        out(Item::Message(Piece { kind, time, size, wire_size, compression, whole }));
        for (piece, payload) in std::mem::take(&mut self.held) {
            hand_on(piece, &payload, out);
        }
    }

    /// Nobody knows where the next frame begins.
    fn lose(&mut self, time: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        self.message_over(false, time, out);
        out(Item::Anomaly(Anomaly::BadMessage));
        self.lost = true;
        if let Some(head) = self.head.get(..self.have).filter(|head| !head.is_empty()) {
            out(Item::Bytes(head));
        }
    }

    pub(super) fn gap(&mut self, len: u64, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if self.lost {
            return;
        }
        let Some(frame) = &mut self.frame else { return self.lose(last, out) };
        let within = len.min(frame.left);
        frame.advance(within);
        let (control, complete, over) = (frame.opcode.is_control(), frame.last, frame.left == 0);
        let opcode = frame.opcode;
        if control {
            self.control_torn = true;
        } else if let Some(open) = &mut self.open {
            (open.torn, open.wire_size) = (true, open.wire_size + within);
            if open.way == Way::Inflating {
                open.way = Way::Dropping;
                self.inflater.iter_mut().for_each(|inflater| inflater.gap());
            }
        }
        if !over {
            return;
        }
        self.frame = None;
        if control {
            self.control_over(opcode, last, out);
        } else if complete {
            self.message_over(true, last, out);
        }
        if len > within {
            self.lose(last, out);
        }
    }

    pub(super) fn end(&mut self, last: Timestamp, out: &mut impl FnMut(Item<'_>)) {
        if self.lost {
            return;
        }
        self.message_over(false, last, out);
        if let Some(frame) = self.frame.take_if(|frame| frame.opcode.is_control()) {
            self.control_torn = true;
            self.control_over(frame.opcode, last, out);
        }
        if self.have > 0 {
            out(Item::Anomaly(Anomaly::BadMessage));
        }
        self.lost = true;
    }
}

impl Open {
    /// Keeps the books of a piece of inflating.
    fn inflated(&mut self, inflate: impl FnOnce(&mut u64) -> Result<(), Anomaly>) -> Result<(), Anomaly> {
        let inflated = inflate(&mut self.size);
        if inflated.is_err() {
            self.way = Way::Dropping;
        }
        inflated
    }
}

fn hand_on(piece: Piece, payload: &[u8], out: &mut impl FnMut(Item<'_>)) {
    if !payload.is_empty() {
        out(Item::Bytes(payload));
    }
    out(Item::Message(piece));
}
