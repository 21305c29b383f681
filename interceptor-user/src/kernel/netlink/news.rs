//! What happens to interfaces, here and in all namespaces that have a number here, as it happens.

use std::{
    collections::BTreeSet,
    io::{self, IoSliceMut},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    libc::{
        self, NETLINK_LISTEN_ALL_NSID, RTM_DELLINK, RTM_DELNSID, RTM_NEWLINK, RTM_NEWNSID, RTNLGRP_LINK, RTNLGRP_NSID,
        SOL_NETLINK,
    },
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, setsockopt, socket,
        sockopt::RcvBufForce,
    },
};

use super::{array, message_at, nsid};

/// Bytes of news that may wait: a few thousand changes.
const BACKLOG: usize = 4 << 20;

/// A namespace, by this one's number for it; none: this one.
pub(in crate::kernel) type Nsid = Option<i32>;

/// What has changed.
#[derive(Debug, Default)]
pub(in crate::kernel) struct Changes {
    /// Namespaces in which interfaces have come, gone or changed.
    pub(in crate::kernel) interfaces: BTreeSet<Nsid>,
    /// Namespaces have got or lost a number.
    pub(in crate::kernel) namespaces: bool,
    /// Those that lost it: they are gone, and another one may have their inode number by now.
    pub(in crate::kernel) ended: BTreeSet<i32>,
    /// There was more than the kernel could keep: anything may have changed.
    pub(in crate::kernel) missed: bool,
}

/// The kernel's announcements.
pub(in crate::kernel) struct News(OwnedFd);

impl News {
    /// From now on, of this thread's namespace; and of `all` others that have a number in it, which takes
    /// CAP_NET_BROADCAST.
    pub(in crate::kernel) fn subscribe(all: bool) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        // Without it some are missed sooner, which is noticed.
        let _ = setsockopt(&socket, RcvBufForce, &BACKLOG);
        if all {
            listen_to_all(&socket)?;
        }
        let group = |number: libc::c_uint| 1_u32 << (number - 1);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, group(RTNLGRP_LINK) | group(RTNLGRP_NSID)))?;
        Ok(Self(socket))
    }

    /// What has changed since the last time; nothing, if nothing has.
    pub(in crate::kernel) fn read(&self) -> io::Result<Changes> {
        let mut changes = Changes::default();
        let mut buffer = vec![0; 32 << 10];
        loop {
            match receive(&self.0, &mut buffer) {
                Ok((received, from)) => changes.note(buffer.get(..received).unwrap_or_default(), from),
                Err(Errno::EAGAIN) => return Ok(changes),
                Err(Errno::ENOBUFS) => changes.missed = true,
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for News {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Changes {
    fn note(&mut self, mut messages: &[u8], from: Nsid) {
        while let Some((kind, body, following)) = message_at(messages) {
            match kind {
                RTM_NEWLINK | RTM_DELLINK => {
                    self.interfaces.insert(from);
                }
                RTM_NEWNSID => self.namespaces = true,
                RTM_DELNSID => {
                    self.namespaces = true;
                    // Those that others tell are numbers of theirs.
                    self.ended.extend(nsid::number(body).filter(|_| from.is_none()));
                }
                _ => {}
            }
            messages = following;
        }
    }
}

/// One datagram, and where it is from.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> nix::Result<(usize, Nsid)> {
    // struct cmsghdr and the number.
    let mut control = [0_u8; 64];
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty())?.bytes;
    Ok((received, nsid_in(&control)))
}

/// The number that came with it, by the kernel's `netlink_cmsg_listen_all_nsid`.
fn nsid_in(control: &[u8]) -> Nsid {
    // struct cmsghdr: a length, a level, a type.
    const LENGTH: usize = size_of::<usize>();
    let number = |at| array(control, at).map(i32::from_ne_bytes);
    let is_it = number(LENGTH)? == SOL_NETLINK && number(LENGTH + 4)? == NETLINK_LISTEN_ALL_NSID;
    is_it.then(|| number(LENGTH + 8)).flatten()
}

fn listen_to_all(socket: &OwnedFd) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: the option reads `size_of(yes)` bytes at `yes`.
    #[expect(unsafe_code, reason = "no crate wraps this socket option")]
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            SOL_NETLINK,
            NETLINK_LISTEN_ALL_NSID,
            (&raw const yes).cast(),
            size_of_val(&yes) as libc::socklen_t,
        )
    };
    Ok(Errno::result(result).map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_say_where_they_are_from() {
        let mut control = [0; 64];
        assert_eq!(nsid_in(&control), None);
        control[..8].copy_from_slice(&20_usize.to_ne_bytes());
        control[8..12].copy_from_slice(&SOL_NETLINK.to_ne_bytes());
        control[12..16].copy_from_slice(&NETLINK_LISTEN_ALL_NSID.to_ne_bytes());
        control[16..20].copy_from_slice(&7_i32.to_ne_bytes());
        assert_eq!(nsid_in(&control), Some(7));
        assert_eq!(nsid_in(&control[..18]), None);
    }

    #[test]
    fn a_number_that_another_namespace_has_lost_is_not_ours() {
        // struct nlmsghdr, struct rtgenmsg, and NETNSA_NSID.
        let mut message = Vec::new();
        message.extend(28_u32.to_ne_bytes());
        message.extend(RTM_DELNSID.to_ne_bytes());
        message.extend([0; 10]);
        message.extend([0; 4]);
        message.extend([8, 0, 1, 0]);
        message.extend(7_i32.to_ne_bytes());
        let ended = |from| {
            let mut changes = Changes::default();
            changes.note(&message, from);
            assert!(changes.namespaces);
            changes.ended
        };
        assert_eq!(ended(None), BTreeSet::from([7]));
        assert!(ended(Some(3)).is_empty());
    }

    #[test]
    fn without_news_nothing_has_changed() {
        let news = News::subscribe(false).unwrap();
        let Changes { namespaces, missed, .. } = news.read().unwrap();
        assert!(!namespaces && !missed);
    }
}
