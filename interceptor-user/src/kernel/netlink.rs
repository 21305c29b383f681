//! The little rtnetlink that aya has not. Everything is about the network namespace that the calling thread is in.

pub(crate) mod link;
pub(super) mod news;
pub(super) mod nsid;
pub(super) mod tc;

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::{
    libc::{NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR},
    sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket},
};

/// Attribute flags "nested" and "network byte order", which are no part of the type.
const ATTRIBUTE_TYPE: u16 = 0x3fff;
/// Length of struct nlmsghdr.
const HEADER: usize = 16;

/// A request under construction: struct nlmsghdr, a body, attributes.
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// Asks for something to be done; `flags` beyond the usual ones.
    fn new(kind: u16, flags: i32) -> Self {
        let flags = (NLM_F_REQUEST | NLM_F_ACK | flags).cast_unsigned() as u16;
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend([0; 8]);
        Self { bytes }
    }

    /// Asks for a list.
    fn dump(kind: u16) -> Self {
        Self::new(kind, NLM_F_DUMP)
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.bytes.extend(body);
        self
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |message| message.bytes.extend(value));
    }

    /// An attribute whose value is what `fill` adds; its length is known only afterwards.
    fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend(kind.to_ne_bytes());
        fill(self);
        let len = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&len.to_ne_bytes());
        self.bytes
    }

    /// Sends it and waits for the kernel's word that it is done.
    fn ask(self) -> io::Result<()> {
        self.list(|_, _| {})
    }

    /// Sends it and hands over type and body of each message of the answer, up to its end.
    fn list(self, mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let socket: OwnedFd =
            socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
        sendto(socket.as_raw_fd(), &self.finish(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        // The kernel fills at most 32 KiB of a dump at a time.
        let mut buffer = vec![0; 64 << 10];
        loop {
            let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = buffer.get(..received).unwrap_or_default();
            while let Some((kind, body, following)) = message_at(rest) {
                match i32::from(kind) {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        // A negative errno, or 0 to acknowledge.
                        return match array(body, 0).map(i32::from_ne_bytes) {
                            Some(0) => Ok(()),
                            Some(errno) => Err(io::Error::from_raw_os_error(-errno)),
                            None => Err(io::ErrorKind::InvalidData.into()),
                        };
                    }
                    _ => take(kind, body),
                }
                rest = following;
            }
        }
    }
}

/// The first message: its type, its body, and what follows it.
fn message_at(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let len = u32::from_ne_bytes(array(bytes, 0)?) as usize;
    let kind = u16::from_ne_bytes(array(bytes, 4)?);
    let body = bytes.get(HEADER..len)?;
    Some((kind, body, bytes.get(len.next_multiple_of(4)..).unwrap_or_default()))
}

/// Type and value of each attribute.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16::from_ne_bytes(array(bytes, 0)?));
        let kind = u16::from_ne_bytes(array(bytes, 2)?);
        let value = bytes.get(4..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind & ATTRIBUTE_TYPE, value))
    })
}

fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_end_where_they_are_cut() {
        let bytes = [6, 0, 3, 0, b'l', b'o', 0, 0, 8, 0, 1, 0x80, 1, 2, 3, 4, 9, 0, 1, 0, 1];
        let all: Vec<_> = attributes(&bytes).collect();
        assert_eq!(all, [(3, &b"lo"[..]), (1, &[1, 2, 3, 4][..])]);
    }

    #[test]
    fn attributes_are_padded_and_nested_lengths_cover_their_content() {
        let mut message = Request::new(16, 0);
        message.nest(18, |message| message.attribute(1, b"veth5"));
        let bytes = message.finish();
        assert_eq!(bytes.len(), 16 + 4 + 4 + 8);
        assert_eq!(bytes[..4], 32u32.to_ne_bytes());
        // The outer length includes the inner padding; the inner one does not (lib/nlattr.c, nla_put).
        assert_eq!(bytes[16..18], 16u16.to_ne_bytes());
        assert_eq!(bytes[20..22], 9u16.to_ne_bytes());
    }
}
