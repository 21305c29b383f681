//! Interfaces: those that there are, and those that a pod needs.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use nix::{
    libc::{
        AF_INET, AF_INET6, ARPHRD_ETHER, ARPHRD_LOOPBACK, IFA_ADDRESS, IFA_F_NODAD, IFA_FLAGS, IFA_LOCAL, IFF_UP,
        IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINK_NETNSID, IFLA_LINKINFO, IFLA_NET_NS_FD, NLM_F_CREATE,
        NLM_F_EXCL, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK,
    },
    net::if_::if_nametoindex,
};

use super::{Request, array, attribute, text};

/// linux/veth.h; libc has no name for it.
const VETH_INFO_PEER: u16 = 1;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    pub(crate) index: i32,
    pub(crate) up: bool,
    pub(crate) loopback: bool,
    /// Its packets begin with an Ethernet header; else with the IP header.
    pub(crate) ethernet: bool,
    /// The namespace that its other end is in, by this namespace's number for it; none: in this one, or no other end. A
    /// device on top of another one has no other end: two such may talk past it.
    pub(crate) peer: Option<i32>,
}

/// All of this namespace.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found = Vec::new();
    Request::dump(RTM_GETLINK).body(&link(0, 0)).list(|kind, body| {
        if kind == RTM_NEWLINK {
            found.extend(interface(body));
        }
    })?;
    Ok(found)
}

fn interface(body: &[u8]) -> Option<Interface> {
    let hardware = u16::from_ne_bytes(array(body, 2)?);
    let index = i32::from_ne_bytes(array(body, 4)?);
    let flags = i32::from_ne_bytes(array(body, 8)?);
    let about = body.get(16..)?;
    let kind = attribute(about, IFLA_LINKINFO).and_then(|info| attribute(info, IFLA_INFO_KIND)).map(text);
    let is_pair = matches!(kind.as_deref(), Some("veth" | "netkit"));
    Some(Interface {
        name: text(attribute(about, IFLA_IFNAME)?),
        index,
        up: flags & IFF_UP != 0,
        loopback: hardware == ARPHRD_LOOPBACK,
        ethernet: hardware == ARPHRD_ETHER || hardware == ARPHRD_LOOPBACK,
        peer: attribute(about, IFLA_LINK_NETNSID)
            .filter(|_| is_pair)
            .and_then(|value| array(value, 0))
            .map(i32::from_ne_bytes),
    })
}

/// Makes `name` here, joined to `name` in the namespace behind `peer`.
pub(crate) fn add_veth(name: &str, peer: BorrowedFd<'_>) -> io::Result<()> {
    let mut message = Request::new(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL).body(&link(0, 0));
    message.attribute(IFLA_IFNAME, &terminated(name));
    message.nest(IFLA_LINKINFO, |message| {
        message.attribute(IFLA_INFO_KIND, b"veth");
        message.nest(IFLA_INFO_DATA, |message| {
            message.nest(VETH_INFO_PEER, |message| {
                message.bytes.extend(link(0, 0));
                message.attribute(IFLA_IFNAME, &terminated(name));
                message.attribute(IFLA_NET_NS_FD, &peer.as_raw_fd().to_ne_bytes());
            });
        });
    });
    message.ask()
}

/// Takes an interface up.
pub(crate) fn set_up(name: &str) -> io::Result<()> {
    Request::new(RTM_NEWLINK, 0).body(&link(if_nametoindex(name)?, IFF_UP)).ask()
}

/// Gives an interface an address, usable at once (no duplicate address detection).
pub(crate) fn add_address(name: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
    let (family, octets) = match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    };
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let mut message = Request::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL)
        .body(&[family.cast_unsigned() as u8, prefix, 0, 0])
        .body(&if_nametoindex(name)?.to_ne_bytes());
    message.attribute(IFA_LOCAL, &octets);
    message.attribute(IFA_ADDRESS, &octets);
    message.attribute(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
    message.ask()
}

/// struct ifinfomsg: family and type are for the kernel to know; `flags` is also the mask of what changes.
fn link(index: u32, flags: i32) -> [u8; 16] {
    let mut message = [0; 16];
    message[4..8].copy_from_slice(&index.to_ne_bytes());
    message[8..12].copy_from_slice(&flags.to_ne_bytes());
    message[12..16].copy_from_slice(&flags.to_ne_bytes());
    message
}

fn terminated(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
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
}
