//! Capture file formats: pcap and pcapng, as a machine that is given bytes and says what they are.
//!
//! `draft-ietf-opsawg-pcap` and `draft-ietf-opsawg-pcapng`; byte order and time resolution are those of each file,
//! section and interface.

use std::ops::Range;

use crate::{capture::packet::Link, model::Timestamp};

/// Larger records are not believed: the largest packets that Linux makes are half a mebibyte.
const RECORD_MAX: u32 = 16 << 20;
/// Interfaces of one section that are remembered; packets of others count as of unknown link type.
const INTERFACES_MAX: usize = 4096;

/// What the next bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// At least this many bytes are needed to tell.
    Need(usize),
    /// That many bytes hold nothing for us.
    Skip(usize),
    /// A packet; `used` bytes are done with it.
    Packet { used: usize, packet: Packet },
    /// The file makes no sense from here on.
    Damaged(&'static str),
}

/// Where a packet lies, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) time: Timestamp,
    /// `None`: a link type that we cannot read.
    pub(super) link: Option<Link>,
    /// Where in the bytes given it lies.
    pub(super) data: Range<usize>,
    pub(super) wire_len: u32,
}

/// How a file's numbers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(self, bytes: &[u8], at: usize) -> Option<u64> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(if self == Self::Little { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }
}

/// What a tick of an interface's clock is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resolution {
    /// 10^-n seconds.
    Decimal(u8),
    /// 2^-n seconds.
    Binary(u8),
}

impl Resolution {
    fn nanos(self, ticks: u64) -> u64 {
        let nanos = match self {
            Self::Decimal(power @ 0..=9) => u128::from(ticks) * 10_u128.pow(u32::from(9 - power)),
            Self::Decimal(power) => {
                10_u128.checked_pow(u32::from(power - 9)).map_or(0, |unit| u128::from(ticks) / unit)
            }
            Self::Binary(power) => (u128::from(ticks) * 1_000_000_000).checked_shr(u32::from(power)).unwrap_or(0),
        };
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: Option<Link>,
    resolution: Resolution,
    /// Seconds to add to each time.
    offset: i64,
    snap: u32,
}

/// What kind of file it is.
enum Format {
    /// The older format: one header, then packets.
    Pcap { order: Order, link: Option<Link>, nanos: bool },
    /// The newer one: blocks.
    Pcapng { order: Order, interfaces: Vec<Interface>, last: Timestamp },
}

/// Reads one capture file, or several of them one behind the other.
#[derive(Default)]
pub(super) struct Reader {
    format: Option<Format>,
}

impl Reader {
    /// Could a capture file start like this?
    pub(super) fn knows(start: &[u8]) -> bool {
        matches!(start.first_chunk(), Some(&[0x0a, 0x0d, 0x0d, 0x0a])) || pcap_magic(start).is_some()
    }

    /// Says what `bytes`, the next ones of the file, are.
    #[inline]
    pub(super) fn step(&mut self, bytes: &[u8]) -> Step {
        match &mut self.format {
            Some(Format::Pcap { order, link, nanos }) => pcap_record(*order, *link, *nanos, bytes),
            Some(Format::Pcapng { order, interfaces, last }) => match block(*order, interfaces, last, bytes) {
                Block::Step(step) => step,
                Block::Section => self.section(bytes),
            },
            None => self.start(bytes),
        }
    }

    fn start(&mut self, bytes: &[u8]) -> Step {
        if bytes.len() < 4 {
            return Step::Need(4);
        }
        let Some((order, nanos)) = pcap_magic(bytes) else { return self.section(bytes) };
        // The file header: magic, version (2 * 2), reserved (2 * 4), snap length, link type.
        let Some(link_type) = order.u32(bytes, 20) else { return Step::Need(24) };
        // The upper bits say how long the frame check sequence is.
        self.format = Some(Format::Pcap { order, link: Link::from_type(link_type & 0xffff), nanos });
        Step::Skip(24)
    }

