//! Links between programs and what they are attached to, as bpf(2) has them: without a type for each kind of program, and with the
//! one thing that aya does for few of them only, which is to put another program into a link.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
};

use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd};
use nix::{
    errno::Errno,
    libc::{SYS_bpf, syscall},
};

/// `BPF_LINK_CREATE`: the program runs at `target` as long as the link is open, or pinned.
pub(super) fn create(program: BorrowedFd<'_>, target: BorrowedFd<'_>, hook: bpf_attach_type) -> io::Result<OwnedFd> {
    let mut attributes = attributes();
    attributes.link_create.__bindgen_anon_1.prog_fd = program.as_raw_fd().cast_unsigned();
    attributes.link_create.__bindgen_anon_2.target_fd = target.as_raw_fd().cast_unsigned();
    attributes.link_create.attach_type = hook as u32;
    bpf(bpf_cmd::BPF_LINK_CREATE, &attributes).map(owned)
}

/// `BPF_LINK_UPDATE`: from here on the link runs this program, and not the one before.
pub(super) fn update(link: &OwnedFd, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = attributes();
    attributes.link_update.link_fd = link.as_raw_fd().cast_unsigned();
    attributes.link_update.__bindgen_anon_1.new_prog_fd = program.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_LINK_UPDATE, &attributes).map(drop)
}

/// `BPF_OBJ_PIN`.
pub(super) fn pin(link: &OwnedFd, path: &Path) -> io::Result<()> {
    let path = c_path(path)?;
    let mut attributes = attributes();
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    attributes.__bindgen_anon_4.bpf_fd = link.as_raw_fd().cast_unsigned();
    bpf(bpf_cmd::BPF_OBJ_PIN, &attributes).map(drop)
}

/// `BPF_OBJ_GET`.
pub(super) fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    let mut attributes = attributes();
    attributes.__bindgen_anon_4.pathname = path.as_ptr() as u64;
    bpf(bpf_cmd::BPF_OBJ_GET, &attributes).map(owned)
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

#[expect(unsafe_code, reason = "a union of the kernel's")]
fn attributes() -> bpf_attr {
    // SAFETY: all zeros are a value of each of its kinds, and what is not set has to be zero.
    unsafe { std::mem::zeroed() }
}

#[expect(unsafe_code, reason = "no crate wraps these commands for all kinds of links")]
fn bpf(command: bpf_cmd, attributes: &bpf_attr) -> io::Result<i32> {
    // SAFETY: the kernel reads as many bytes as it is told; what they point to outlives the call.
    let result = unsafe { syscall(SYS_bpf, command as u32, &raw const *attributes, size_of::<bpf_attr>()) };
    Ok(Errno::result(i32::try_from(result).unwrap_or(-1))?)
}

/// What the kernel has just opened for us.
#[expect(unsafe_code, reason = "a descriptor that comes as a number")]
fn owned(descriptor: i32) -> OwnedFd {
    // SAFETY: nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
