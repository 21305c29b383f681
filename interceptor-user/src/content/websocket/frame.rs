//! One frame (RFC 6455 section 5.2).

/// Two bytes, eight of a length, four of a mask.
pub(super) const HEAD_MAX: usize = 14;
/// Most payload of a control frame (RFC 6455 section 5.5).
const CONTROL_MAX: u64 = 125;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn of(byte: u8) -> Option<Self> {
        Some(match byte & 15 {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame, and how far its payload was read.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) opcode: Opcode,
    /// FIN: the last frame of its message.
    pub(super) last: bool,
    /// RSV1: the message is compressed (RFC 7692 section 6).
    pub(super) compressed: bool,
    /// Payload to come.
    pub(super) left: u64,
    mask: Option<[u8; 4]>,
}

/// How long the head is, once its second byte is known.
pub(super) fn head_len(head: &[u8]) -> Option<usize> {
    let second = head.get(1)?;
    let length = match second & 0x7f {
        127 => 8,
        126 => 2,
        _ => 0,
    };
    Some(2 + length + usize::from(second & 0x80 != 0) * 4)
}

impl Frame {
    /// `None` if the head breaks a rule.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let (&[first, second], rest) = head.split_first_chunk()?;
        let (left, rest) = match second & 0x7f {
            127 => rest.split_first_chunk().map(|(length, rest)| (u64::from_be_bytes(*length), rest))?,
            126 => rest.split_first_chunk().map(|(length, rest)| (u64::from(u16::from_be_bytes(*length)), rest))?,
            length => (u64::from(length), rest),
        };
        // The shortest form of a length has to be used, and the longest has 63 bits.
        let shortest = match second & 0x7f {
            127 => (1 << 16..1 << 63).contains(&left),
            126 => left >= 126,
            _ => true,
        };
        let mask = if second & 0x80 == 0 { None } else { Some(*rest.first_chunk()?) };
        let (last, compressed, reserved) = (first & 0x80 != 0, first & 0x40 != 0, first & 0x30 != 0);
        let opcode = Opcode::of(first)?;
        let control = !opcode.is_control() || (last && left <= CONTROL_MAX);
        (shortest && control && !reserved).then_some(Self { opcode, last, compressed, left, mask })
    }

    pub(super) const fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// The next payload in clear, in `room` if it has to be unmasked for that.
    pub(super) fn unmask<'b>(&self, payload: &'b [u8], room: &'b mut [u8]) -> &'b [u8] {
        let Some(mask) = self.mask else { return payload };
        let Some(room) = room.get_mut(..payload.len()) else { return payload };
        for ((clear, byte), mask) in room.iter_mut().zip(payload).zip(mask.iter().cycle()) {
            *clear = byte ^ mask;
        }
        room
    }

    /// So much of the payload is read, or is known to be missing.
    pub(super) fn advance(&mut self, len: u64) {
        self.left = self.left.saturating_sub(len);
        if let Some(mask) = &mut self.mask {
            mask.rotate_left((len % 4) as usize);
        }
    }
}
