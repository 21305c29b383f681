//! The programs where they are attached: as long as we live, or pinned.

use std::{
    fs::File,
    os::fd::{AsFd as _, OwnedFd},
};

use anyhow::Context as _;
use aya::Ebpf;
use aya_obj::generated::bpf_attach_type::{
    self, BPF_CGROUP_GETSOCKOPT, BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET4_GETPEERNAME, BPF_CGROUP_INET6_CONNECT,
    BPF_CGROUP_INET6_GETPEERNAME, BPF_CGROUP_SOCK_OPS, BPF_SK_LOOKUP,
};

use crate::kernel::{
    attach::loaded,
    link,
    object::{explain_program, load_program},
    pins::Pins,
};

/// The programs, and the kernel's name for where each belongs.
pub(in crate::kernel) const STEERING: [(&str, bpf_attach_type); 7] = [
    ("steer_conn4", BPF_CGROUP_INET4_CONNECT),
    ("steer_conn6", BPF_CGROUP_INET6_CONNECT),
    ("steer_peer4", BPF_CGROUP_INET4_GETPEERNAME),
    ("steer_peer6", BPF_CGROUP_INET6_GETPEERNAME),
    ("steer_sock", BPF_CGROUP_SOCK_OPS),
    ("steer_original", BPF_CGROUP_GETSOCKOPT),
    ("steer_lookup", BPF_SK_LOOKUP),
];

/// What programs are attached to.
pub(super) struct Place {
    /// A cgroup, or a network namespace.
    pub(super) file: File,
    /// Its number.
    pub(super) number: u64,
    /// What it is called in errors.
    pub(super) name: String,
}

/// Programs that are about to be attached.
pub(super) struct Links<'a> {
    ebpf: &'a mut Ebpf,
    pins: Option<Pins>,
    places: Vec<u64>,
    /// Those that are not pinned.
    ours: Vec<OwnedFd>,
}

impl<'a> Links<'a> {
    pub(super) const fn new(ebpf: &'a mut Ebpf, pins: Option<Pins>) -> Self {
        Self { ebpf, pins, places: Vec::new(), ours: Vec::new() }
    }

    /// From here on the program runs there: in the place of the one that was pinned, if there is one.
    pub(super) fn attach(&mut self, name: &str, place: &Place) -> anyhow::Result<()> {
        let program =
            self.ebpf.program_mut(name).with_context(|| format!("the kernel object has no program {name}"))?;
        loaded(name, load_program(program))?;
        let program = program.fd().map_err(|error| explain_program(name, &error))?.as_fd();
        let (_, hook) = STEERING.into_iter().find(|(program, _)| *program == name).context("no program to steer by")?;
        let create = || {
            let created = link::create(program, place.file.as_fd(), hook);
            created.with_context(|| format!("cannot attach {name} to {}", place.name))
        };
        match &self.pins {
            Some(pins) => pins.link(name, place.number, program, create)?,
            None => self.ours.push(create()?),
        }
        self.places.push(place.number);
        Ok(())
    }

    /// All are attached: gives those that end with us.
    pub(super) fn end(self) -> anyhow::Result<Vec<OwnedFd>> {
        if let Some(pins) = self.pins {
            pins.keep_only(&self.places).context("cannot remove what is pinned and not in use")?;
        }
        Ok(self.ours)
    }
}
