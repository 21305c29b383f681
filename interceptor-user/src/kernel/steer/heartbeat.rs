//! How the kernel knows that the inline path runs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{Array, MapData},
};
use nix::time::{ClockId, clock_gettime};

use crate::kernel::maps::take;

/// When the inline path last said that it runs.
pub(super) struct Heartbeat(Mutex<Array<MapData, u64>>);

impl Heartbeat {
    pub(super) fn new(ebpf: &mut Ebpf) -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(take(ebpf, "HEARTBEAT")?)))
    }

    /// It runs.
    pub(super) fn beat(&self) -> anyhow::Result<()> {
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC).context("no monotonic clock")?;
        self.write(u64::try_from(Duration::from(now).as_nanos()).unwrap_or(u64::MAX))
    }

    /// It does not, from now on.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        self.write(0)
    }

    fn write(&self, nanos: u64) -> anyhow::Result<()> {
        let mut heartbeat = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heartbeat.set(0, nanos, 0).context("cannot write the heartbeat")
    }
}
