//! Brotli (RFC 7932), with windows of up to 16 MiB as the RFC has it.

use std::fmt;

use brotli_decompressor::{
    Allocator, BrotliDecompressStream, BrotliResult, BrotliState, SliceWrapper as _, StandardAlloc,
};

use super::Sink;
use crate::model::Anomaly;

const BUFFER: usize = 16 * 1024;

/// Says how much it has given out.
#[derive(Default)]
struct Counted {
    bytes: usize,
}

impl<T: Clone + Default> Allocator<T> for Counted {
    type AllocatedMemory = <StandardAlloc as Allocator<T>>::AllocatedMemory;

    fn alloc_cell(&mut self, len: usize) -> Self::AllocatedMemory {
        self.bytes += len * size_of::<T>();
        StandardAlloc::default().alloc_cell(len)
    }

    fn free_cell(&mut self, data: Self::AllocatedMemory) {
        self.bytes = self.bytes.saturating_sub(size_of_val(data.slice()));
    }
}

/// Removes the coding `br`.
pub(super) struct Brotli {
    state: BrotliState<Counted, Counted, Counted>,
    over: bool,
}

impl fmt::Debug for Brotli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Brotli").field("over", &self.over).finish_non_exhaustive()
    }
}

impl Default for Brotli {
    fn default() -> Self {
        let state = BrotliState::new_strict(Counted::default(), Counted::default(), Counted::default());
        Self { state, over: false }
    }
}

impl Brotli {
    /// The decoder gets a byte at a time. Given more, it may find in what follows that a block is too long before it has
    /// written what came before, so that a bad stream would give more or less by how it was split. That costs most of its
    /// speed, which leaves some 80 MB/s (decoded, one core).
    pub(super) fn decode(&mut self, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let mut buffer = [0; BUFFER];
        bytes.chunks(1).try_for_each(|byte| self.byte(byte, &mut buffer, out))
    }

    fn byte(&mut self, mut rest: &[u8], buffer: &mut [u8; BUFFER], out: Sink<'_>) -> Result<(), Anomaly> {
        while !self.over {
            let (mut room, mut written, mut left, mut read, mut total) = (BUFFER, 0, rest.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                rest,
                &mut room,
                &mut written,
                buffer,
                &mut total,
                &mut self.state,
            );
            rest = rest.get(read..).unwrap_or_default();
            if written > 0 {
                out(buffer.get(..written).unwrap_or_default())?;
            }
            match result {
                BrotliResult::ResultSuccess => self.over = true,
                BrotliResult::NeedsMoreInput => return Ok(()),
                BrotliResult::NeedsMoreOutput => {}
                BrotliResult::ResultFailure => return Err(Anomaly::BadCoding),
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Anomaly::BadCoding) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn memory(&self) -> usize {
        self.state.alloc_u8.bytes + self.state.alloc_u32.bytes + self.state.alloc_hc.bytes
    }
}
