//! Clsact qdiscs and the BPF filters under them.

use std::io;

use nix::libc::{
    EEXIST, EINVAL, ENODEV, ENOENT, NLM_F_CREATE, NLM_F_EXCL, RTM_DELQDISC, RTM_GETQDISC, RTM_GETTFILTER, RTM_NEWQDISC,
    RTM_NEWTFILTER, TCA_KIND, TCA_OPTIONS,
};

use super::{Request, array, attribute, text};

/// linux/pkt_cls.h; libc has no names for these.
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_ID: u16 = 11;
/// `TC_H_CLSACT`, the parent and handle of a clsact qdisc.
const CLSACT: u32 = 0xffff_fff1;

/// linux/rtnetlink.h; libc has no name for it.
const TCA_INGRESS_BLOCK: u16 = 13;
/// The index of `lo`, in every namespace (`LOOPBACK_IFINDEX`).
const LOOPBACK: i32 = 1;

/// A BPF filter under a clsact qdisc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kernel) struct Filter {
    pub(in crate::kernel) name: String,
    pub(in crate::kernel) priority: u16,
    pub(in crate::kernel) handle: u32,
    pub(in crate::kernel) program_id: u32,
}

/// Indexes of the interfaces that have a clsact qdisc.
pub(in crate::kernel) fn clsact_interfaces() -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    Request::dump(RTM_GETQDISC).body(&message(0, 0, 0)).list(|kind, body| {
        if kind == RTM_NEWQDISC {
            found.extend(clsact_interface(body));
        }
    })?;
    Ok(found)
}

fn clsact_interface(body: &[u8]) -> Option<i32> {
    let kind = text(attribute(body.get(20..)?, TCA_KIND)?);
    (kind == "clsact").then(|| array(body, 4).map(i32::from_ne_bytes))?
}

/// The BPF filters on one side of an interface's clsact qdisc; none if it has no such qdisc.
pub(in crate::kernel) fn filters(index: i32, egress: bool) -> io::Result<Vec<Filter>> {
    let mut found = Vec::new();
    let dumped = Request::dump(RTM_GETTFILTER).body(&message(index, 0, side(egress))).list(|kind, body| {
        if kind == RTM_NEWTFILTER {
            found.extend(filter(body));
        }
    });
    match dumped {
        // No qdisc, or no interface by now.
        Err(error) if matches!(error.raw_os_error(), Some(EINVAL | ENODEV)) => Ok(Vec::new()),
        other => other.map(|()| found),
    }
}

fn filter(body: &[u8]) -> Option<Filter> {
    let handle = u32::from_ne_bytes(array(body, 8)?);
    let info = u32::from_ne_bytes(array(body, 16)?);
    let attributes = body.get(20..)?;
    if text(attribute(attributes, TCA_KIND)?) != "bpf" {
        return None;
    }
    let options = attribute(attributes, TCA_OPTIONS)?;
    Some(Filter {
        name: text(attribute(options, TCA_BPF_NAME)?),
        priority: (info >> 16) as u16,
        handle,
        program_id: u32::from_ne_bytes(array(attribute(options, TCA_BPF_ID)?, 0)?),
    })
}

/// Does anybody have a filter, of whatever kind, under an interface's clsact qdisc?
pub(in crate::kernel) fn has_filters(index: i32) -> io::Result<bool> {
    let mut found = false;
    for egress in [false, true] {
        Request::dump(RTM_GETTFILTER).body(&message(index, 0, side(egress))).list(|kind, _| {
            found |= kind == RTM_NEWTFILTER;
        })?;
    }
    Ok(found)
}

/// Does this kernel know clsact qdiscs? Asks for one on `lo` that shares its filters with block 0, which there cannot be:
/// that is refused only after the kind was found (`qdisc_create`), and before anything was added.
pub(in crate::kernel) fn knows_clsact() -> io::Result<bool> {
    let mut request = Request::new(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
    request = request.body(&message(LOOPBACK, CLSACT & 0xffff_0000, CLSACT));
    request.attribute(TCA_KIND, b"clsact\0");
    request.attribute(TCA_INGRESS_BLOCK, &[0; 4]);
    match request.ask() {
        Err(error) => match error.raw_os_error() {
            Some(EINVAL | EEXIST) => Ok(true),
            Some(ENOENT) => Ok(false),
            _ => Err(error),
        },
        Ok(()) => remove_clsact(LOOPBACK).map(|()| true),
    }
}

/// Removes the clsact qdisc of an interface.
pub(in crate::kernel) fn remove_clsact(index: i32) -> io::Result<()> {
    Request::new(RTM_DELQDISC, 0).body(&message(index, CLSACT & 0xffff_0000, CLSACT)).ask()
}

/// `TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS or TC_H_MIN_INGRESS)`
const fn side(egress: bool) -> u32 {
    CLSACT & 0xffff_0000 | if egress { 0xfff3 } else { 0xfff2 }
}

/// struct tcmsg
fn message(index: i32, handle: u32, parent: u32) -> [u8; 20] {
    let mut message = [0; 20];
    message[4..8].copy_from_slice(&index.to_ne_bytes());
    message[8..12].copy_from_slice(&handle.to_ne_bytes());
    message[12..16].copy_from_slice(&parent.to_ne_bytes());
    message
}
