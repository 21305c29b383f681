//! Snappy, of messages: as one block, or framed. gRPC says no more than `snappy`; implementations do either.

use std::io::Read as _;

use super::Sink;
use crate::model::Anomaly;

/// The frame that framed Snappy begins with (framing format, section 4.1).
const STREAM_IDENTIFIER: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Decoded bytes of a frame (framing format, section 4.2).
const FRAME: usize = 64 * 1024;
/// A block is decoded into memory: that may be so many times what may be buffered of a message. The coding itself gives
/// 21 bytes at most for one.
const BLOCK_GROWTH: u64 = 4;

/// Decodes one message to no more than `most` bytes.
pub(super) fn decode(coded: &[u8], most: u64, buffered: usize, out: Sink<'_>) -> Result<(), Anomaly> {
    if coded.starts_with(STREAM_IDENTIFIER) { framed(coded, most, out) } else { block(coded, most, buffered, out) }
}

fn block(coded: &[u8], most: u64, buffered: usize, out: Sink<'_>) -> Result<(), Anomaly> {
    let len = snap::raw::decompress_len(coded).map_err(|_| Anomaly::BadCoding)? as u64;
    if len > most.min(BLOCK_GROWTH.saturating_mul(buffered as u64)) {
        return Err(Anomaly::ContentLimit);
    }
    let decoded = snap::raw::Decoder::new().decompress_vec(coded).map_err(|_| Anomaly::BadCoding)?;
    out(&decoded)
}

fn framed(coded: &[u8], most: u64, out: Sink<'_>) -> Result<(), Anomaly> {
    let mut frames = snap::read::FrameDecoder::new(coded);
    let mut buffer = vec![0; FRAME];
    let mut left = most;
    loop {
        let len = frames.read(&mut buffer).map_err(|_| Anomaly::BadCoding)?;
        if len == 0 {
            return Ok(());
        }
        let allowed = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        out(buffer.get(..allowed).unwrap_or_default())?;
        left -= allowed as u64;
        if allowed < len {
            return Err(Anomaly::ContentLimit);
        }
    }
}
