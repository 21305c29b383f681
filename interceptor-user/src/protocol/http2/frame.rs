//! Frame headers (RFC 9113 section 4.1).

/// Bytes of a frame's header.
pub(super) const HEADER: usize = 9;

pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// Types of RFC 9113 section 6; others are to be ignored (section 5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    Extension(u8),
}

impl Kind {
    const fn of(byte: u8) -> Self {
        match byte {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::RstStream,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Extension(other),
        }
    }
}

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
}

impl Header {
    /// The reserved bit is ignored, as the RFC says.
    #[inline]
    pub(super) const fn parse(bytes: &[u8; HEADER]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Does it say what its type allows: a length, and a stream or the connection? What does not is an error that ends the
    /// connection, or no frame.
    pub(super) const fn is_allowed(&self) -> bool {
        let on_stream = self.stream != 0;
        match self.kind {
            Kind::Data | Kind::Headers | Kind::Continuation => on_stream,
            Kind::PushPromise => on_stream && self.len >= 4,
            Kind::Priority => on_stream && self.len == 5,
            Kind::RstStream => on_stream && self.len == 4,
            Kind::Settings => !on_stream && self.len.is_multiple_of(6) && (!self.has(ACK) || self.len == 0),
            Kind::Ping => !on_stream && self.len == 8,
            Kind::GoAway => !on_stream && self.len >= 8,
            Kind::WindowUpdate => self.len == 4,
            Kind::Extension(_) => true,
        }
    }
}

/// The first four bytes as a number.
pub(super) fn word(payload: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = payload.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*word), rest))
}

/// Settings (RFC 9113 section 6.5.2) that decoding depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) header_table_size: Option<u32>,
    pub(super) initial_window_size: Option<u32>,
}

impl Settings {
    pub(super) fn parse(payload: &[u8]) -> Self {
        let mut settings = Self::default();
        for [i0, i1, value @ ..] in payload.as_chunks::<6>().0 {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([*i0, *i1]) {
                1 => settings.header_table_size = Some(value),
                4 => settings.initial_window_size = Some(value),
                _ => {}
            }
        }
        settings
    }
}
