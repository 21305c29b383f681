//! Protocols that begin with numbers. Each is told by several fields that fit together, as soon as those are there.

use super::reader::Reader;
use crate::protocol::http1::line::Fit;

/// Too few bytes to say, or an answer.
type Answer = Option<bool>;

pub(super) const fn fit(answer: Answer) -> Fit {
    match answer {
        None => Fit::More,
        Some(true) => Fit::Yes,
        Some(false) => Fit::No,
    }
}

/// Gives up with "no" unless the condition holds.
macro_rules! holds {
    ($condition:expr) => {
        if !$condition {
            return Some(false);
        }
    };
}

/// CONNECT (MQTT 5.0 section 3.1, 3.1.1 section 3.1; `MQIsdp` is 3.1's name).
pub(super) fn mqtt(bytes: &[u8]) -> Answer {
    let mut reader = Reader::new(bytes);
    holds!(reader.u8()? == 0x10);
    let mut lengths = 0;
    while reader.u8()? & 0x80 != 0 {
        lengths += 1;
        holds!(lengths < 4);
    }
    let len = reader.u16()?;
    holds!(matches!(len, 4 | 6));
    let name: &[u8] = if len == 4 { b"MQTT" } else { b"MQIsdp" };
    holds!(name.starts_with(reader.take_up_to(len.into())));
    Some((3..=5).contains(&reader.u8()?))
}

/// Requests of PostgreSQL to encrypt (frontend/backend protocol, section "Message Formats").
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
const CANCEL_REQUEST: u32 = 80_877_102;

/// Bytes of an `SSLRequest`. What follows is TLS, if the server agrees in one byte.
pub(super) const SSL_REQUEST_LEN: usize = 8;

/// `StartupMessage` of version 3, or what may come before it.
pub(super) fn postgresql(bytes: &[u8]) -> Answer {
    let mut reader = Reader::new(bytes);
    let first = reader.u8()?;
    holds!(first == 0);
    let mut reader = Reader::new(bytes);
    let len = reader.u32()?;
    holds!((8..=10_000).contains(&len));
    match reader.u32()? {
        SSL_REQUEST | GSS_REQUEST => Some(len == 8),
        CANCEL_REQUEST => Some(len >= 16),
        // Then the name of a parameter: with a zero this were Kafka's metadata request, version 0.
        code if code >> 16 == 3 => Some(reader.u8()?.is_ascii_lowercase()),
        _ => Some(false),
    }
}

/// Does the client ask PostgreSQL for TLS?
pub(super) fn asks_for_tls(bytes: &[u8]) -> bool {
    let mut reader = Reader::new(bytes);
    reader.u32() == Some(8) && reader.u32() == Some(SSL_REQUEST)
}

/// The server's greeting, `HandshakeV10`: its version is text with a dot in it.
pub(super) fn mysql(bytes: &[u8]) -> Answer {
    const VERSION_MAX: usize = 16;
    let mut reader = Reader::new(bytes);
    let [len, more, most, number] = [reader.u8()?, reader.u8()?, reader.u8()?, reader.u8()?];
    holds!(len >= 40 && more <= 1 && most == 0 && number == 0 && reader.u8()? == 10);
    for place in 0..VERSION_MAX {
        match reader.u8()? {
            b'.' => return Some(place > 0),
            digit => holds!(digit.is_ascii_digit()),
        }
    }
    Some(false)
}

/// The header of a request (Kafka protocol guide, "Request Header"): versions 1 and 2 begin alike.
pub(super) fn kafka(bytes: &[u8]) -> Answer {
    /// `socket.request.max.bytes` of a broker, by default.
    const SIZE_MAX: u32 = 100 << 20;
    /// Beyond the newest key and the newest version there is.
    const KEY_MAX: u16 = 100;
    const VERSION_MAX: u16 = 20;
    const API_VERSIONS: u16 = 18;
    const NULL: u16 = 0xffff;
    let mut reader = Reader::new(bytes);
    let size = reader.u32()?;
    holds!((10..=SIZE_MAX).contains(&size));
    let (key, version) = (reader.u16()?, reader.u16()?);
    holds!(key <= KEY_MAX && version <= VERSION_MAX);
    let correlation = reader.u32()?;
    let len = reader.u16()?;
    holds!(correlation <= u32::MAX / 2);
    if len == NULL {
        return Some(key == API_VERSIONS);
    }
    holds!((1..=255).contains(&len) && size >= 10 + u32::from(len));
    let client = reader.take_up_to(len.into());
    holds!(client.iter().all(u8::is_ascii_graphic));
    if client.len() < usize::from(len) { None } else { Some(true) }
}

/// A message header with `OP_MSG`, `OP_QUERY` or `OP_COMPRESSED` (MongoDB wire protocol).
pub(super) fn mongodb(bytes: &[u8]) -> Answer {
    const LEN_MAX: u32 = 48_000_000 + 16 * 1024;
    let mut reader = Reader::new(bytes);
    let len = reader.u32_le()?;
    holds!((17..=LEN_MAX).contains(&len));
    let (_request, _response) = (reader.u32()?, reader.u32()?);
    Some(matches!(reader.u32_le()?, 2004 | 2012 | 2013))
}

/// A request of Memcached's binary protocol (its `doc/protocol-binary.txt`).
pub(super) fn memcached(bytes: &[u8]) -> Answer {
    let mut reader = Reader::new(bytes);
    holds!(reader.u8()? == 0x80);
    let (code, key, extras, kind) = (reader.u8()?, reader.u16()?, reader.u8()?, reader.u8()?);
    holds!(code <= 0x48 && key <= 250 && extras <= 20 && kind == 0);
    let (_bucket, body) = (reader.u16()?, reader.u32()?);
    Some(body >= u32::from(key) + u32::from(extras) && body <= 128 << 20)
}
