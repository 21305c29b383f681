//! The rings of one capture, read as one.
//!
//! Each CPU writes to a ring of its own (a few share one on large machines): writers of one ring take its lock and its
//! position from each other's caches, which costs more than the record. Here the records are put back in order.

use std::{io, os::fd::AsFd as _, thread, time::Duration};

use anyhow::Context as _;
use aya::{
    Ebpf,
    maps::{ArrayOfMaps, MapData, MapError},
};
use aya_obj::generated::bpf_map_type::BPF_MAP_TYPE_RINGBUF;
use nix::{
    errno::Errno,
    libc::{ENOMEM, EPERM},
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use super::ring::{Next, Ring};

/// The reading end of all rings of a capture.
pub struct Rings {
    rings: Vec<Ring>,
    woken: Epoll,
}

/// The least that a ring can have: a page, on machines with the largest pages.
const LEAST: u32 = 64 << 10;
/// The kernel frees maps a little later; until then they take the room for which we look.
const FREED: Duration = Duration::from_millis(20);

fn make(bytes: u32) -> Result<MapData, MapError> {
    let pattern = aya_obj::Map::new_from_params(BPF_MAP_TYPE_RINGBUF as u32, 0, 0, bytes, 0);
    MapData::create(pattern, "events", None)
}

/// What `make` makes of the largest size for which there is room, from `bytes` down by halves, and that size.
fn largest<T>(bytes: u32, mut make: impl FnMut(u32) -> Result<T, MapError>) -> Result<(T, u32), MapError> {
    let mut size = bytes;
    loop {
        match make(size) {
            Err(MapError::CreateError { io_error, .. }) if size > LEAST && is_no_room(&io_error) => size /= 2,
            made => return made.map(|made| (made, size)),
        }
        thread::sleep(FREED);
    }
}

/// EPERM is what kernels before 5.11 say beyond `RLIMIT_MEMLOCK`. Without the capability, we had not come so far.
fn is_no_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(EPERM | ENOMEM))
}

impl Rings {
    /// Makes `count` rings of `bytes` each, or smaller ones if there is no room for those, and gives them to the programs.
    pub(super) fn new(ebpf: &mut Ebpf, count: u32, bytes: u32) -> anyhow::Result<Self> {
        let (maps, size) = largest(bytes, |bytes| (0..count).map(|_| make(bytes)).collect::<Result<Vec<_>, _>>())
            .with_context(|| format!("cannot make ring buffers of {bytes} bytes"))?;
        if size < bytes {
            tracing::warn!(
                "there is no room for {count} ring buffers of {bytes} bytes; they have {size}, and more will be lost \
                 under load (before Linux 5.11 RLIMIT_MEMLOCK counts: LimitMEMLOCK=infinity, or CAP_SYS_RESOURCE)"
            );
            super::maps::wake_within(ebpf, size)?;
        }
        let map = ebpf.map_mut("EVENTS").context("the kernel object has no map EVENTS")?;
        let mut places: ArrayOfMaps<_, MapData> = ArrayOfMaps::try_from(map)?;
        let woken = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).context("cannot make an epoll descriptor")?;
        let mut rings = Vec::new();
        for (place, map) in (0..).zip(maps) {
            places.set(place, &map, 0).with_context(|| format!("cannot give ring {place} to the programs"))?;
            // By edge: what is waiting in a ring does not end a wait, only the kernel's wake-up does.
            let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
            woken.add(map.fd().as_fd(), EpollEvent::new(flags, u64::from(place))).context("cannot watch a ring")?;
            rings.push(Ring::new(map)?);
        }
        Ok(Self { rings, woken })
    }

    /// What they hold together, in bytes.
    pub(super) fn size(&self) -> u64 {
        self.rings.iter().map(Ring::size).sum()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(errno: i32) -> MapError {
        MapError::CreateError { name: "events".to_owned(), io_error: io::Error::from_raw_os_error(errno) }
    }

    /// What is made where there is room for `room` bytes, and how often it was tried.
    fn made(bytes: u32, room: u32, errno: i32) -> (Option<u32>, u32) {
        let mut tries = 0;
        let made = largest(bytes, |size| {
            tries += 1;
            if size <= room { Ok(size) } else { Err(refused(errno)) }
        });
        (made.ok().map(|(made, size)| if made == size { size } else { 0 }), tries)
    }

    #[test]
    fn rings_are_as_large_as_there_is_room_for() {
        assert_eq!(made(4 << 20, u32::MAX, EPERM), (Some(4 << 20), 1));
        assert_eq!(made(4 << 20, 1 << 20, EPERM), (Some(1 << 20), 3));
        assert_eq!(made(4 << 20, (1 << 20) - 1, ENOMEM), (Some(512 << 10), 4));
        assert_eq!(made(1 << 20, LEAST, EPERM), (Some(LEAST), 5));
    }

    #[test]
    fn what_is_no_matter_of_room_is_not_tried_again() {
        assert_eq!(made(4 << 20, 0, nix::libc::EINVAL), (None, 1));
        assert_eq!(made(128 << 10, 0, EPERM), (None, 2));
    }
}
