//! Content codings (RFC 9110 section 8.4.1), removed as the bytes come: what a coder flushed comes out at once.

mod brotli;
mod deflate;
mod gzip;
mod snappy;
mod zstd;

use self::{brotli::Brotli, deflate::Deflate, gzip::Gzip, zstd::Zstd};
pub(super) use deflate::{INFLATE_MEMORY, inflate};

use super::{Limits, RATIO_FROM, media};
use crate::model::{Anomaly, Coding, Head};

/// [`Limits::ratio`] is looked at once in so many coded bytes. Where exactly a decoder has read to when it gives a byte
/// depends on how the bytes were split; what it gives for so many bytes does not.
pub(super) const STEP: u64 = 4096;

/// Codings on one content; more are not removed.
const DEPTH: usize = 4;

/// Where decoded bytes go; an error ends the decoding.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&[u8]) -> Result<(), Anomaly>;

/// What is done with coded bytes, and how many decoded ones there may be after that.
type Step<'a> = &'a mut dyn FnMut(&[u8], u64) -> Result<(), Anomaly>;

/// Removes the codings of one content.
#[derive(Debug)]
pub(super) struct Decoding {
    /// In the order they are removed.
    decoders: Vec<Decoder>,
    /// Below them is a coding that we do not know, and nobody was told.
    unknown: bool,
    /// Coded bytes so far.
    coded: u64,
    failed: bool,
}

impl Decoding {
    pub(super) fn of(head: &Head) -> Option<Self> {
        let codings: Vec<Coding> = media::content_codings(head).collect();
        let decoders: Vec<Decoder> =
            codings.iter().rev().map_while(|coding| Decoder::new(*coding)).take(DEPTH).collect();
        let unknown = decoders.len() < codings.len();
        (!codings.is_empty()).then_some(Self { decoders, unknown, coded: 0, failed: false })
    }

    pub(super) fn outermost(&self) -> Option<Coding> {
        self.decoders.first().map(|decoder| decoder.coding)
    }

    /// Says once that what comes out is still coded, in a way that we do not know.
    pub(super) const fn leaves_unknown(&mut self) -> bool {
        std::mem::replace(&mut self.unknown, false)
    }

    /// The next coded bytes. After an error, nothing comes out any more.
    pub(super) fn data(&mut self, bytes: &[u8], limits: &Limits, out: &mut dyn FnMut(&[u8])) -> Result<(), Anomaly> {
        if self.failed {
            return Ok(());
        }
        let Self { decoders, coded, .. } = self;
        let decoded = steps(coded, bytes, limits, &mut |part, allowed| remove(decoders, part, allowed, out));
        self.failed = decoded.is_err();
        decoded
    }

    pub(super) fn gap(&mut self) -> Result<(), Anomaly> {
        if self.failed || self.decoders.is_empty() {
            return Ok(());
        }
        self.failed = true;
        Err(Anomaly::BadCoding)
    }

    pub(super) fn end(&mut self) -> Result<(), Anomaly> {
        let over = self.failed || self.coded == 0 || self.decoders.iter().all(Decoder::is_over);
        self.failed = true;
        if over { Ok(()) } else { Err(Anomaly::BadCoding) }
    }

    pub(super) fn memory(&self) -> usize {
        self.decoders.capacity() * size_of::<Decoder>() + self.decoders.iter().map(Decoder::memory).sum::<usize>()
    }
}

fn remove(decoders: &mut [Decoder], bytes: &[u8], allowed: u64, out: &mut dyn FnMut(&[u8])) -> Result<(), Anomaly> {
    let Some((first, others)) = decoders.split_first_mut() else {
        out(bytes);
        return Ok(());
    };
    first.decode(bytes, allowed, &mut |bytes| remove(others, bytes, allowed, out))
}

/// Cuts coded bytes into the steps at which the ratio is looked at, and says of each what may have come out after it.
/// `coded` counts them.
pub(super) fn steps(coded: &mut u64, bytes: &[u8], limits: &Limits, decode: Step<'_>) -> Result<(), Anomaly> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let step = (STEP - *coded % STEP) as usize;
        let (part, after) = rest.split_at_checked(step).unwrap_or((rest, &[]));
        *coded += part.len() as u64;
        decode(part, allowed(limits, coded.next_multiple_of(STEP)))?;
        rest = after;
    }
    Ok(())
}

