//! Zstandard (RFC 8878): frames one after the other.

use std::fmt;

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer};

use super::Sink;
use crate::model::Anomaly;

/// Windows of up to 8 MiB, which RFC 9659 has senders of the coding `zstd` keep to.
const WINDOW_LOG_MAX: u32 = 23;
/// What libzstd says of a larger one (`ZSTD_error_frameParameter_windowTooLarge`).
const WINDOW_TOO_LARGE: usize = 0_usize.wrapping_sub(16);
/// Bytes of a block's header.
const BLOCK_HEADER: usize = 3;
const BUFFER: usize = 16 * 1024;

/// Removes the coding `zstd`.
pub(super) struct Zstd {
    context: DCtx<'static>,
    /// What the decoder wants next: the rest of a block and the header of the next one.
    wanted: usize,
    /// Between frames, after one at least.
    over: bool,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zstd").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Zstd {
    /// `None` if there is no memory for it.
    pub(super) fn new() -> Option<Self> {
        let mut context = DCtx::try_create()?;
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).ok()?;
        Some(Self { context, wanted: BLOCK_HEADER, over: false })
    }

    /// The decoder gets no more than one block, or the header of one, at a time: if that is bad, it forgets to say what
    /// it wrote for the one before.
    pub(super) fn decode(&mut self, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let mut buffer = [0; BUFFER];
        let mut rest = bytes;
        loop {
            let portion = if self.wanted > BLOCK_HEADER { self.wanted - BLOCK_HEADER } else { self.wanted.max(1) };
            let mut input = InBuffer::around(rest.get(..portion).unwrap_or(rest));
            let mut output = OutBuffer::around(&mut buffer[..]);
            let wanted = self.context.decompress_stream(&mut output, &mut input);
            let (read, written) = (input.pos(), output.pos());
            rest = rest.get(read..).unwrap_or_default();
            if written > 0 {
                out(buffer.get(..written).unwrap_or_default())?;
            }
            match wanted {
                Ok(wanted) => self.wanted = wanted,
                Err(WINDOW_TOO_LARGE) => return Err(Anomaly::ContentLimit),
                Err(_) => return Err(Anomaly::BadCoding),
            }
            if read > 0 || written > 0 {
                self.over = self.wanted == 0;
            }
            if rest.is_empty() && written < BUFFER {
                return Ok(());
            }
            if read == 0 && written == 0 {
                return Err(Anomaly::BadCoding);
            }
        }
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn memory(&self) -> usize {
        self.context.sizeof()
    }
}
