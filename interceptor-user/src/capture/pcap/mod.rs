//! Capture files: pcap and pcapng, plain or compressed with gzip or zstd, from a file or standard input.

mod format;
mod input;
mod patient;
#[cfg(test)]
mod tests;

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::fcntl::OFlag;

use self::{
    format::{Packet, Reader, Step},
    input::Input,
    patient::Patient,
};
use super::{
    Polled, Source,
    packet::{self, PacketStats},
};
use crate::model::{Event, Timestamp};

/// Records that one [`PcapSource::poll`] reads at the most.
const BATCH: usize = 512;

/// What a capture file held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PcapStats {
    /// Its packets, by what became of them.
    pub packets: PacketStats,
    /// The file ends within a record: the capture tool was stopped, or the copy was.
    pub truncated: bool,
    /// Where the file stops making sense, and why; nothing after it was read.
    pub damaged: Option<(u64, String)>,
}

/// A [`Source`] that reads one capture file.
pub struct PcapSource {
    path: PathBuf,
    input: Input,
    reader: Reader,
    stats: PcapStats,
    now: Timestamp,
    over: bool,
}

impl PcapSource {
    /// Opens a capture file, or standard input for `-`; refuses what is none. Where it is a pipe, `stop` ends it.
    pub fn open(path: impl AsRef<Path>, stop: &Arc<AtomicBool>) -> anyhow::Result<Self> {
        let path = path.as_ref();
        let patient = |reader: File| Patient { reader, stop: Arc::clone(stop) };
        if path.as_os_str() == "-" {
            // Not `io::stdin`, which has a buffer of its own.
            let stdin = io::stdin().as_fd().try_clone_to_owned().context("cannot read standard input")?;
            return Self::read("standard input", patient(stdin.into()));
        }
        // Or a named pipe would not open before it has a writer.
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
        let file = file.with_context(|| format!("cannot open the capture file {}", path.display()))?;
        if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            bail!("{} is a directory; name the capture files in it", path.display());
        }
        Self::read(path, patient(file))
    }

    /// Reads a capture from `reader`; `name` is what messages call it.
    pub fn read(name: impl AsRef<Path>, reader: impl Read + 'static) -> anyhow::Result<Self> {
        let path = name.as_ref().to_path_buf();
        let mut input = Input::new(reader).with_context(|| format!("cannot read {}", path.display()))?;
        input.need(4).with_context(|| format!("cannot read {}", path.display()))?;
        let start = input.window();
        if !Reader::knows(start) {
            bail!("{} is no capture file: {}", path.display(), describe(start));
        }
        let (reader, stats) = (Reader::default(), PcapStats::default());
        Ok(Self { path, input, reader, stats, now: Timestamp::default(), over: false })
    }

    /// What was read so far.
    pub const fn stats(&self) -> &PcapStats {
        &self.stats
    }

    /// What it reads.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn batch(&mut self, take: &mut impl FnMut(Event<'_>)) -> io::Result<()> {
        for number in 0..BATCH {
            let window = self.input.window();
            match self.reader.step(window) {
                // More may be long in coming (from a pipe): what is here is shown first.
                Step::Skip(len) | Step::Need(len) if number > 0 && len > window.len() => return Ok(()),
                Step::Packet { used, packet: Packet { time, link, data, wire_len } } => {
                    self.now = time;
                    let data = window.get(data).unwrap_or_default();
                    match link {
                        Some(link) => {
                            let segment = packet::segment(link, data, wire_len, time, &mut self.stats.packets);
                            if let Some(segment) = segment {
                                take(Event::Segment(segment));
                            }
                        }
                        None => self.stats.packets.unknown_link += 1,
                    }
                    self.input.advance(used);
                }
                Step::Skip(len) if self.input.skip(len)? => {}
                Step::Need(len) if self.input.need(len)? => {}
                step @ (Step::Skip(_) | Step::Need(_)) => {
                    // Between two records is where a file may end.
                    self.stats.truncated = matches!(step, Step::Skip(_)) || !self.input.window().is_empty();
                    self.over = true;
                    return Ok(());
                }
                Step::Damaged(why) => {
                    self.stats.damaged = Some((self.input.offset(), why.into()));
                    self.over = true;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl Source for PcapSource {
    fn poll<F: FnMut(Event<'_>)>(&mut self, _timeout: Duration, mut take: F) -> anyhow::Result<Polled> {
        if self.over {
            return Ok(Polled::End);
        }
        if let Err(error) = self.batch(&mut take) {
            // Compressed files that were cut short, or a disk that fails: what was read so far counts.
            self.over = true;
            match error.kind() {
                io::ErrorKind::UnexpectedEof => self.stats.truncated = true,
                _ => self.stats.damaged = Some((self.input.offset(), error.to_string())),
            }
        }
        if self.stats.truncated {
            tracing::warn!(file = %self.path.display(), "the capture file ends within a record; all before it was read");
        }
        if let Some((offset, why)) = &self.stats.damaged {
            tracing::warn!(file = %self.path.display(), offset, why, "the capture file is damaged; all before it was read");
        }
        Ok(Polled::Events { now: self.now })
    }
}

/// What a file that is no capture begins with.
fn describe(start: &[u8]) -> String {
    let what = match start {
        [] => return "it is empty".into(),
        [0x34 | 0x4d, 0xcd | 0x3c, 0xb2, 0xa1] | [0xa1, 0xb2, 0xcd | 0x3c, 0x34 | 0x4d] => {
            "a variant of pcap that is not read (convert it with 'editcap -F pcapng')"
        }
        [b'B', b'Z', b'h', ..] => "it is compressed with bzip2 (gzip and zstd are read; uncompress it first)",
        [0xfd, b'7', b'z', b'X', ..] => "it is compressed with xz (gzip and zstd are read; uncompress it first)",
        [b'P', b'K', ..] => "it is a ZIP archive (uncompress it first)",
        [0x04, 0x22, 0x4d, 0x18, ..] => "it is compressed with lz4 (gzip and zstd are read; uncompress it first)",
        [0x7f, b'E', b'L', b'F', ..] => "it is a program",
        [b's', b'n', b'o', b'o', ..] => "it is a snoop file (convert it with 'editcap -F pcapng')",
        text if text.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace()) => "it is text",
        _ => "its first bytes are those of no format that is read (pcap, pcapng; plain, gzip or zstd)",
    };
    let hex: Vec<String> = start.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{what}; it begins with {}", hex.join(" "))
}
