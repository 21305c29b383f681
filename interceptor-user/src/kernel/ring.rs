//! The reading end of a BPF ring buffer.
//!
//! aya has one, which maps the data twice in a row, so that a record that runs over the end can be read in one piece.
//! Both copies count as memory of this process. Here they are mapped once, and such a record is copied: one in
//! thousands, for half of the memory.
//!
//! The layout is stated in kernel/bpf/ringbuf.c: a page with the consumer's position, one with the producer's, and the
//! data. A record is a word of length and flags, an unused word, and the bytes, filled up to a multiple of eight.

use std::{
    os::fd::{AsFd, AsRawFd as _, BorrowedFd},
    slice,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering},
};

use anyhow::{Context as _, ensure};
use aya::maps::{Map, MapData};
use memmap2::{MmapOptions, MmapRaw};

/// The record is still being written.
const BUSY: u32 = 1 << 31;
/// The record is to be skipped.
const DISCARDED: u32 = 1 << 30;
const HEADER: usize = 8;

/// A ring, mapped. There must be one reader of it.
pub struct Ring {
    map: MapData,
    /// The page that we write our position to.
    consumer: MmapRaw,
    /// The page with the kernel's position, and the data.
    producer: MmapRaw,
    page: usize,
    /// Bytes of data, a power of two.
    size: usize,
    position: usize,
    /// A record that ran over the end.
    joined: Vec<u8>,
}

impl Ring {
    pub(super) fn new(map: Map) -> anyhow::Result<Self> {
        let Map::RingBuf(map) = map else { anyhow::bail!("the map of events is no ring buffer") };
        let size = map.info().context("cannot ask for the ring's size")?.max_entries() as usize;
        ensure!(size.is_power_of_two(), "a ring of {size} bytes, which is no power of two");
        let page = page_size();
        let fd = map.fd().as_fd().as_raw_fd();
        let consumer = MmapOptions::new().len(page).map_raw(fd).context("cannot map the ring's first page")?;
        let producer = MmapOptions::new()
            .offset(page as u64)
            .len(page + size)
            .map_raw_read_only(fd)
            .with_context(|| format!("cannot map the ring ({size} bytes)"))?;
        let mut ring = Self { map, consumer, producer, page, size, position: 0, joined: Vec::new() };
        ring.position = ring.consumer_position().load(Ordering::Acquire);
        Ok(ring)
    }

    /// Hands over the next record that is complete, and gives its place back to the kernel afterwards. `None` if there
    /// is none.
    pub fn next<R>(&mut self, take: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let (at, len) = self.complete()?;
        let start = at + HEADER;
        let whole = len.min(self.size.saturating_sub(start));
        let taken = if whole == len {
            take(self.data(start, len))
        } else {
            let mut joined = std::mem::take(&mut self.joined);
            joined.clear();
            joined.extend_from_slice(self.data(start, whole));
            joined.extend_from_slice(self.data(0, (len - whole).min(at)));
            let taken = take(&joined);
            self.joined = joined;
            taken
        };
        self.give_back(len);
        Some(taken)
    }

    /// Place and length of the next record that is complete; skips discarded ones.
    fn complete(&mut self) -> Option<(usize, usize)> {
        while self.position != self.producer_position().load(Ordering::Acquire) {
            let at = self.position & (self.size - 1);
            let word = self.header(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                return None;
            }
            let len = (word & !DISCARDED) as usize;
            if word & DISCARDED == 0 {
                return Some((at, len));
            }
            self.give_back(len);
        }
        None
    }

    /// Lets the kernel write where a record of this length was.
    fn give_back(&mut self, len: usize) {
        self.position = self.position.wrapping_add((len + HEADER).next_multiple_of(8));
        self.consumer_position().store(self.position, Ordering::Release);
    }

    fn consumer_position(&self) -> &AtomicUsize {
        // SAFETY: the first word of a mapped page, which lives as long as `self`; the kernel treats it as atomic.
        #[expect(unsafe_code, reason = "memory that the kernel shares")]
        unsafe {
            AtomicUsize::from_ptr(self.consumer.as_mut_ptr().cast())
        }
    }

    fn producer_position(&self) -> &AtomicUsize {
        // SAFETY: as above; it is only ever loaded, as the mapping is read-only.
        #[expect(unsafe_code, reason = "memory that the kernel shares")]
        unsafe {
            AtomicUsize::from_ptr(self.producer.as_mut_ptr().cast())
        }
    }

    /// The first word of a record at a place in the data.
    fn header(&self, at: usize) -> &AtomicU32 {
        debug_assert!(at < self.size && at.is_multiple_of(HEADER));
        // SAFETY: `at` is below `size` (masked) and a multiple of eight (positions are), so the word is in the mapping
        // and aligned. It is only ever loaded.
        #[expect(unsafe_code, reason = "memory that the kernel shares")]
        unsafe {
            AtomicU32::from_ptr(self.producer.as_mut_ptr().add(self.page + at).cast())
        }
    }

    /// Bytes of the record that is being read.
    fn data(&self, start: usize, len: usize) -> &[u8] {
        assert!(start + len <= self.size, "a record beyond the ring");
        // SAFETY: within the mapping (just checked). The kernel does not write to a record that is complete until its
        // place is given back, which `next` does after this borrow has ended.
        #[expect(unsafe_code, reason = "memory that the kernel shares")]
        unsafe {
            slice::from_raw_parts(self.producer.as_ptr().add(self.page + start), len)
        }
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.map.fd().as_fd()
    }
}

fn page_size() -> usize {
    // SAFETY: no pointers.
    #[expect(unsafe_code, reason = "nix has it only with one more feature")]
    let size = unsafe { nix::libc::sysconf(nix::libc::_SC_PAGESIZE) };
    // It cannot fail on Linux.
    usize::try_from(size).unwrap_or(4096)
}
