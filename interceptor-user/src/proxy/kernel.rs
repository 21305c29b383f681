//! What the inline path tells the kernel, and asks it.

use std::{net::SocketAddr, os::fd::AsRawFd, sync::Weak};

use crate::{
    kernel::{Capture, Inbound, Original, Steering},
    model::{Endpoint, Peer, Process},
};

/// The programs that have to do with it.
#[derive(Default)]
pub struct Kernel {
    /// Steers what is connected to.
    pub outbound: Option<Steering>,
    /// Steers what comes in.
    pub inbound: Option<Inbound>,
    /// Leave out what is carried ([`crate::kernel::CaptureOptions::inline`]).
    pub captures: Vec<Weak<Capture>>,
    /// Our network namespace.
    pub zone: u32,
}

/// Where a connection was going, and who asked.
pub(super) struct Origin {
    pub(super) destination: Endpoint,
    /// With the address that its server sees, where we know it: of what comes in.
    pub(super) client: Peer,
    /// The server sees an address of ours.
    pub(super) hidden: bool,
    /// What cannot be judged is not sent on.
    pub(super) fails_closed: bool,
}

impl Kernel {
    /// The socket is our own. To be said of a listener, and of any other one before it connects.
    pub fn own(&self, socket: &impl AsRawFd) -> anyhow::Result<()> {
        for capture in self.captures.iter().filter_map(Weak::upgrade) {
            capture.own(socket)?;
        }
        self.outbound.as_ref().map_or(Ok(()), |outbound| outbound.own(socket))
    }

    /// Another interceptor carries what is steered from now on.
    pub(super) fn is_replaced(&self) -> anyhow::Result<bool> {
        let outbound = self.outbound.as_ref().map_or(Ok(false), Steering::is_replaced)?;
        Ok(outbound || self.inbound.as_ref().map_or(Ok(false), Inbound::is_replaced)?)
    }

    /// The inline path runs.
    pub fn beat(&self) -> anyhow::Result<()> {
        self.outbound.as_ref().map_or(Ok(()), Steering::beat)?;
        self.inbound.as_ref().map_or(Ok(()), Inbound::beat)
    }

    pub(super) fn release(&self) -> anyhow::Result<()> {
        self.outbound.as_ref().map_or(Ok(()), Steering::release)?;
        self.inbound.as_ref().map_or(Ok(()), Inbound::release)
    }

    /// Of a connection from `client` that was accepted at `local` by a listener at `listener`. None if nobody steered it.
    pub(super) fn origin(
        &self,
        client: SocketAddr,
        local: SocketAddr,
        listener: SocketAddr,
    ) -> anyhow::Result<Option<Origin>> {
        if local != listener {
            // It came in, and the kernel has left it its addresses.
            let inbound = self.inbound.as_ref();
            let fails_closed = inbound.is_some_and(|inbound| inbound.is_closed(local.port(), client.ip()));
            let client = Peer::new(client.into());
            return Ok(Some(Origin { destination: local.into(), client, hidden: false, fails_closed }));
        }
        let Some(outbound) = &self.outbound else { return Ok(None) };
        let original = outbound.original(client, self.zone)?;
        Ok(original.map(|original| Origin {
            destination: original.destination,
            client: asked(&original, client),
            hidden: true,
            fails_closed: original.closed,
        }))
    }
}

/// Who asked.
fn asked(original: &Original, from: SocketAddr) -> Peer {
    Peer {
        cookie: Some(original.cookie),
        cgroup: Some(original.cgroup),
        process: Some(Process { pid: original.pid, command: original.command.as_str().into() }),
        ..Peer::new(from.into())
    }
}
