//! gzip (RFC 1952): members one after the other, each with a header, DEFLATE, and a checksum.

use flate2::{Crc, Decompress};

use super::{Sink, deflate::inflate};
use crate::model::Anomaly;

const FHCRC: u8 = 2;
const FEXTRA: u8 = 4;
const FNAME: u8 = 8;
const FCOMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Where in a member we are (RFC 1952 section 2.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// In the ten bytes that each has.
    #[default]
    Fixed,
    /// In the length of the extra field, and then in it.
    ExtraLength,
    Extra,
    Name,
    Comment,
    HeaderCrc,
    Body,
    Trailer,
    /// After a member: there is another one, or zeros, which some pad with.
    Between,
    Padding,
}

/// Removes the coding `gzip`.
#[derive(Debug)]
pub(super) struct Gzip {
    stream: Decompress,
    crc: Crc,
    stage: Stage,
    flags: u8,
    /// Bytes of the stage that were read, or are to come.
    count: u16,
    /// What the last bytes say as a number.
    number: u64,
}

impl Default for Gzip {
    fn default() -> Self {
        let stream = Decompress::new(false);
        Self { stream, crc: Crc::new(), stage: Stage::Fixed, flags: 0, count: 0, number: 0 }
    }
}

impl Gzip {
    pub(super) fn decode(&mut self, bytes: &[u8], out: Sink<'_>) -> Result<(), Anomaly> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            if self.stage != Stage::Body {
                self.byte(byte)?;
                rest = after;
                continue;
            }
            let crc = &mut self.crc;
            let ended = inflate(&mut self.stream, rest, &mut |bytes| {
                crc.update(bytes);
                out(bytes)
            })?;
            let Some(after) = ended else { return Ok(()) };
            self.enter(Stage::Trailer);
            rest = after;
        }
        Ok(())
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Between | Stage::Padding)
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.count, self.number) = (stage, 0, 0);
    }

    /// A byte around the body.
    fn byte(&mut self, byte: u8) -> Result<(), Anomaly> {
        let index = self.count;
        self.count = self.count.saturating_add(1);
        match self.stage {
            Stage::Fixed => return self.fixed(index, byte),
            Stage::ExtraLength => {
                self.number |= u64::from(byte) << (8 * index);
                if index == 1 {
                    let length = self.number;
                    self.enter(if length == 0 { self.after(FEXTRA) } else { Stage::Extra });
                    self.number = length;
                }
            }
            Stage::Extra if u64::from(self.count) == self.number => self.enter(self.after(FEXTRA)),
            Stage::Name if byte == 0 => self.enter(self.after(FNAME)),
            Stage::Comment if byte == 0 => self.enter(self.after(FCOMMENT)),
            Stage::HeaderCrc if index == 1 => self.enter(Stage::Body),
            Stage::Trailer => {
                self.number |= u64::from(byte) << (8 * index);
                if index == 7 {
                    return self.trailer();
                }
            }
            Stage::Between if byte != 0 => {
                self.enter(Stage::Fixed);
                return self.byte(byte);
            }
            Stage::Between => self.enter(Stage::Padding),
            Stage::Padding if byte != 0 => return Err(Anomaly::BadCoding),
            Stage::Extra | Stage::Name | Stage::Comment | Stage::HeaderCrc | Stage::Padding | Stage::Body => {}
        }
        Ok(())
    }

    fn fixed(&mut self, index: u16, byte: u8) -> Result<(), Anomaly> {
        match index {
            0..3 if MAGIC.get(usize::from(index)) != Some(&byte) => return Err(Anomaly::BadCoding),
            3 if byte & RESERVED != 0 => return Err(Anomaly::BadCoding),
            3 => self.flags = byte,
            9 => self.enter(self.after(0)),
            _ => {}
        }
        Ok(())
    }

    /// What comes after the header's part of this flag; they are in the order of the table.
    fn after(&self, flag: u8) -> Stage {
        let parts = [(FEXTRA, Stage::ExtraLength), (FNAME, Stage::Name), (FCOMMENT, Stage::Comment)];
        let next = parts.into_iter().find(|(part, _)| *part > flag && self.flags & part != 0);
        let last = if self.flags & FHCRC != 0 { Stage::HeaderCrc } else { Stage::Body };
        next.map_or(last, |(_, stage)| stage)
    }

    /// Checksum and length of what came out.
    fn trailer(&mut self) -> Result<(), Anomaly> {
        let right = u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum());
        if self.number != right {
            return Err(Anomaly::BadCoding);
        }
        self.stream.reset(false);
        self.crc.reset();
        self.enter(Stage::Between);
        Ok(())
    }
}
