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
        self.bytes = self.bytes.saturating_sub(data.slice().len() * size_of::<T>());
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
    pub(super) fn decode(&mut self, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let mut buffer = [0; BUFFER];
        let mut rest = bytes;
        while !self.over {
            let (mut room, mut written, mut left, mut read, mut total) = (BUFFER, 0, rest.len(), 0, 0);
            let result = BrotliDecompressStream(
                &mut left,
                &mut read,
                rest,
                &mut room,
                &mut written,
                &mut buffer,
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
                BrotliResult::ResultFailure => {
                    out(self.unwritten())?;
                    return Err(Anomaly::BadCoding);
                }
            }
        }
        if rest.is_empty() { Ok(()) } else { Err(Anomaly::BadCoding) }
    }

    /// What was decoded in the call that failed. The decoder keeps it, although it does so only if the bad part was not
    /// split off.
    fn unwritten(&self) -> &[u8] {
        let state = &self.state;
        let ring = u64::try_from(state.ringbuffer_size).unwrap_or_default();
        let position = u64::try_from(state.pos).unwrap_or_default().min(ring);
        let end = state.rb_roundtrips.saturating_mul(ring).saturating_add(position);
        let len = end.saturating_sub(state.partial_pos_out) as usize;
        let start = (position as usize).saturating_sub(len);
        state.ringbuffer.slice().get(start..position as usize).unwrap_or_default()
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn memory(&self) -> usize {
        self.state.alloc_u8.bytes + self.state.alloc_u32.bytes + self.state.alloc_hc.bytes
    }
}
