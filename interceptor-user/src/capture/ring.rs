//! The live source: the kernel's ring.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, ensure};
use interceptor_common::{
    ABI_VERSION, DropReason, EVENT_SEGMENT, EVENT_SOCKET, EventHeader, LostKey, OWNER_DESTINATION, OWNER_SOURCE,
    SOCKET_OPENED_ACTIVE, SOCKET_OPENED_PASSIVE, SegmentEvent, SocketEvent, TupleKey,
};
use nix::time::{ClockId, clock_gettime};

use super::{Polled, Source};
use crate::{
    kernel::{Rings, Sweep},
    model::{
        Endpoint, Event, LossReason, LossReport, Owner, Process, Segment, SocketChange, SocketReport, TcpFlags,
        Timestamp,
    },
};

/// Records handed over in one [`Source::poll`] at the most.
const BATCH: usize = 1024;
/// How long records wait at the most. The kernel wakes us only if a ring fills up: a wake-up costs more than a record.
const TICK: Duration = Duration::from_millis(50);
/// How often the maps are swept in which the kernel keeps what found no room in the ring.
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// A step of the wall clock (or a suspend) that is followed; less is adjustment, and following it would make time
/// between events jitter.
const CLOCK_STEP: u64 = 500_000_000;

/// Reads events out of the rings of one [`crate::kernel::Capture`].
pub struct RingSource {
    rings: Rings,
    sweep: Sweep,
    clock: Clock,
    swept: u64,
    /// The last batch was full: there is more.
    more: bool,
}

impl RingSource {
    pub(crate) fn new(rings: Rings, sweep: Sweep) -> anyhow::Result<Self> {
        Ok(Self { rings, sweep, clock: Clock::new()?, swept: 0, more: true })
    }

    /// Hands over what found no room in the ring, if it is time to look.
    fn sweep(&mut self, now: u64, take: &mut impl FnMut(Event<'_>)) -> anyhow::Result<usize> {
        if now < self.swept + SWEEP_EVERY.as_nanos() as u64 {
            return Ok(0);
        }
        self.swept = now;
        self.clock.follow()?;
        let clock = self.clock;
        let mut losses = Vec::new();
        let mut sockets = Vec::new();
        self.sweep.run(|key, bytes| losses.extend(loss(key, bytes)), |event| sockets.push(*event))?;
        let count = losses.len() + sockets.len();
        for loss in losses {
            take(Event::Loss(loss));
        }
        for event in &sockets {
            take(Event::Socket(report(event, clock)));
        }
        Ok(count)
    }
}

impl Source for RingSource {
    fn poll<F: FnMut(Event<'_>)>(&mut self, timeout: Duration, mut take: F) -> anyhow::Result<Polled> {
        if !self.more {
            self.rings.wait(timeout.min(TICK))?;
        }
        let now = monotonic()?;
        let Self { rings, clock, .. } = self;
        // Segments are borrowed: their payload lies in the ring.
        let mut count = rings.drain(now, BATCH, |record| event(record, *clock).map(&mut take))?;
        self.more = count == BATCH;
        count += self.sweep(now, &mut take)?;
        let now = self.clock.wall(now);
        Ok(if count == 0 { Polled::Idle { now } } else { Polled::Events { now } })
    }
}

/// `CLOCK_MONOTONIC`, in which the kernel stamps events, to wall-clock time.
#[derive(Clone, Copy)]
struct Clock {
    offset: u64,
}

impl Clock {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { offset: Self::measure()? })
    }

    fn measure() -> anyhow::Result<u64> {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        Ok((wall.as_nanos() as u64).saturating_sub(monotonic()?))
    }

    fn follow(&mut self) -> anyhow::Result<()> {
        let offset = Self::measure()?;
        if offset.abs_diff(self.offset) > CLOCK_STEP {
            self.offset = offset;
        }
        Ok(())
    }

    const fn wall(self, monotonic: u64) -> Timestamp {
        Timestamp::from_nanos(self.offset.saturating_add(monotonic))
    }
}

fn monotonic() -> anyhow::Result<u64> {
    let now: Duration = clock_gettime(ClockId::CLOCK_MONOTONIC).context("no monotonic clock")?.into();
    Ok(now.as_nanos() as u64)
}

