use std::{
    os::fd::AsRawFd,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{MapData, SkStorage},
};

use super::maps::take;

/// Which sockets are the inline path's own, as one load of the kernel object knows it: remembered with the socket, and gone with it.
pub(super) struct Owned(Mutex<SkStorage<MapData, u32>>);

impl Owned {
    /// None yet.
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(take(ebpf, "OWN")?)))
    }

    /// This one is.
    pub(super) fn add(&self, socket: &impl AsRawFd) -> anyhow::Result<()> {
        let mut own = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(socket, 1, 0).context("cannot tell the kernel of a socket of our own")
    }
}
