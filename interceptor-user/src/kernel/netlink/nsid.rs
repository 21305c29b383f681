//! Numbers of network namespaces: each namespace has its own for those others that it knows.

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

use nix::libc::{EEXIST, RTM_GETNSID, RTM_NEWNSID};

use super::{Request, array, attribute};

// linux/net_namespace.h; libc has no names for these.
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// "The kernel chooses", and "there is none".
const NONE: i32 = -1;

/// This thread's namespace's number for another one, if it has one.
pub(in crate::kernel) fn get(of: impl AsFd) -> io::Result<Option<i32>> {
    let mut message = Request::new(RTM_GETNSID, 0).body(&[0; 4]);
    message.attribute(NETNSA_FD, &of.as_fd().as_raw_fd().to_ne_bytes());
    let mut found = None;
    message.list(|kind, body| {
        if kind == RTM_NEWNSID {
            found = number(body);
        }
    })?;
    Ok(found)
}

/// The one that a message tells.
pub(super) fn number(body: &[u8]) -> Option<i32> {
    let value = attribute(body.get(4..)?, NETNSA_NSID)?;
    Some(i32::from_ne_bytes(array(value, 0)?)).filter(|number| *number != NONE)
}

/// The same, and gives it one if it has none. It goes with the namespace.
pub(in crate::kernel) fn get_or_give(of: impl AsFd) -> io::Result<Option<i32>> {
    let mut message = Request::new(RTM_NEWNSID, 0).body(&[0; 4]);
    message.attribute(NETNSA_NSID, &NONE.to_ne_bytes());
    message.attribute(NETNSA_FD, &of.as_fd().as_raw_fd().to_ne_bytes());
    match message.ask() {
        Err(error) if error.raw_os_error() != Some(EEXIST) => Err(error),
        _ => get(of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_namespace_has_no_number_for_itself_until_it_is_given_one() {
        let own = std::fs::File::open("/proc/thread-self/ns/net").unwrap();
        // Somebody may have given one; what matters is that the question is understood.
        get(&own).unwrap();
        assert!(get(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