/// A record of the ring.
fn event(record: &[u8], clock: Clock) -> anyhow::Result<Event<'_>> {
    let header = EventHeader::read(record).context("a ring record is too short")?;
    ensure!(
        header.version == ABI_VERSION,
        "the kernel object speaks version {} and this program {ABI_VERSION}: build both with `cargo xtask build`",
        header.version
    );
    let short = || format!("a ring record of kind {} is too short ({} bytes)", header.kind, record.len());
    match header.kind {
        EVENT_SEGMENT => {
            let (event, payload) = SegmentEvent::read(record).with_context(short)?;
            Ok(Event::Segment(segment(&event, payload, clock)))
        }
        EVENT_SOCKET => {
            let event = SocketEvent::read(record).with_context(short)?;
            Ok(Event::Socket(report(&event, clock)))
        }
        kind => anyhow::bail!("a ring record of unknown kind {kind}"),
    }
}

const fn source(key: &TupleKey) -> Endpoint {
    Endpoint::from_mapped(key.source, key.source_port)
}

const fn destination(key: &TupleKey) -> Endpoint {
    Endpoint::from_mapped(key.destination, key.destination_port)
}

fn segment<'a>(event: &SegmentEvent, payload: &'a [u8], clock: Clock) -> Segment<'a> {
    let mut flags = event.flags;
    let mut seq = event.seq.wrapping_add(event.offset);
    // The SYN takes the first sequence number (RFC 9293 section 3.4), and belongs to the first piece.
    if event.offset != 0 && TcpFlags(flags).has(TcpFlags::SYN) {
        seq = seq.wrapping_add(1);
        flags &= !TcpFlags::SYN.0;
    }
    let cut = u32::from(event.cut).checked_sub(1).and_then(loss_reason);
    let rest = event.payload_len.saturating_sub(event.offset);
    let last = cut.is_some() || event.captured == rest;
    if !last {
        flags &= !(TcpFlags::FIN.0 | TcpFlags::RST.0);
    }
    let owner = match event.owner {
        OWNER_SOURCE => Some(Owner::Source),
        OWNER_DESTINATION => Some(Owner::Destination),
        _ => None,
    };
    Segment {
        time: clock.wall(event.time_ns),
        zone: event.key.zone,
        source: source(&event.key),
        destination: destination(&event.key),
        seq,
        ack: event.ack,
        flags: TcpFlags(flags),
        window: event.window,
        payload,
        // Of a cut skb, the last piece stands for all that follows it.
        wire_len: if cut.is_some() { rest } else { event.captured },
        cut,
        socket: owner.map(|owner| (owner, event.cookie, event.cgroup_id)),
        interface: event.ifindex,
    }
}

fn report(event: &SocketEvent, clock: Clock) -> SocketReport {
    let command = event.command.split(|byte| *byte == 0).next().unwrap_or_default();
    SocketReport {
        time: clock.wall(event.time_ns),
        zone: event.key.zone,
        change: match event.op {
            SOCKET_OPENED_ACTIVE => SocketChange::OpenedActive,
            SOCKET_OPENED_PASSIVE => SocketChange::OpenedPassive,
            _ => SocketChange::Closed,
        },
        local: source(&event.key),
        remote: destination(&event.key),
        cookie: event.cookie,
        cgroup: (event.cgroup_id != 0).then_some(event.cgroup_id),
        process: (event.pid != 0)
            .then(|| Process { pid: event.pid, command: Arc::from(String::from_utf8_lossy(command)) }),
        srtt: Duration::from_micros(u64::from(event.srtt_us)),
        retransmits: event.retransmits,
        bytes_acked: event.bytes_acked,
        bytes_received: event.bytes_received,
    }
}

fn loss(key: &LostKey, bytes: u64) -> Option<LossReport> {
    let reason = loss_reason(key.reason)?;
    Some(LossReport { zone: key.key.zone, source: source(&key.key), destination: destination(&key.key), bytes, reason })
}

/// What a kernel-side reason is in the ledger; `None` where it is no loss.
fn loss_reason(reason: u32) -> Option<LossReason> {
    match DropReason::ALL.get(reason as usize)? {
        DropReason::RingFull => Some(LossReason::RingFull),
        DropReason::CutOff => Some(LossReason::SkippedByPolicy),
        DropReason::PayloadLimit => Some(LossReason::PayloadLimit),
        DropReason::Unparseable | DropReason::Fragment | DropReason::Oversized | DropReason::HelperFailed => {
            Some(LossReason::Unreadable)
        }
        DropReason::Sampled | DropReason::Filtered | DropReason::MapFull | DropReason::NoRule | DropReason::Inline => {
            None
        }
    }
}