/// Hands on decoded bytes as far as `allowed` goes; `decoded` counts them.
pub(super) fn within(allowed: u64, decoded: &mut u64, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
    let room = usize::try_from(allowed.saturating_sub(*decoded)).unwrap_or(usize::MAX);
    let handed = bytes.get(..room).unwrap_or(bytes);
    *decoded += handed.len() as u64;
    out(handed)?;
    if handed.len() < bytes.len() { Err(Anomaly::ContentLimit) } else { Ok(()) }
}

/// Most bytes that `coded` ones may come to.
pub(super) fn allowed(limits: &Limits, coded: u64) -> u64 {
    coded.saturating_mul(limits.ratio).max(RATIO_FROM).min(limits.output)
}

/// Decodes one message that is compressed by itself; `decoded` counts what all of a content came to.
pub(super) fn message(
    coding: Option<Coding>,
    coded: &[u8],
    decoded: &mut u64,
    limits: &Limits,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), Anomaly> {
    let most = allowed(limits, coded.len() as u64).min(limits.output.saturating_sub(*decoded));
    let mut count = |bytes: &[u8]| {
        *decoded += bytes.len() as u64;
        out(bytes);
        Ok(())
    };
    if coding == Some(Coding::Snappy) {
        return snappy::decode(coded, most, limits.message, &mut count);
    }
    let Some(mut decoder) = coding.and_then(Decoder::new) else { return count(coded) };
    decoder.decode(coded, most, &mut count)?;
    if decoder.is_over() { Ok(()) } else { Err(Anomaly::BadCoding) }
}

/// Removes one coding.
#[derive(Debug)]
struct Decoder {
    coding: Coding,
    decoded: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Gzip(Box<Gzip>),
    Deflate(Box<Deflate>),
    Brotli(Box<Brotli>),
    Zstd(Box<Zstd>),
}

impl Decoder {
    /// `None` where we cannot decode it as it comes: snappy has no coding of contents, only of messages.
    fn new(coding: Coding) -> Option<Self> {
        let state = match coding {
            Coding::Gzip => State::Gzip(Box::default()),
            Coding::Deflate => State::Deflate(Box::default()),
            Coding::Brotli => State::Brotli(Box::default()),
            Coding::Zstd => State::Zstd(Box::new(Zstd::new()?)),
            Coding::Snappy | Coding::Unknown => return None,
        };
        Some(Self { coding, decoded: 0, state })
    }

    /// Hands on no more than `allowed` bytes, counted from the content's beginning.
    fn decode(&mut self, bytes: &[u8], allowed: u64, out: Sink<'_>) -> Result<(), Anomaly> {
        let decoded = &mut self.decoded;
        let mut limited = |bytes: &[u8]| within(allowed, decoded, bytes, out);
        match &mut self.state {
            State::Gzip(gzip) => gzip.decode(bytes, &mut limited),
            State::Deflate(deflate) => deflate.decode(bytes, &mut limited),
            State::Brotli(brotli) => brotli.decode(bytes, &mut limited),
            State::Zstd(zstd) => zstd.decode(bytes, &mut limited),
        }
    }

    /// What was decoded may end here.
    fn is_over(&self) -> bool {
        match &self.state {
            State::Gzip(gzip) => gzip.is_over(),
            State::Deflate(deflate) => deflate.is_over(),
            State::Brotli(brotli) => brotli.is_over(),
            State::Zstd(zstd) => zstd.is_over(),
        }
    }

    fn memory(&self) -> usize {
        match &self.state {
            State::Gzip(_) => size_of::<Gzip>() + INFLATE_MEMORY,
            State::Deflate(_) => size_of::<Deflate>() + INFLATE_MEMORY,
            State::Brotli(brotli) => size_of::<Brotli>() + brotli.memory(),
            State::Zstd(zstd) => size_of::<Zstd>() + zstd.memory(),
        }
    }
}
