use std::io::{ErrorKind, Write};

use anyhow::Context as _;

use super::Stop;

/// Enough lines for one system call not to matter.
const FULL: usize = 64 * 1024;

/// A buffer in front of a writer. A reader that is gone ends the sink and is no error.
pub(super) struct Output<W> {
    to: W,
    buffer: Vec<u8>,
}

impl<W: Write> Output<W> {
    pub(super) const fn new(to: W) -> Self {
        Self { to, buffer: Vec::new() }
    }

    /// Where the next line goes.
    pub(super) const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    pub(super) fn end_line(&mut self) -> anyhow::Result<()> {
        self.buffer.push(b'\n');
        self.end_block()
    }

    /// As [`Self::end_line`], where nothing marks the end.
    pub(super) fn end_block(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() >= FULL { self.write() } else { Ok(()) }
    }

    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        if !self.buffer.is_empty() {
            self.write()?;
        }
        Ok(())
    }

    /// What it wrote to, to take something out.
    pub(super) const fn to(&mut self) -> &mut W {
        &mut self.to
    }

    fn write(&mut self) -> anyhow::Result<()> {
        let written = self.to.write_all(&self.buffer).and_then(|()| self.to.flush());
        self.buffer.clear();
        // One large body must not hold its memory for good.
        self.buffer.shrink_to(2 * FULL);
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Stop.into()),
            other => other.context("cannot write the output"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    struct Gone(ErrorKind);

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_a_clean_end_and_a_full_disk_is_not() {
        let result = |kind| {
            let mut out = Output::new(Gone(kind));
            out.buffer().extend_from_slice(b"line");
            out.end_line().expect("still buffered");
            out.flush().expect_err("cannot be written")
        };
        assert!(result(ErrorKind::BrokenPipe).is::<Stop>());
        let full = result(ErrorKind::StorageFull);
        assert!(!full.is::<Stop>());
        assert!(format!("{full:#}").starts_with("cannot write the output: "), "{full:#}");
    }

    #[test]
    fn lines_wait_for_a_flush_or_a_full_buffer() {
        let mut written = Vec::new();
        let mut out = Output::new(&mut written);
        out.buffer().extend_from_slice(b"one");
        out.end_line().expect("buffered");
        assert!(out.to.is_empty());
        out.flush().expect("written");
        assert_eq!(out.to, b"one\n");
        out.buffer().resize(FULL, b'x');
        out.end_line().expect("written");
        assert_eq!(out.to.len(), 4 + FULL + 1);
    }
}
