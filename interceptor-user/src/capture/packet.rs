//! Packets of capture files: from the link layer to a TCP segment, without copying.
//!
//! Packets that cannot be read are counted by reason and passed over. What is read is bounded by what was captured;
//! how long the payload was on the wire comes from the IP header.

use crate::model::{Endpoint, LossReason, Segment, TcpFlags, Timestamp};

/// VLAN tags, or IPv6 extension headers, that one packet may have.
const NESTED_MAX: usize = 8;
const TCP: u8 = 6;

/// What a packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Ethernet, VLAN tags included.
    Ethernet,
    /// An IP header.
    Ip,
    /// `tcpdump -i any`, version 1.
    Cooked,
    /// `tcpdump -i any`, version 2.
    Cooked2,
    /// BSD loopback: four bytes, then an IP header.
    Loopback,
}

impl Link {
    /// From a capture file's link type (`LINKTYPE_*` of the tcpdump group's list).
    pub const fn from_type(link_type: u32) -> Option<Self> {
        Some(match link_type {
            1 => Self::Ethernet,
            // 12 and 14 are what some systems call raw IP (DLT_RAW).
            12 | 14 | 101 | 228 | 229 => Self::Ip,
            113 => Self::Cooked,
            276 => Self::Cooked2,
            0 | 108 => Self::Loopback,
            _ => return None,
        })
    }
}

/// Packets, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketStats {
    /// Became segments.
    pub segments: u64,
    /// Neither IPv4 nor IPv6.
    pub not_ip: u64,
    /// IP, and not TCP.
    pub not_tcp: u64,
    /// IP fragments: they have no ports, or not all of their payload.
    pub fragments: u64,
    /// So little was captured that the headers are not whole.
    pub headers_cut: u64,
    /// Headers that contradict themselves.
    pub malformed: u64,
    /// Of a link type that we cannot read.
    pub unknown_link: u64,
}

/// Why a packet is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Not {
    Ip,
    Tcp,
    Whole,
    Cut,
    Formed,
}

impl PacketStats {
    const fn count(&mut self, not: Not) {
        let counter = match not {
            Not::Ip => &mut self.not_ip,
            Not::Tcp => &mut self.not_tcp,
            Not::Whole => &mut self.fragments,
            Not::Cut => &mut self.headers_cut,
            Not::Formed => &mut self.malformed,
        };
        *counter += 1;
    }
}

/// Reads a packet of which `packet` was captured and that had `wire_len` bytes; counts it in `stats`.
#[inline]
pub fn segment<'a>(
    link: Link,
    packet: &'a [u8],
    wire_len: u32,
    time: Timestamp,
    stats: &mut PacketStats,
) -> Option<Segment<'a>> {
    match read(link, packet, wire_len, time) {
        Ok(segment) => {
            stats.segments += 1;
            Some(segment)
        }
        Err(not) => {
            stats.count(not);
            None
        }
    }
}

fn read(link: Link, packet: &[u8], wire_len: u32, time: Timestamp) -> Result<Segment<'_>, Not> {
    let (header, interface) = link_header(link, packet)?;
    let ip = packet.get(header..).ok_or(Not::Cut)?;
    // What is left on the wire: for packets whose IP header does not say (segmentation offload, jumbograms).
    let left = (wire_len as usize).max(packet.len()) - header;
    let Network { source, destination, header, len } = match ip.first().ok_or(Not::Cut)? >> 4 {
        4 => ipv4(ip, left)?,
        6 => ipv6(ip, left)?,
        _ => return Err(Not::Ip),
    };
    let tcp: &[u8; 20] = bytes(ip, header)?;
    let payload = header + usize::from(tcp[12] >> 4) * 4;
    if tcp[12] >> 4 < 5 || payload > len {
        return Err(Not::Formed);
    }
    let wire_len = (len - payload) as u32;
    // A link layer's padding is no payload; payload beyond the snap length is not here.
    let payload = ip.get(payload..len.min(ip.len())).unwrap_or_default();
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
    Ok(Segment {
        time,
        zone: 0,
        source: Endpoint::from_mapped(source, port(0)),
        destination: Endpoint::from_mapped(destination, port(2)),
        seq: number(4),
        ack: number(8),
        flags: TcpFlags(tcp[13]),
        window: u16::from_be_bytes([tcp[14], tcp[15]]),
        payload,
        wire_len,
        cut: ((payload.len() as u32) < wire_len).then_some(LossReason::PayloadLimit),
        socket: None,
        interface,
    })
}

