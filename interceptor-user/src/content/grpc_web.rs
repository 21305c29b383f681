//! gRPC-Web: trailers as a part of the content, and the content in base64 for the sake of old browsers.

use super::{Item, Limits, coding, grpc::Grpc};
use crate::model::{Anomaly, Coding, Draft, Timestamp};

/// Hands on trailers: field lines as in HTTP/1 (gRPC-Web protocol, "Trailers"), compressed if they say so.
pub(super) fn trailers(coded: &[u8], coding: Option<Coding>, most: usize, out: &mut impl FnMut(Item<'_>)) {
    let mut text = Vec::new();
    let limits = Limits { keep: true, output: most as u64, ratio: u64::MAX, message: most };
    let decoded = coding::message(coding, coded, &mut 0, &limits, &mut |bytes| text.extend_from_slice(bytes));
    if let Err(anomaly) = decoded {
        out(Item::Anomaly(anomaly));
    }
    let mut fields = Draft::default();
    for line in text.split(|byte| *byte == b'\n').take(LINES) {
        if let Some((name, value)) = memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) {
            fields.push(name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii());
        }
    }
    out(Item::Trailers(fields.fields()));
}

/// Lines of trailers that are kept.
const LINES: usize = 256;

/// Decoded at once.
const BUFFER: usize = 1536;

/// State of a content in base64: pieces of it, each padded, one after the other.
#[derive(Debug)]
pub(super) struct Text {
    grpc: Grpc,
    /// The digits of an unfinished group of four, and how many.
    group: u32,
    digits: u8,
    lost: bool,
}

impl Text {
    pub(super) const fn new(coding: Option<Coding>) -> Self {
        Self { grpc: Grpc::new(coding, true), group: 0, digits: 0, lost: false }
    }

    pub(super) fn memory(&self) -> usize {
        self.grpc.memory()
    }

    pub(super) fn data(&mut self, bytes: &[u8], time: Timestamp, limits: &Limits, out: &mut impl FnMut(Item<'_>)) {
        let mut rest = bytes;
        let mut buffer = [0; BUFFER];
        while !rest.is_empty() && !self.lost {
            let (read, written) = self.decode(rest, &mut buffer);
            if let Some(decoded) = buffer.get(..written).filter(|decoded| !decoded.is_empty()) {
                self.grpc.data(decoded, time, limits, out);
            }
            rest = rest.get(read..).unwrap_or_default();
            if read == 0 {
                self.lose(out);
            }
        }
        if !rest.is_empty() {
            out(Item::Bytes(rest));
        }
    }

    /// Reads up to where the room ends, or what is no base64 begins; gives how many it read and wrote.
    fn decode(&mut self, bytes: &[u8], room: &mut [u8; BUFFER]) -> (usize, usize) {
        let mut written = 0;
        for (read, &byte) in bytes.iter().enumerate() {
            let Some(room) = room.get_mut(written..written + 3) else { return (read, written) };
            if let Some(digit) = digit(byte) {
                self.group = self.group << 6 | u32::from(digit);
                self.digits += 1;
            } else if byte == b'=' && self.digits != 1 {
                // The first `=` ends a group; a second one finds nothing to end.
                self.group <<= 6 * (4 - u32::from(self.digits.clamp(2, 4)));
            } else if !byte.is_ascii_whitespace() {
                return (read, written);
            }
            if self.digits == 4 || (byte == b'=' && self.digits > 1) {
                let [_, decoded @ ..] = self.group.to_be_bytes();
                room.copy_from_slice(&decoded);
                written += usize::from(self.digits) - 1;
                (self.group, self.digits) = (0, 0);
            }
        }
        (bytes.len(), written)
    }

    fn lose(&mut self, out: &mut impl FnMut(Item<'_>)) {
        self.grpc.close(out);
        self.lost = true;
        out(Item::Anomaly(Anomaly::BadMessage));
    }

    /// How many bytes a piece of text with padding stands for, nobody knows: the rest is not divided.
    pub(super) fn gap(&mut self, out: &mut impl FnMut(Item<'_>)) {
        if !self.lost {
            self.lose(out);
        }
    }

    pub(super) fn end(&mut self, out: &mut impl FnMut(Item<'_>)) {
        if !self.lost {
            self.grpc.end(out);
        }
    }
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
