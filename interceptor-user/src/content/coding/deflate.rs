//! DEFLATE (RFC 1951), and the coding `deflate`, which is zlib (RFC 1950) by the book and bare DEFLATE from some.

use flate2::{Decompress, FlushDecompress, Status};

use super::Sink;
use crate::model::Anomaly;

/// What a [`Decompress`] holds: miniz_oxide's window of 32 KiB and its tables, 43 KB in 0.9.
pub(in crate::content) const INFLATE_MEMORY: usize = 44 * 1024;

/// Decoded at once; a compromise between calls and stack.
const BUFFER: usize = 16 * 1024;

/// Inflates as much as there is; gives what follows the stream's end, if that came.
pub(in crate::content) fn inflate<'b>(
    stream: &mut Decompress,
    bytes: &'b [u8],
    out: Sink<'_>,
) -> Result<Option<&'b [u8]>, Anomaly> {
    let mut buffer = [0; BUFFER];
    let mut rest = bytes;
    loop {
        let (read, written) = (stream.total_in(), stream.total_out());
        let status = stream.decompress(rest, &mut buffer, FlushDecompress::None);
        let read = (stream.total_in() - read) as usize;
        let written = (stream.total_out() - written) as usize;
        rest = rest.get(read..).unwrap_or_default();
        if written > 0 {
            out(buffer.get(..written).unwrap_or_default())?;
        }
        match status {
            Ok(Status::StreamEnd) => return Ok(Some(rest)),
            // It may hand over only what it had left, or have more in its bits than had room.
            Ok(_) if read > 0 || written > 0 => {}
            Ok(_) if rest.is_empty() => return Ok(None),
            Ok(_) | Err(_) => return Err(Anomaly::BadCoding),
        }
    }
}

/// Removes the coding `deflate`.
#[derive(Debug, Default)]
pub(super) struct Deflate {
    first: Option<u8>,
    stream: Option<Decompress>,
    over: bool,
}

impl Deflate {
    pub(super) fn decode(&mut self, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
        if let Some(stream) = &mut self.stream {
            return if self.over {
                Err(Anomaly::BadCoding)
            } else {
                Self::inflated(stream, &mut self.over, bytes, out)
            };
        }
        let Some(first) = self.first else {
            self.first = Some(byte);
            return self.decode(rest, out);
        };
        let stream = self.stream.insert(Decompress::new(is_zlib(first, byte)));
        Self::inflated(stream, &mut self.over, &[first], out)?;
        Self::inflated(stream, &mut self.over, bytes, out)
    }

    fn inflated(stream: &mut Decompress, over: &mut bool, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let Some(after) = inflate(stream, bytes, out)? else { return Ok(()) };
        *over = true;
        if after.is_empty() { Ok(()) } else { Err(Anomaly::BadCoding) }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }
}

/// The two bytes of a zlib header: method 8, a window of at most 32 KiB, and a checksum (RFC 1950 section 2.2).
fn is_zlib(first: u8, second: u8) -> bool {
    first & 15 == 8 && first >> 4 <= 7 && (u16::from(first) << 8 | u16::from(second)).is_multiple_of(31)
}