/// Where the IP header starts, and the interface index if there is one.
fn link_header(link: Link, packet: &[u8]) -> Result<(usize, u32), Not> {
    match link {
        Link::Ip => Ok((0, 0)),
        Link::Loopback => Ok((4, 0)),
        Link::Ethernet => Ok((ether_type(packet, 12)?, 0)),
        Link::Cooked => Ok((ether_type(packet, 14)?, 0)),
        Link::Cooked2 => {
            let interface = u32::from_be_bytes(*bytes(packet, 4)?);
            // The protocol comes first here; tags still lie between the header and the network layer.
            let header = match u16::from_be_bytes(*bytes(packet, 0)?) {
                0x0800 | 0x86dd => 20,
                tag if is_vlan(tag) => ether_type(packet, 22)?,
                _ => return Err(Not::Ip),
            };
            Ok((header, interface))
        }
    }
}

/// Follows VLAN tags from the EtherType at `at`; where the IP header starts.
fn ether_type(packet: &[u8], mut at: usize) -> Result<usize, Not> {
    for _ in 0..=NESTED_MAX {
        match u16::from_be_bytes(*bytes(packet, at)?) {
            0x0800 | 0x86dd => return Ok(at + 2),
            tag if is_vlan(tag) => at += 4,
            _ => return Err(Not::Ip),
        }
    }
    Err(Not::Formed)
}

/// IEEE 802.1Q, 802.1ad, and what was used before that.
const fn is_vlan(ether_type: u16) -> bool {
    matches!(ether_type, 0x8100 | 0x88a8 | 0x9100 | 0x9200)
}

struct Network {
    source: [u8; 16],
    destination: [u8; 16],
    /// Length of the headers: where TCP starts.
    header: usize,
    /// Length of the IP packet on the wire.
    len: usize,
}

/// RFC 791 section 3.1.
fn ipv4(ip: &[u8], left: usize) -> Result<Network, Not> {
    let fixed: &[u8; 20] = bytes(ip, 0)?;
    let header = usize::from(fixed[0] & 15) * 4;
    // Zero: captured before the card cut it, or too long for the field.
    let len = match usize::from(u16::from_be_bytes([fixed[2], fixed[3]])) {
        0 => left,
        len => len,
    };
    if header < 20 || len < header {
        return Err(Not::Formed);
    }
    if fixed[9] != TCP {
        return Err(Not::Tcp);
    }
    if u16::from_be_bytes([fixed[6], fixed[7]]) & 0x3fff != 0 {
        return Err(Not::Whole);
    }
    let mapped = |at: usize| {
        let mut address = [0; 16];
        address[10..12].fill(0xff);
        address[12..].copy_from_slice(&fixed[at..at + 4]);
        address
    };
    Ok(Network { source: mapped(12), destination: mapped(16), header, len })
}

/// RFC 8200 sections 3 and 4, RFC 2675 for packets over 64 KiB.
fn ipv6(ip: &[u8], left: usize) -> Result<Network, Not> {
    let fixed: &[u8; 40] = bytes(ip, 0)?;
    let mut len = match usize::from(u16::from_be_bytes([fixed[4], fixed[5]])) {
        0 => left,
        len => len + 40,
    };
    let (mut header, mut next) = (40, fixed[6]);
    for _ in 0..=NESTED_MAX {
        if next == TCP {
            if header > len {
                return Err(Not::Formed);
            }
            let address = |at: usize| bytes(ip, at).copied();
            return Ok(Network { source: address(8)?, destination: address(24)?, header, len });
        }
        let &[following, size] = match next {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6, authentication, fragment.
            0 | 43 | 60 | 135 | 139 | 140 | 51 | 44 => bytes(ip, header)?,
            _ => return Err(Not::Tcp),
        };
        let size = match next {
            51 => (usize::from(size) + 2) * 4,
            44 => 8,
            _ => (usize::from(size) + 1) * 8,
        };
        if next == 44 {
            let &[high, low] = bytes(ip, header + 2)?;
            // Neither an offset nor more to come: a whole packet in one fragment (RFC 6946).
            if u16::from_be_bytes([high, low]) & 0xfff9 != 0 {
                return Err(if following == TCP { Not::Whole } else { Not::Tcp });
            }
        }
        if next == 0 && fixed[4..6] == [0, 0] {
            // The jumbo payload option, which Linux puts first (RFC 2675 section 2).
            if let Ok(&[0xc2, 4, a, b, c, d]) = bytes(ip, header + 2) {
                len = u32::from_be_bytes([a, b, c, d]) as usize + 40;
            }
        }
        (header, next) = (header + size, following);
    }
    Err(Not::Formed)
}

/// `N` bytes at `at`, if they were captured.
fn bytes<const N: usize>(of: &[u8], at: usize) -> Result<&[u8; N], Not> {
    of.get(at..).and_then(<[u8]>::first_chunk).ok_or(Not::Cut)
}

#[cfg(test)]
mod tests;
