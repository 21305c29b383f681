//! Blocks of pcapng (draft-ietf-opsawg-pcapng), in little-endian order.

/// `LINKTYPE_RAW`: packets begin with their IP header.
const RAW: u16 = 101;
/// Longest option that is written: more is no comment that anyone reads.
const OPTION_MAX: usize = 4096;

const COMMENT: u16 = 1;
const HARDWARE: u16 = 2;
const OS: u16 = 3;
const APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TIMESTAMP_RESOLUTION: u16 = 9;
const NANOSECONDS: u8 = 9;

/// Section header: what wrote the file, and on what.
pub(super) fn section(out: &mut Vec<u8>, os: &str) {
    block(out, 0x0a0d_0d0a, |out| {
        out.extend_from_slice(&0x1a2b_3c4d_u32.to_le_bytes());
        out.extend_from_slice(&[1, 0, 0, 0]);
        // How long the section is, is not known.
        out.extend_from_slice(&[0xff; 8]);
        option(out, HARDWARE, std::env::consts::ARCH.as_bytes());
        option(out, OS, os.as_bytes());
        option(out, APPLICATION, concat!("interceptor ", env!("CARGO_PKG_VERSION")).as_bytes());
        end_of_options(out);
    });
}

/// Interface description. The first one is interface 0, and so on.
pub(super) fn interface(out: &mut Vec<u8>, name: Option<&str>, description: Option<&str>) {
    block(out, 1, |out| {
        out.extend_from_slice(&RAW.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        // No limit to what is captured of a packet.
        out.extend_from_slice(&[0; 4]);
        for (code, text) in [(IF_NAME, name), (IF_DESCRIPTION, description)] {
            if let Some(text) = text {
                option(out, code, text.as_bytes());
            }
        }
        option(out, IF_TIMESTAMP_RESOLUTION, &[NANOSECONDS]);
        end_of_options(out);
    });
}

/// What an enhanced packet block says beside the packet.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) interface: u32,
    /// In nanoseconds since the Unix epoch.
    pub(super) time: u64,
    pub(super) headers: &'a [u8],
    /// What was captured after the headers.
    pub(super) payload: &'a [u8],
    /// Bytes after the headers, on the wire.
    pub(super) payload_len: usize,
    pub(super) comment: &'a str,
}

pub(super) fn packet(out: &mut Vec<u8>, packet: &Packet<'_>) {
    let Packet { interface, time, headers, payload, payload_len, comment } = *packet;
    block(out, 6, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        timestamp(out, time);
        for len in [payload.len(), payload_len] {
            out.extend_from_slice(&((headers.len() + len) as u32).to_le_bytes());
        }
        out.extend_from_slice(headers);
        out.extend_from_slice(payload);
        pad(out, headers.len() + payload.len());
        comments(out, comment);
    });
}

/// Interface statistics: the place for a remark that belongs to no packet.
pub(super) fn statistics(out: &mut Vec<u8>, interface: u32, time: u64, comment: &str) {
    block(out, 5, |out| {
        out.extend_from_slice(&interface.to_le_bytes());
        timestamp(out, time);
        comments(out, comment);
    });
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    body(out);
    let len = ((out.len() - start + 4) as u32).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&len);
    out.extend_from_slice(&len);
}

fn timestamp(out: &mut Vec<u8>, nanos: u64) {
    out.extend_from_slice(&((nanos >> 32) as u32).to_le_bytes());
    out.extend_from_slice(&(nanos as u32).to_le_bytes());
}

fn comments(out: &mut Vec<u8>, comment: &str) {
    if !comment.is_empty() {
        option(out, COMMENT, comment.as_bytes());
        end_of_options(out);
    }
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(OPTION_MAX)];
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out, value.len());
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

fn pad(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&[0; 3][..len.next_multiple_of(4) - len]);
}
