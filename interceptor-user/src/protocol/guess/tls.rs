//! The two hellos of TLS (RFC 8446 section 4.1; RFC 5246 section 7.4.1), which pass in the clear.

use std::borrow::Cow;

use super::{LIMIT, reader::Reader};
use crate::model::{TlsHello, TlsVersion};

/// Record type of handshake messages (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_HELLO: u8 = 2;
/// Length of a handshake message's header.
const HEADER: usize = 4;
/// Names and protocols that are kept of a hello, and bytes of each: RFC 1035 and RFC 7301 allow no longer ones.
const PROTOCOLS_MAX: usize = 16;
const NAME_MAX: usize = 255;

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What one side's first bytes hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A hello; what it says is in the [`TlsHello`].
    Hello,
    /// No hello: we came later, or the other side refused.
    None,
    /// The hello is not whole yet.
    More,
}

/// Reads the hello at the beginning of one side's bytes into `hello`.
pub(super) fn read(bytes: &[u8], hello: &mut TlsHello) -> Found {
    let message = match message(bytes) {
        Ok(message) => message,
        Err(found) => return found,
    };
    let mut body = Reader::new(message.get(HEADER..).unwrap_or_default());
    // A hello that contradicts itself is one all the same; what was read before it did holds.
    let _ = match message.first() {
        Some(&CLIENT_HELLO) => client(&mut body, hello),
        _ => server(&mut body, hello),
    };
    Found::Hello
}

/// The first handshake message, put together from its records.
fn message(bytes: &[u8]) -> Result<Cow<'_, [u8]>, Found> {
    let mut records = Reader::new(bytes);
    let mut message = Cow::Borrowed(&[][..]);
    loop {
        if records.u8().ok_or(Found::More)? != HANDSHAKE {
            return Err(Found::None);
        }
        let _version = records.u16().ok_or(Found::More)?;
        let len = usize::from(records.u16().ok_or(Found::More)?);
        if len == 0 {
            return Err(Found::None);
        }
        let part = records.take_up_to(len);
        if message.is_empty() {
            message = Cow::Borrowed(part);
        } else {
            message.to_mut().extend_from_slice(part);
        }
        if let Some([kind, len @ ..]) = message.first_chunk::<HEADER>() {
            let whole = HEADER + u32::from_be_bytes([0, len[0], len[1], len[2]]) as usize;
            if !matches!(*kind, CLIENT_HELLO | SERVER_HELLO) || whole > LIMIT {
                return Err(Found::None);
            }
            if message.len() >= whole {
                return Ok(match message {
                    Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..whole).unwrap_or_default()),
                    Cow::Owned(mut bytes) => {
                        bytes.truncate(whole);
                        Cow::Owned(bytes)
                    }
                });
            }
        }
        if part.len() < len {
            return Err(Found::More);
        }
    }
}

fn client(body: &mut Reader<'_>, hello: &mut TlsHello) -> Option<()> {
    hello.offered_version = TlsVersion::from_wire(body.u16()?);
    let _random = body.take(32)?;
    let _session = body.vector8()?;
    let _suites = body.vector16()?;
    let _compression = body.vector8()?;
    extensions(body, |kind, mut content| {
        match kind {
            SERVER_NAME => hello.server_name = hello.server_name.take().or_else(|| server_name(&mut content)),
            ALPN => hello.offered = protocols(&mut content).collect(),
            SUPPORTED_VERSIONS => {
                let mut versions = content.vector8()?;
                let known = std::iter::from_fn(|| versions.u16()).filter_map(TlsVersion::from_wire);
                hello.offered_version = known.max().or(hello.offered_version);
            }
            _ => {}
        }
        Some(())
    })
}

fn server(body: &mut Reader<'_>, hello: &mut TlsHello) -> Option<()> {
    hello.version = TlsVersion::from_wire(body.u16()?);
    let _random = body.take(32)?;
    let _session = body.vector8()?;
    let _suite = body.u16()?;
    let _compression = body.u8()?;
    extensions(body, |kind, mut content| {
        match kind {
            ALPN => hello.chosen = protocols(&mut content).next(),
            SUPPORTED_VERSIONS => hello.version = TlsVersion::from_wire(content.u16()?),
            _ => {}
        }
        Some(())
    })
}

/// A hello need not have any (RFC 5246 section 7.4.1.2).
fn extensions<'a>(body: &mut Reader<'a>, mut each: impl FnMut(u16, Reader<'a>) -> Option<()>) -> Option<()> {
    let mut extensions = body.vector16()?;
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        // One that is odd in itself says nothing of those that follow.
        let _ = each(kind, extensions.vector16()?);
    }
    Some(())
}

/// The first name of type `host_name` (RFC 6066 section 3).
fn server_name(content: &mut Reader<'_>) -> Option<Box<str>> {
    let mut names = content.vector16()?;
    loop {
        let (kind, name) = (names.u8()?, names.vector16()?);
        if kind == 0 {
            return text(name.rest());
        }
    }
}

/// `ProtocolNameList` (RFC 7301 section 3.1), without values that are there to be ignored (RFC 8701).
fn protocols(content: &mut Reader<'_>) -> impl Iterator<Item = Box<str>> {
    let mut names = content.vector16().unwrap_or(Reader::new(&[]));
    let names = std::iter::from_fn(move || names.vector8()).map(|name| name.rest());
    names.filter(|name| !matches!(name, [a, b] if a == b && a & 15 == 10)).filter_map(text).take(PROTOCOLS_MAX)
}

fn text(name: &[u8]) -> Option<Box<str>> {
    (1..=NAME_MAX).contains(&name.len()).then(|| String::from_utf8_lossy(name).into())
}
