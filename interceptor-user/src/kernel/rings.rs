//! The rings of one capture, read as one.
//!
//! Each CPU writes to a ring of its own (a few share one on large machines): writers of one ring take its lock and its
//! position from each other's caches, which costs more than the record. Here the records are put back in order.

use std::{os::fd::AsFd as _, time::Duration};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{ArrayOfMaps, MapData},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;
use nix::{
    errno::Errno,
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::ring::{Next, Ring};

/// The reading end of all rings of a capture.
pub struct Rings {
    rings: Vec<Ring>,
    woken: Epoll,
}

impl Rings {
    /// Makes `count` rings of `bytes` each, and gives them to the programs.
    pub(super) fn new(ebpf: &mut Ebpf, count: u32, bytes: u32) -> anyhow::Result<Self> {
        let map = ebpf.map_mut("EVENTS").context("the kernel object has no map EVENTS")?;
        let mut places: ArrayOfMaps<_, MapData> = ArrayOfMaps::try_from(map)?;
        let woken = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot make an epoll descriptor")?;
        let mut rings = Vec::new();
        for place in 0..count {
            let pattern = aya_obj::Map::new_from_params(BPF_MAP_TYPE_RINGBUF as u32, 0, 0, bytes, 0);
            let map = MapData::create(pattern, "events", None)
                .with_context(|| format!("cannot make a ring buffer of {bytes} bytes"))?;
            places.set(place, &map, 0).with_context(|| format!("cannot give ring {place} to the programs"))?;
            // By edge: what is waiting in a ring does not end a wait, only the kernel's wake-up does.
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            woken.add(map.fd().as_fd(), EpollEvent::new(flags, u64::from(place))).context("cannot watch a ring")?;
            rings.push(Ring::new(map)?);
        }
        Ok(Self { rings, woken })
    }

    /// Waits until the kernel wakes us, as a ring fills up, or for `timeout`.
    pub fn wait(&self, timeout: Duration) -> anyhow::Result<()> {
        let timeout = EpollTimeout::try_from(timeout).unwrap_or(EpollTimeout::ZERO);
        match self.woken.wait(&mut [EpollEvent::empty()], timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait for the rings"),
        }
    }

    /// Hands over records that are there, `most` at the most, and says how many. `now` is a time of `CLOCK_MONOTONIC` that
    /// has passed.
    ///
    /// Nothing comes before what caused it. An event is in its ring before its packet moves on, so before the time of
    /// any event that this packet brings about. Of what is stamped up to `now`, all causes are therefore in the rings
    /// when we look, which is after `now`; what is stamped later waits for the next call. A record that is still being
    /// written has caused nothing yet, but may have finished ones behind it: all wait for it.
    pub fn drain(
        &mut self,
        now: u64,
        most: usize,
        mut take: impl FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<usize> {
        self.rings.iter_mut().for_each(Ring::look);
        let mut count = 0;
        while count < most {
            let Some(ring) = self.earliest(now) else { break };
            if let Some(taken) = ring.take(&mut take) {
                taken?;
                count += 1;
            }
        }
        if count != 0 {
            self.rings.iter_mut().for_each(Ring::give_back);
        }
        Ok(count)
    }

    /// The ring whose next record is the oldest, if that is stamped up to `now`.
    fn earliest(&mut self, now: u64) -> Option<&mut Ring> {
        let (mut earliest, mut bound) = (None, now);
        for (index, ring) in self.rings.iter_mut().enumerate() {
            match ring.next() {
                Next::Busy => return None,
                Next::Record(time) if time <= bound => (earliest, bound) = (Some(index), time),
                Next::Record(_) | Next::Nothing => {}
            }
        }
        self.rings.get_mut(earliest?)
    }
}
