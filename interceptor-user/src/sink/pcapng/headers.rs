//! The headers that a segment's packet had, as far as the capture kept them: addresses, numbers and flags are the segment's
//! own, the rest is made up.

use std::net::IpAddr;

use crate::model::{Endpoint, TcpFlags};

const IPV4: usize = 20;
const TCP: usize = 20;
/// Payload of one packet at the most: its length, and in IPv4 that of both headers with it, has 16 bits.
pub(super) const PAYLOAD_MAX: usize = u16::MAX as usize - IPV4 - TCP;

const TCP_PROTOCOL: u8 = 6;
const HOPS: u8 = 64;
const DONT_FRAGMENT: u16 = 0x4000;

/// What is known of a packet.
#[derive(Clone, Copy)]
pub(super) struct Headers {
    pub(super) source: Endpoint,
    pub(super) destination: Endpoint,
    pub(super) seq: u32,
    pub(super) ack: u32,
    pub(super) flags: TcpFlags,
    /// As it was, though the SYN's options, and so its scale, are not kept: Wireshark takes it as unknown.
    pub(super) window: u16,
}

impl Headers {
    /// Writes both headers of a packet with so much payload on the wire, of which `payload` is there. The checksum is right
    /// if all of it is.
    pub(super) fn write(&self, out: &mut Vec<u8>, payload: &[u8], payload_len: usize) {
        out.clear();
        let len = TCP + payload_len;
        // Of both addresses, the protocol and the length (RFC 9293 section 3.1).
        let mut sum = u64::from(TCP_PROTOCOL) + len as u64;
        if let (IpAddr::V4(source), IpAddr::V4(destination)) = (self.source.ip(), self.destination.ip()) {
            let addresses = [source.octets(), destination.octets()].concat();
            sum += words(&addresses);
            ipv4(out, (IPV4 + len) as u16, &addresses);
        } else {
            let addresses = [self.source.mapped(), self.destination.mapped()].concat();
            sum += words(&addresses);
            ipv6(out, len as u16, &addresses);
        }
        let tcp = out.len();
        out.extend_from_slice(&self.source.port().to_be_bytes());
        out.extend_from_slice(&self.destination.port().to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
        out.extend_from_slice(&self.ack.to_be_bytes());
        out.extend_from_slice(&[((TCP / 4) << 4) as u8, self.flags.0]);
        out.extend_from_slice(&self.window.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        let checksum = checksum(sum + words(&out[tcp..]) + words(payload));
        out[tcp + 16..tcp + 18].copy_from_slice(&checksum);
    }
}

fn ipv4(out: &mut Vec<u8>, len: u16, addresses: &[u8]) {
    let [high, low] = len.to_be_bytes();
    let [fragment, offset] = DONT_FRAGMENT.to_be_bytes();
    let start = out.len();
    out.extend_from_slice(&[0x45, 0, high, low, 0, 0, fragment, offset, HOPS, TCP_PROTOCOL, 0, 0]);
    out.extend_from_slice(addresses);
    let checksum = checksum(words(&out[start..]));
    out[start + 10..start + 12].copy_from_slice(&checksum);
}

fn ipv6(out: &mut Vec<u8>, len: u16, addresses: &[u8]) {
    let [high, low] = len.to_be_bytes();
    out.extend_from_slice(&[0x60, 0, 0, 0, high, low, TCP_PROTOCOL, HOPS]);
    out.extend_from_slice(addresses);
}

/// The sum of the 16-bit words, an odd byte as if a zero followed (RFC 1071).
fn words(bytes: &[u8]) -> u64 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum + odd.first().map_or(0, |byte| u64::from(*byte) << 8)
}

const fn checksum(mut sum: u64) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}
