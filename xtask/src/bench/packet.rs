//! Headers of a packet, checksums included.

pub(super) const FIN: u8 = 1;
pub(super) const SYN: u8 = 2;
pub(super) const PSH: u8 = 8;
pub(super) const ACK: u8 = 16;

/// Ethernet, IPv4 and TCP with the timestamp option.
pub(super) const HEADERS: usize = 14 + 20 + 32;

/// One end of a connection.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) address: [u8; 4],
    pub(super) port: u16,
}

pub(super) fn headers(
    from: End,
    to: End,
    numbers: (u32, u32),
    flags: u8,
    millis: u32,
    payload: &[u8],
) -> [u8; HEADERS] {
    let mut bytes = [0; HEADERS];
    let (link, rest) = bytes.split_at_mut(14);
    let (ip, tcp) = rest.split_at_mut(20);
    link[..6].copy_from_slice(&[2, 0, to.address[0], to.address[1], to.address[2], to.address[3]]);
    link[6..12].copy_from_slice(&[2, 0, from.address[0], from.address[1], from.address[2], from.address[3]]);
    link[12..].copy_from_slice(&[8, 0]);
    ip[..2].copy_from_slice(&[0x45, 0]);
    ip[2..4].copy_from_slice(&((HEADERS - 14 + payload.len()) as u16).to_be_bytes());
    // Don't fragment, 64 hops, TCP.
    ip[6..10].copy_from_slice(&[0x40, 0, 64, 6]);
    ip[12..16].copy_from_slice(&from.address);
    ip[16..20].copy_from_slice(&to.address);
    let sum = checksum(0, ip);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    tcp[..2].copy_from_slice(&from.port.to_be_bytes());
    tcp[2..4].copy_from_slice(&to.port.to_be_bytes());
    tcp[4..8].copy_from_slice(&numbers.0.to_be_bytes());
    tcp[8..12].copy_from_slice(&numbers.1.to_be_bytes());
    // Eight words of header, a window of 501.
    tcp[12..16].copy_from_slice(&[0x80, flags, 1, 0xf5]);
    tcp[20..24].copy_from_slice(&[1, 1, 8, 10]);
    tcp[24..28].copy_from_slice(&millis.to_be_bytes());
    tcp[28..32].copy_from_slice(&millis.wrapping_sub(1).to_be_bytes());
    let length = (32 + payload.len()) as u64;
    let pseudo = ones(&ip[12..20]) + 6 + length + ones(payload);
    let sum = checksum(pseudo, tcp);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// RFC 1071: the complement of the one's complement sum of 16-bit words.
pub(super) fn checksum(start: u64, bytes: &[u8]) -> u16 {
    let mut sum = start + ones(bytes);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

pub(super) fn ones(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    words.map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).sum::<u64>() + odd
}
