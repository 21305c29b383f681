use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{
    BlockDecodingStrategy, FrameDecoder,
    errors::{FrameDecoderError, ReadFrameHeaderError},
};

/// Bytes that are read at once: few enough to stay in a core's own cache, many enough that the call costs nothing.
const BLOCK: usize = 256 << 10;
/// Compressed data may ask for this much memory to look back in (zstd's own default for its tool is 128 MiB).
const ZSTD_WINDOW_MAX: u64 = 128 << 20;

/// A file's bytes as a window that moves on. It grows to the largest record and no further.
pub(super) struct Input {
    reader: Box<dyn Read>,
    buffer: Vec<u8>,
    from: usize,
    to: usize,
    /// Offset of the window in the (uncompressed) file.
    offset: u64,
}

impl Input {
    /// Reads `reader`, uncompressing what is compressed.
    pub(super) fn new(reader: impl Read + 'static) -> io::Result<Self> {
        let mut reader = BufReader::with_capacity(BLOCK, reader);
        let start = reader.fill_buf()?;
        let reader: Box<dyn Read> = match start {
            [0x1f, 0x8b, ..] => Box::new(MultiGzDecoder::new(reader)),
            // A frame, or a frame to skip (RFC 8878 section 3.1).
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Box::new(Zstd::new(reader)),
            // `BufReader` passes reads as large as ours through once its first block is used up.
            _ => Box::new(reader),
        };
        Ok(Self { reader, buffer: Vec::new(), from: 0, to: 0, offset: 0 })
    }

    /// What was read and not used.
    #[inline]
    pub(super) fn window(&self) -> &[u8] {
        self.buffer.get(self.from..self.to).unwrap_or_default()
    }

    /// Where the window lies in the file.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    /// The first `used` bytes of the window are done with.
    #[inline]
    pub(super) fn advance(&mut self, used: usize) {
        let used = used.min(self.to - self.from);
        self.from += used;
        self.offset += used as u64;
    }

    /// Makes the window at least `len` bytes long; false if the file ends before.
    pub(super) fn need(&mut self, len: usize) -> io::Result<bool> {
        if self.to - self.from >= len {
            return Ok(true);
        }
        self.buffer.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        if self.buffer.len() < len.max(BLOCK) {
            self.buffer.resize(len.max(BLOCK), 0);
        }
        while self.to < len {
            match self.reader.read(&mut self.buffer[self.to..]) {
                Ok(0) => return Ok(false),
                Ok(read) => self.to += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Passes over `len` bytes, however many; false if the file ends before.
    pub(super) fn skip(&mut self, mut len: usize) -> io::Result<bool> {
        loop {
            let here = len.min(self.to - self.from);
            self.advance(here);
            len -= here;
            if len == 0 {
                return Ok(true);
            }
            if !self.need(1)? {
                return Ok(false);
            }
        }
    }
}

/// All frames of a zstd file, one after the other (ruzstd's own reader reads one).
struct Zstd<R: BufRead> {
    reader: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(reader: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_MAX);
        Self { reader, decoder, in_frame: false }
    }

    /// Starts the next frame, if there is one.
    fn start_frame(&mut self) -> io::Result<()> {
        match self.decoder.reset(&mut self.reader) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                io::copy(&mut self.reader.by_ref().take(u64::from(length)), &mut io::sink())?;
            }
            Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if self.reader.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.start_frame()?;
                continue;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(to);
            }
            if self.decoder.is_finished() {
                self.in_frame = false;
                continue;
            }
            self.decoder
                .decode_blocks(&mut self.reader, BlockDecodingStrategy::UptoBlocks(1))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}
