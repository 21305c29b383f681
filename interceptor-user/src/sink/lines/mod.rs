//! Lines of JSON, to standard output or to a file that is rotated.

mod rotated;
#[cfg(test)]
mod tests;

use std::{
    io::{self, ErrorKind, Stdout, Write},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;

pub use self::rotated::Rotated;
use super::{
    Sink as _,
    delivery::{Attempt, Deliver},
    json::{self, JsonSink},
};
use crate::model::Record;

/// Where lines go.
enum To {
    Stdout(Stdout),
    File(Rotated),
    #[cfg(test)]
    Disk(tests::Disk),
}

impl To {
    /// Called before a batch of so many bytes, where no line is half written.
    fn prepare(&mut self, bytes: usize) -> io::Result<()> {
        if let Self::File(file) = self { file.prepare(bytes) } else { Ok(()) }
    }
}

impl Write for To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(stdout) => stdout.write(bytes),
            Self::File(file) => file.write(bytes),
            #[cfg(test)]
            Self::Disk(disk) => disk.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(stdout) => stdout.flush(),
            Self::File(file) => file.flush(),
            #[cfg(test)]
            Self::Disk(disk) => disk.flush(),
        }
    }
}

/// Writes a line for each record.
pub struct Lines {
    json: JsonSink<Vec<u8>>,
    to: To,
    /// The rest of a line of which the beginning is written: a disk was full in the middle of it.
    rest: Vec<u8>,
}

impl Lines {
    /// To standard output.
    pub fn to_stdout() -> Self {
        Self::new(To::Stdout(io::stdout()))
    }

    /// To this file, which is made or continued; see [`Rotated`].
    pub fn to_file(path: &Path, size: u64, files: u32) -> anyhow::Result<Self> {
        let file = Rotated::open(path, size, files).with_context(|| {
            format!("cannot write lines to {} (choose another file with --lines-to)", path.display())
        })?;
        Ok(Self::new(To::File(file)))
    }

    fn new(to: To) -> Self {
        Self { json: JsonSink::new(Vec::new(), json::Options::default()), to, rest: Vec::new() }
    }

    /// Has it a line of its own?
    pub fn wants(record: &Record) -> bool {
        match record {
            Record::Exchange(_) | Record::Drift(_) | Record::Edge(_) => true,
            Record::Flow(flow) => flow.unseen(),
            Record::Message(_) => false,
        }
    }

    fn write(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        if let Err(error) = self.write_rest() {
            return failed(batch, error);
        }
        let text = match self.text(&batch) {
            Ok(text) => text,
            Err(error) => return Attempt::refused(&batch, error),
        };
        if let Err(error) = self.to.prepare(text.len()) {
            return failed(batch, error);
        }
        let (written, result) = write_all(&mut self.to, &text);
        let Err(error) = result else { return Attempt::delivered(&batch) };
        self.cut(batch, &text, written, error)
    }

    fn text(&mut self, batch: &[Arc<Record>]) -> anyhow::Result<Vec<u8>> {
        for record in batch {
            self.json.record(record)?;
        }
        self.json.take_lines()
    }

    fn write_rest(&mut self) -> io::Result<()> {
        let (written, result) = write_all(&mut self.to, &self.rest);
        self.rest.drain(..written);
        result
    }

    /// So much of the text is written: whole lines are delivered, and so is one that was begun, whose rest comes first next
    /// time.
    fn cut(&mut self, mut batch: Vec<Arc<Record>>, text: &[u8], written: usize, error: io::Error) -> Attempt {
        let (done, left) = text.split_at(written);
        let mut lines = memchr::memchr_iter(b'\n', done).count();
        if done.last().is_some_and(|byte| *byte != b'\n') {
            let end = left.iter().position(|byte| *byte == b'\n').map_or(left.len(), |end| end + 1);
            self.rest = left.get(..end).unwrap_or_default().to_vec();
            lines += 1;
        }
        let left = batch.split_off(lines.min(batch.len()));
        Attempt { delivered: batch.len() as u64, ..failed(left, error) }
    }
}

/// Nobody reads it any more: that will not change. Anything else may.
fn failed(batch: Vec<Arc<Record>>, error: io::Error) -> Attempt {
    let gone = error.kind() == ErrorKind::BrokenPipe;
    let error = anyhow::Error::new(error).context("cannot write lines");
    if gone { Attempt::refused(&batch, error) } else { Attempt::later(batch, error) }
}

/// As [`Write::write_all`], and says how much was written.
fn write_all(to: &mut impl Write, text: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while let Some(left) = text.get(written..).filter(|left| !left.is_empty()) {
        match to.write(left) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, to.flush())
}

impl Deliver for Lines {
    async fn deliver(&mut self, batch: Vec<Arc<Record>>) -> Attempt {
        self.write(batch)
    }
}
