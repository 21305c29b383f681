//! The little rtnetlink that aya has not: interfaces with their type, and whose clsact filters there are.

use std::{
    io,
    os::fd::{AsRawFd as _, OwnedFd},
};

use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_DELQDISC: u16 = 37;
const RTM_NEWTFILTER: u16 = 44;
const RTM_GETTFILTER: u16 = 46;
const IFLA_IFNAME: u16 = 3;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
/// `TC_H_CLSACT`, the parent and handle of a clsact qdisc.
const CLSACT: u32 = 0xffff_fff1;
/// Attribute flags "nested" and "network byte order", which are no part of the type.
const ATTRIBUTE_TYPE: u16 = 0x3fff;
const HEADER: usize = 16;

/// Hardware types (`ARPHRD_*`) whose packets begin with an Ethernet header.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
const IFF_UP: u32 = 1;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) index: i32,
    pub(super) up: bool,
    pub(super) loopback: bool,
    /// Its packets begin with an Ethernet header; else with the IP header.
    pub(super) ethernet: bool,
}

/// A BPF filter under a clsact qdisc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) name: String,
    pub(super) priority: u16,
    pub(super) handle: u32,
    pub(super) program_id: u32,
}

/// The interfaces of this thread's network namespace.
pub(super) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    // struct ifinfomsg, all zero: every family, every interface.
    request(RTM_GETLINK, NLM_F_DUMP, &[0; 16], |kind, body| {
        if kind == RTM_NEWLINK {
            found.extend(interface(body));
        }
    })?;
    Ok(found)
}

fn interface(body: &[u8]) -> Option<Interface> {
    let hardware = u16::from_ne_bytes(array(body, 2)?);
    let index = i32::from_ne_bytes(array(body, 4)?);
    let flags = u32::from_ne_bytes(array(body, 8)?);
    let name = attributes(body.get(16..)?).find(|(kind, _)| *kind == IFLA_IFNAME).map(|(_, value)| text(value))?;
    Some(Interface {
        name,
        index,
        up: flags & IFF_UP != 0,
        loopback: hardware == ARPHRD_LOOPBACK,
        ethernet: hardware == ARPHRD_ETHER || hardware == ARPHRD_LOOPBACK,
    })
}

/// The BPF filters on one side of an interface's clsact qdisc; none if it has no such qdisc.
pub(super) fn filters(index: i32, egress: bool) -> io::Result<Vec<Filter>> {
    let mut found = Vec::new();
    let dumped = request(RTM_GETTFILTER, NLM_F_DUMP, &tc_message(index, 0, side(egress)), |kind, body| {
        if kind == RTM_NEWTFILTER {
            found.extend(filter(body));
        }
    });
    match dumped {
        // No qdisc, or no interface by now.
        Err(error) if matches!(error.raw_os_error(), Some(nix::libc::EINVAL | nix::libc::ENODEV)) => Ok(Vec::new()),
        other => other.map(|()| found),
    }
}

fn filter(body: &[u8]) -> Option<Filter> {
    let handle = u32::from_ne_bytes(array(body, 8)?);
    let info = u32::from_ne_bytes(array(body, 16)?);
    let attribute = |wanted| attributes(body.get(20..)?).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    if text(attribute(TCA_KIND)?) != "bpf" {
        return None;
    }
    let options = attribute(TCA_OPTIONS)?;
    let option = |wanted| attributes(options).find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
    Some(Filter {
        name: text(option(TCA_BPF_NAME)?),
        priority: (info >> 16) as u16,
        handle,
        program_id: u32::from_ne_bytes(array(option(TCA_BPF_ID)?, 0)?),
    })
}

/// Does anybody have a filter, of whatever kind, under an interface's clsact qdisc?
pub(super) fn has_filters(index: i32) -> io::Result<bool> {
    let mut found = false;
    for egress in [false, true] {
        request(RTM_GETTFILTER, NLM_F_DUMP, &tc_message(index, 0, side(egress)), |kind, _| {
            found |= kind == RTM_NEWTFILTER;
        })?;
    }
    Ok(found)
}

/// Removes the clsact qdisc of an interface.
pub(super) fn remove_clsact(index: i32) -> io::Result<()> {
    request(RTM_DELQDISC, NLM_F_ACK, &tc_message(index, CLSACT & 0xffff_0000, CLSACT), |_, _| {})
}

/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS or TC_H_MIN_INGRESS)`
const fn side(egress: bool) -> u32 {
    CLSACT & 0xffff_0000 | if egress { 0xfff3 } else { 0xfff2 }
}

/// struct tcmsg
fn tc_message(index: i32, handle: u32, parent: u32) -> [u8; 20] {
    let mut message = [0; 20];
    message[4..8].copy_from_slice(&index.to_ne_bytes());
    message[8..12].copy_from_slice(&handle.to_ne_bytes());
    message[12..16].copy_from_slice(&parent.to_ne_bytes());
    message
}

/// Sends a request and hands over the messages of the answer, up to its end.
fn request(kind: u16, flags: u16, body: &[u8], mut take: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket: OwnedFd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    let mut message = Vec::with_capacity(HEADER + body.len());
    message.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    message.extend_from_slice(body);
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    // The kernel fills at most 32 KiB of a dump at a time.
    let mut buffer = vec![0; 64 << 10];
    loop {
        let received = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..received).unwrap_or_default();
        while let Some((kind, body, following)) = message_at(rest) {
            match kind {
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
    fn loopback_is_listed() {
        let all = interfaces().unwrap();
        let lo = all.iter().find(|interface| interface.name == "lo").unwrap();
        assert!(lo.loopback && lo.ethernet && lo.index > 0, "{lo:?}");
    }

    #[test]
    fn attributes_end_where_they_are_cut() {
        let bytes = [6, 0, 3, 0, b'l', b'o', 0, 0, 8, 0, 1, 0x80, 1, 2, 3, 4, 9, 0, 1, 0, 1];
        let all: Vec<_> = attributes(&bytes).collect();
        assert_eq!(all, [(3, &b"lo"[..]), (1, &[1, 2, 3, 4][..])]);
    }
}