    /// A section header block: from here on numbers may lie the other way round, and interfaces start anew.
    fn section(&mut self, bytes: &[u8]) -> Step {
        let Some(magic) = bytes.get(8..12) else { return Step::Need(12) };
        let order = match magic {
            [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
            [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
            _ => return Step::Damaged("a section header without a byte order"),
        };
        let length = match length(order, bytes, 28) {
            Ok(length) => length,
            Err(step) => return step,
        };
        self.format = Some(Format::Pcapng { order, interfaces: Vec::new(), last: Timestamp::default() });
        Step::Skip(length)
    }
}

/// Byte order, and whether times are in nanoseconds.
fn pcap_magic(bytes: &[u8]) -> Option<(Order, bool)> {
    Some(match *bytes.first_chunk()? {
        [0xd4, 0xc3, 0xb2, 0xa1] => (Order::Little, false),
        [0xa1, 0xb2, 0xc3, 0xd4] => (Order::Big, false),
        [0x4d, 0x3c, 0xb2, 0xa1] => (Order::Little, true),
        [0xa1, 0xb2, 0x3c, 0x4d] => (Order::Big, true),
        _ => return None,
    })
}

/// Time (2 * 4), captured length, original length, data.
#[inline]
fn pcap_record(order: Order, link: Option<Link>, nanos: bool, bytes: &[u8]) -> Step {
    let (Some(seconds), Some(fraction), Some(captured), Some(wire_len)) =
        (order.u32(bytes, 0), order.u32(bytes, 4), order.u32(bytes, 8), order.u32(bytes, 12))
    else {
        return Step::Need(16);
    };
    if captured > RECORD_MAX {
        return Step::Damaged("a packet longer than packets can be");
    }
    let used = 16 + captured as usize;
    if bytes.len() < used {
        return Step::Need(used);
    }
    let fraction = u64::from(fraction) * if nanos { 1 } else { 1000 };
    let time = Timestamp::from_nanos(u64::from(seconds) * 1_000_000_000 + fraction);
    Step::Packet { used, packet: Packet { time, link, data: 16..used, wire_len } }
}

enum Block {
    Step(Step),
    /// A new section starts.
    Section,
}

/// Total length of the block that `bytes` start with, at least `least`.
fn length(order: Order, bytes: &[u8], least: usize) -> Result<usize, Step> {
    let length = order.u32(bytes, 4).ok_or(Step::Need(8))? as usize;
    // Lengths are multiples of four; some writers forget the padding, not the length.
    if length < least {
        return Err(Step::Damaged("a block shorter than its header"));
    }
    Ok(length.next_multiple_of(4))
}

/// Type, total length, body, total length again.
fn block(order: Order, interfaces: &mut Vec<Interface>, last: &mut Timestamp, bytes: &[u8]) -> Block {
    let Some(kind) = order.u32(bytes, 0) else { return Block::Step(Step::Need(4)) };
    if kind == 0x0a0d_0d0a {
        return Block::Section;
    }
    let length = match length(order, bytes, 12) {
        Ok(length) => length,
        Err(step) => return Block::Step(step),
    };
    if !matches!(kind, 1 | 2 | 3 | 6) {
        return Block::Step(Step::Skip(length));
    }
    if length > RECORD_MAX as usize {
        return Block::Step(Step::Damaged("a block longer than packets can be"));
    }
    // With the length at its end, or the next block would be looked for too early.
    let Some(body) = bytes.get(..length).and_then(|whole| whole.get(8..length - 4)) else {
        return Block::Step(Step::Need(length));
    };
    let packet = match kind {
        1 => {
            if interfaces.len() < INTERFACES_MAX {
                interfaces.extend(interface(order, body));
            }
            return Block::Step(Step::Skip(length));
        }
        2 => order.u16(body, 0).and_then(|id| packet(order, interfaces.get(usize::from(id)), body, 20)),
        3 => simple_packet(order, interfaces.first(), *last, body),
        _ => order.u32(body, 0).and_then(|id| packet(order, interfaces.get(id as usize), body, 20)),
    };
    Block::Step(match packet {
        Some(packet) => {
            *last = packet.time;
            let data = packet.data.start + 8..packet.data.end + 8;
            Step::Packet { used: length, packet: Packet { data, ..packet } }
        }
        None => Step::Damaged("a packet longer than its block"),
    })
}

/// Link type, reserved, snap length, options.
fn interface(order: Order, body: &[u8]) -> Option<Interface> {
    let link = Link::from_type(u32::from(order.u16(body, 0)?));
    let mut interface = Interface { link, resolution: Resolution::Decimal(6), offset: 0, snap: order.u32(body, 4)? };
    let mut at = 8;
    while let (Some(code @ 1..), Some(len)) = (order.u16(body, at), order.u16(body, at + 2)) {
        let len = usize::from(len);
        let value = body.get(at + 4..at + 4 + len).unwrap_or_default();
        match (code, value) {
            (9, &[power]) if power & 0x80 != 0 => interface.resolution = Resolution::Binary(power & 0x7f),
            (9, &[power]) => interface.resolution = Resolution::Decimal(power),
            (14, value) => interface.offset = order.u64(value, 0).map_or(0, u64::cast_signed),
            _ => {}
        }
        at += 4 + len.next_multiple_of(4);
    }
    Some(interface)
}

/// Interface (and drops), time (2 * 4), captured length, original length, data from `start`.
fn packet(order: Order, interface: Option<&Interface>, body: &[u8], start: usize) -> Option<Packet> {
    let (high, low) = (order.u32(body, 4)?, order.u32(body, 8)?);
    let (captured, wire_len) = (order.u32(body, 12)? as usize, order.u32(body, 16)?);
    let ticks = u64::from(high) << 32 | u64::from(low);
    let data = start..start.checked_add(captured).filter(|&end| end <= body.len())?;
    let Some(interface) = interface else {
        return Some(Packet { time: Timestamp::default(), link: None, data, wire_len });
    };
    let nanos = i128::from(interface.resolution.nanos(ticks)) + i128::from(interface.offset) * 1_000_000_000;
    let time = Timestamp::from_nanos(u64::try_from(nanos.max(0)).unwrap_or(u64::MAX));
    Some(Packet { time, link: interface.link, data, wire_len })
}

/// Original length, data. It has no time of its own; it gets that of the packet before.
fn simple_packet(order: Order, interface: Option<&Interface>, last: Timestamp, body: &[u8]) -> Option<Packet> {
    let wire_len = order.u32(body, 0)?;
    let snap = interface.map_or(0, |interface| interface.snap);
    let captured = if snap == 0 { wire_len } else { wire_len.min(snap) } as usize;
    let end = 4 + captured.min(body.len() - 4);
    Some(Packet { time: last, link: interface.and_then(|interface| interface.link), data: 4..end, wire_len })
}
