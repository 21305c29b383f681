//! Ring output: size classes, pieces, wake-ups, and the counting of what found no room.

use core::{arch::asm, mem::MaybeUninit, ptr};

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::generated::{bpf_get_smp_processor_id, bpf_ktime_get_ns, bpf_ringbuf_query},
};
use interceptor_common::{
    ABI_VERSION, CaptureConfig, DropReason, EVENT_SEGMENT, EventHeader, LostKey, MissedKey, PIECE_MAX, PIECES_MAX,
    RINGS_MAX, SegmentEvent, SocketEvent,
};

use crate::{
    maps::{DROPS, EVENTS, LOST, MISSED_SOCKETS, Ring, TAKEN},
    packet::Skb,
};

const HEADER: usize = size_of::<SegmentEvent>();
/// A full piece with its header.
const FULL: usize = HEADER + PIECE_MAX;
/// Segments on one CPU between two looks at the ring's fill; a power of two.
const WAKE_EVERY: u64 = 64;
/// Payload from which the ring's fill is always looked at.
const BULK: u32 = 16 * 1024;

/// Counts one packet that is not handed over, or not whole.
#[inline(always)]
pub fn count_drop(reason: DropReason, bytes: u32) {
    if let Some(count) = DROPS.get_ptr_mut(reason as u32) {
        // SAFETY: a map value.
        unsafe {
            add(&raw mut (*count).packets, 1);
            add(&raw mut (*count).bytes, u64::from(bytes));
        }
    }
}

/// Adds atomically: a softirq may interrupt a cgroup_skb program and run it again on the same CPU, and values that are
/// not per CPU are shared anyway. `core` has no 64-bit atomics for this target.
///
/// # Safety
/// `to` must point at eight bytes of a map value, aligned to eight.
#[inline(always)]
pub unsafe fn add(to: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { asm!("lock *(u64 *)({to} + 0) += {value}", to = in(reg) to, value = in(reg) value) };
}

/// Makes an event of zeros in place. Of any plainer way the compiler makes a memset that goes byte by byte.
#[inline(always)]
pub fn zeroed<T: Event>(event: &mut MaybeUninit<T>) -> &mut T {
    let words = event.as_mut_ptr().cast::<u64>();
    // SAFETY: events are whole words long, aligned to words, and integers only.
    unsafe {
        for at in 0..size_of::<T>() / size_of::<u64>() {
            words.add(at).write_volatile(0);
        }
        event.assume_init_mut()
    }
}

/// What begins with an [`EventHeader`]: whole words of plain integers.
pub trait Event {}
impl Event for SegmentEvent {}
impl Event for SocketEvent {}

#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// The ring of this CPU. `None` is what the verifier insists on: userspace has put a ring in each place.
#[inline(always)]
fn ring(config: &CaptureConfig) -> Option<&'static Ring> {
    // SAFETY: no arguments.
    let cpu = unsafe { bpf_get_smp_processor_id() } as u32;
    EVENTS.get(cpu & config.ring_mask & (RINGS_MAX as u32 - 1))
}

/// Hands over the first `wanted` bytes of a segment's payload, in pieces where it is long. `event` is complete but for
/// `offset`, `captured` and the header.
#[inline(always)]
pub fn segment(skb: Skb, config: &CaptureConfig, event: &mut SegmentEvent, payload_at: u32, wanted: u32) {
    let Some(ring) = ring(config) else {
        lost(event, DropReason::HelperFailed, wanted);
        count_drop(DropReason::HelperFailed, wanted);
        return;
    };
    let to = Output { ring, wake: wake_flag(config, ring, wanted) };
    let cut = event.cut;
    let mut done = 0;
    let mut failed = None;
    if wanted >= PIECE_MAX as u32 {
        // The offset is a constant in each round, not a sum carried along: else the verifier explores every sum.
        for piece in 0..PIECES_MAX as u32 {
            let offset = piece * PIECE_MAX as u32;
            if wanted - offset < PIECE_MAX as u32 {
                break;
            }
            event.offset = offset;
            event.captured = PIECE_MAX as u32;
            event.cut = 0;
            if let Err(reason) = full_piece(to, skb, event, payload_at + offset) {
                failed = Some(reason);
                break;
            }
            done = offset + PIECE_MAX as u32;
        }
        if failed.is_none() && wanted - done >= PIECE_MAX as u32 {
            failed = Some(DropReason::Oversized);
        }
    }
    // A segment without payload (SYN, FIN, RST) is a record too, and so is the end of a cut one, which says why nothing
    // follows; that of an exact multiple of pieces is not. What the pieces say must not depend on which is the last: the
    // verifier would go through all that follow twice.
    if failed.is_none() && (done < wanted || wanted == 0 || cut != 0) {
        event.offset = done;
        event.captured = wanted - done;
        event.cut = cut;
        match last_piece(to, skb, event, payload_at + done) {
            Ok(()) => done = wanted,
            Err(reason) => failed = Some(reason),
        }
    }
    if let Some(reason) = failed {
        // In this order: userspace looks at the map only when the count has changed, and must find the bytes then.
        lost(event, reason, wanted - done);
        count_drop(reason, wanted - done);
    }
    if failed.is_some() && done == 0 {
        return;
    }
    if let Some(taken) = TAKEN.get_ptr_mut(0) {
        // SAFETY: a map value.
        unsafe {
            add(&raw mut (*taken).packets, 1);
            add(&raw mut (*taken).bytes, u64::from(done));
        }
    }
}

