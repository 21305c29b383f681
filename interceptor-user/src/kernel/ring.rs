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
use aya::maps::MapData;
use interceptor_common::EventHeader;
use memmap2::{MmapOptions, MmapRaw};

/// The record is still being written.
const BUSY: u32 = 1 << 31;
/// The record is to be skipped.
const DISCARDED: u32 = 1 << 30;
const HEADER: usize = 8;
/// Part of the ring that is given back to the kernel at a time.
const GIVE_BACK_PARTS: usize = 16;

/// A ring, mapped. There must be one reader of it.
pub(super) struct Ring {
    map: MapData,
    /// The page that we write our position to.
    consumer: MmapRaw,
    /// The page with the kernel's position, and the data.
    producer: MmapRaw,
    page: usize,
    /// Bytes of data, a power of two.
    size: usize,
    /// Where the next record begins.
    position: usize,
    /// What the kernel was told of `position`.
    given_back: usize,
    /// The kernel's position when we last looked.
    end: usize,
    /// The record at `position`, if it is complete.
    head: Option<Head>,
    /// A record that ran over the end.
    joined: Vec<u8>,
}

/// A record that is complete.
#[derive(Clone, Copy)]
struct Head {
    /// Where its bytes begin in the data.
    start: usize,
    len: usize,
    time: u64,
}

/// What comes next in a ring.
pub(super) enum Next {
    /// Nothing more up to where the kernel was at the last [`Ring::look`].
    Nothing,
    /// A record that is still being written.
    Busy,
    /// A record, and its time.
    Record(u64),
}

impl Ring {
    /// Bytes that it holds.
    pub(super) const fn size(&self) -> u64 {
        self.size as u64
    }

    pub(super) fn new(map: MapData) -> anyhow::Result<Self> {
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
        let mut ring = Self {
            map,
            consumer,
            producer,
            page,
            size,
            position: 0,
            given_back: 0,
            end: 0,
            head: None,
            joined: Vec::new(),
        };
        ring.position = ring.consumer_position().load(Ordering::Acquire);
        (ring.given_back, ring.end) = (ring.position, ring.position);
        Ok(ring)
    }

    /// Looks how far the kernel has written. Done seldom: the writing CPUs have that cache line.
    pub(super) fn look(&mut self) {
        self.end = self.producer_position().load(Ordering::Acquire);
    }

    /// Skips discarded records.
    pub(super) fn next(&mut self) -> Next {
        if let Some(head) = self.head {
            return Next::Record(head.time);
        }
        while self.position != self.end {
            let at = self.position & (self.size - 1);
            let word = self.header(at).load(Ordering::Acquire);
            if word & BUSY != 0 {
                return Next::Busy;
            }
            let len = (word & !DISCARDED) as usize;
            if word & DISCARDED == 0 {
                // A record's header does not run over the end, as positions are multiples of its size; its bytes may
                // begin anew there.
                let start = (at + HEADER) & (self.size - 1);
                let head = Head { start, len, time: self.time(start) };
                self.head = Some(head);
                return Next::Record(head.time);
            }
            self.step_over(len);
        }
        Next::Nothing
    }

    /// Hands over the record that [`Self::next`] told of, if it did.
    pub(super) fn take<R>(&mut self, take: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let Head { start, len, .. } = self.head.take()?;
        self.step_over(len);
        // Looked up before it is needed: its cache line is still with the CPU that wrote it, and comes meanwhile.
        self.next();
        let whole = len.min(self.size - start);
        let taken = if whole == len {
            take(self.data(start, len))
        } else {
            let mut joined = std::mem::take(&mut self.joined);
            joined.clear();
            joined.extend_from_slice(self.data(start, whole));
            joined.extend_from_slice(self.data(0, len - whole));
            let taken = take(&joined);
            self.joined = joined;
            taken
        };
        if self.position.wrapping_sub(self.given_back) > self.size / GIVE_BACK_PARTS {
            self.give_back();
        }
        Some(taken)
    }

    /// Lets the kernel write where records were that have been taken. Not done for each: the kernel reads this position
    /// for each record that it writes, and every change takes the cache line away from it.
    pub(super) fn give_back(&mut self) {
        self.given_back = self.position;
        self.consumer_position().store(self.position, Ordering::Release);
    }

    fn step_over(&mut self, len: usize) {
        self.position = self.position.wrapping_add((len + HEADER).next_multiple_of(HEADER));
    }

    /// Time of the event whose bytes begin at `start`: the second word of each. It may lie beyond the end.
    fn time(&self, start: usize) -> u64 {
        let at = (start + size_of::<EventHeader>()) & (self.size - 1);
        self.data(at, size_of::<u64>()).try_into().map_or(0, u64::from_ne_bytes)
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
        // place is given back, which `take` does after this borrow has ended.
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

pub(super) fn page_size() -> usize {
    // SAFETY: no pointers.
    #[expect(unsafe_code, reason = "nix has it only with one more feature")]
    let size = unsafe { nix::libc::sysconf(nix::libc::_SC_PAGESIZE) };
    // It cannot fail on Linux.
    usize::try_from(size).unwrap_or(4096)
}
