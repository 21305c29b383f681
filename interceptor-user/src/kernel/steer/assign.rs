//! TC on all interfaces of a network namespace, where what comes in cannot be steered by sk_lookup.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::ensure;
use aya::Ebpf;

use crate::kernel::{netns::Netns, places::Places};

/// How often interfaces that are new are looked for.
const LOOK: Duration = Duration::from_secs(1);

/// The programs are attached while it lives.
pub(super) struct Assigning {
    namespace: u32,
    inner: Mutex<Inner>,
}

struct Inner {
    places: Places,
    looked: Instant,
}

impl Assigning {
    pub(super) fn start(ebpf: Ebpf, netns: Netns, clsact: bool) -> anyhow::Result<Self> {
        let namespace = netns.inode();
        let mut places = Places::to_assign(ebpf, clsact)?;
        places.enter(netns, None)?;
        places.update(namespace)?;
        ensure!(!places.attachments().is_empty(), "no interface takes a program that steers what comes in");
        Ok(Self { namespace, inner: Mutex::new(Inner { places, looked: Instant::now() }) })
    }

    /// Takes in interfaces that are new.
    pub(super) fn follow(&self) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.looked.elapsed() < LOOK {
            return;
        }
        inner.looked = Instant::now();
        match inner.places.update(self.namespace) {
            Ok(new) => new.iter().for_each(|interface| tracing::info!(interface, "what comes in is steered")),
            Err(error) => tracing::warn!("what comes in by new interfaces is not steered: {error:#}"),
        }
    }
}