/// Looks at the ring's fill now and then: a wake-up costs more than a record, so the reader polls, and is woken only
/// if more than `wake_bytes` are waiting. Packets that find no room do not count: they wake nobody.
#[inline(always)]
fn wake_flag(config: &CaptureConfig, ring: &Ring, wanted: u32) -> u64 {
    let Some(taken) = TAKEN.get_ptr_mut(0) else { return u64::from(BPF_RB_NO_WAKEUP) };
    // SAFETY: a map value.
    let packets = unsafe { (*taken).packets };
    let look = packets % WAKE_EVERY == 0 || wanted >= BULK;
    if look && fill(ring) > u64::from(config.wake_bytes) {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Bytes that wait in a ring.
#[inline(always)]
fn fill(ring: &Ring) -> u64 {
    // SAFETY: a ring is nothing but its address here.
    unsafe { bpf_ringbuf_query(ptr::from_ref(ring).cast_mut().cast(), u64::from(BPF_RB_AVAIL_DATA)) }
}

/// Where a segment goes, and whether the reader is woken for it.
#[derive(Clone, Copy)]
struct Output {
    ring: &'static Ring,
    wake: u64,
}

#[inline(always)]
fn full_piece(to: Output, skb: Skb, event: &mut SegmentEvent, at: u32) -> Result<(), DropReason> {
    // SAFETY: the record has room for the header and a whole piece.
    reserve_and_fill::<FULL>(to, event, |room| unsafe { skb.copy(at, room, PIECE_MAX as u64) })
}

/// The piece that is shorter than [`PIECE_MAX`], in the smallest size class that holds it: the verifier wants record
/// sizes to be constants, and this way the payload is copied once, into the ring.
#[inline(always)]
fn last_piece(to: Output, skb: Skb, event: &mut SegmentEvent, at: u32) -> Result<(), DropReason> {
    // Read back from the stack, where it is a number like any other. Of the difference that it is, older kernels (to 6.1) know
    // some bits, and conclude from these and from the comparisons below that it is 0.
    // SAFETY: it is there.
    let len = unsafe { (&raw const event.captured).read_volatile() };
    macro_rules! class {
        ($($size:literal)*) => {
            $(if len <= ($size - HEADER) as u32 {
                return partial_piece::<$size, { $size - HEADER }>(to, skb, event, at, len);
            })*
        };
    }
    if len == 0 {
        return reserve_and_fill::<HEADER>(to, event, |_| true);
    }
    class!(256 512 1024 2048 4096 8192 16384);
    partial_piece::<FULL, PIECE_MAX>(to, skb, event, at, len)
}

#[inline(always)]
fn partial_piece<const RECORD: usize, const ROOM: usize>(
    to: Output,
    skb: Skb,
    event: &mut SegmentEvent,
    at: u32,
    len: u32,
) -> Result<(), DropReason> {
    let len = clamp::<ROOM>(len);
    // SAFETY: `clamp` keeps the length within the record's room.
    reserve_and_fill::<RECORD>(to, event, |room| unsafe { skb.copy(at, room, len) })
}

/// Makes the verifier see `1 <= len <= ROOM`. It is true already, but older kernels (to 6.1) do not learn it from what
/// the compiler makes of comparisons, and the compiler must not remove this one.
#[inline(always)]
fn clamp<const ROOM: usize>(len: u32) -> u64 {
    let mut len = u64::from(len);
    // SAFETY: registers only.
    unsafe {
        asm!(
            "if {len} > 0 goto +1",
            "{len} = 1",
            "if {len} < {over} goto +1",
            "{len} = {room}",
            len = inout(reg) len,
            over = const ROOM + 1,
            room = const ROOM,
        );
    }
    len
}

#[inline(always)]
fn reserve_and_fill<const RECORD: usize>(
    to: Output,
    event: &mut SegmentEvent,
    fill: impl FnOnce(*mut u8) -> bool,
) -> Result<(), DropReason> {
    let Some(mut record) = to.ring.reserve_untyped::<[u8; RECORD]>(0) else { return Err(DropReason::RingFull) };
    event.header = EventHeader { version: ABI_VERSION, kind: EVENT_SEGMENT, len: (HEADER as u32) + event.captured };
    let start = record.as_mut_ptr().cast::<u8>();
    // SAFETY: every record is at least HEADER bytes long, and aligned to 8.
    let filled = unsafe {
        ptr::copy_nonoverlapping(event, start.cast::<SegmentEvent>(), 1);
        fill(start.add(HEADER))
    };
    if filled {
        record.submit(to.wake);
        Ok(())
    } else {
        record.discard(u64::from(BPF_RB_NO_WAKEUP));
        Err(DropReason::HelperFailed)
    }
}

/// Remembers whose bytes were lost, for the ledger.
#[inline(always)]
fn lost(event: &SegmentEvent, reason: DropReason, bytes: u32) {
    if bytes == 0 {
        return;
    }
    let key = LostKey { key: event.key, reason: reason as u32 };
    if let Some(sum) = LOST.get_ptr_mut(key) {
        // SAFETY: a map value.
        unsafe { add(sum, u64::from(bytes)) };
    } else if LOST.insert(key, u64::from(bytes), 0).is_err() {
        count_drop(DropReason::MapFull, bytes);
    }
}

/// Hands over a socket event. One that finds no room is kept for userspace to sweep: counters of a closed socket come
/// only once.
#[inline(always)]
pub fn socket(config: &CaptureConfig, event: &SocketEvent) {
    let flag = u64::from(BPF_RB_NO_WAKEUP);
    if ring(config).is_some_and(|ring| ring.output_untyped::<SocketEvent>(event, flag).is_ok()) {
        return;
    }
    let key = MissedKey { cookie: event.cookie, op: u64::from(event.op) };
    if MISSED_SOCKETS.insert(key, event, 0).is_err() {
        count_drop(DropReason::MapFull, 0);
    }
    // After the map, as in `segment`.
    count_drop(DropReason::RingFull, 0);
}
