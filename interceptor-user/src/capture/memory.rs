//! Events from memory, and conversations to make them of: for tests, of this crate and of others.

use std::{net::SocketAddr, time::Duration};

use super::{Polled, Source};
use crate::model::{
    Endpoint, Event, LossReason, LossReport, Owner, Segment, Side, SocketChange, SocketReport, TcpFlags, Timestamp,
};

/// Events that one [`MemorySource::poll`] hands over at the most.
const BATCH: usize = 256;

/// A [`Segment`] that owns its payload.
#[derive(Clone, Debug)]
pub struct OwnedSegment {
    /// See [`Segment::time`].
    pub time: Timestamp,
    /// See [`Segment::zone`].
    pub zone: u32,
    /// See [`Segment::source`].
    pub source: Endpoint,
    /// See [`Segment::destination`].
    pub destination: Endpoint,
    /// See [`Segment::seq`].
    pub seq: u32,
    /// See [`Segment::ack`].
    pub ack: u32,
    /// See [`Segment::flags`].
    pub flags: TcpFlags,
    /// See [`Segment::window`].
    pub window: u16,
    /// See [`Segment::payload`].
    pub payload: Vec<u8>,
    /// See [`Segment::wire_len`].
    pub wire_len: u32,
    /// See [`Segment::cut`].
    pub cut: Option<LossReason>,
    /// See [`Segment::socket`].
    pub socket: Option<(Owner, u64, u64)>,
    /// See [`Segment::interface`].
    pub interface: u32,
}

impl OwnedSegment {
    /// As a source hands it over.
    pub fn borrow(&self) -> Segment<'_> {
        Segment {
            time: self.time,
            zone: self.zone,
            source: self.source,
            destination: self.destination,
            seq: self.seq,
            ack: self.ack,
            flags: self.flags,
            window: self.window,
            payload: &self.payload,
            wire_len: self.wire_len,
            cut: self.cut,
            socket: self.socket,
            interface: self.interface,
        }
    }

    /// What the kernel reports of the socket that sent this.
    pub const fn report(&self, change: SocketChange) -> SocketReport {
        SocketReport {
            time: self.time,
            zone: self.zone,
            change,
            local: self.source,
            remote: self.destination,
            cookie: 0,
            cgroup: None,
            process: None,
            srtt: Duration::ZERO,
            retransmits: 0,
            bytes_acked: 0,
            bytes_received: 0,
        }
    }

    /// That it closed, with the kernel's counters.
    pub fn closed(&self, bytes_acked: u64, bytes_received: u64) -> SocketReport {
        SocketReport { bytes_acked, bytes_received, ..self.report(SocketChange::Closed) }
    }
}

/// An [`Event`] that owns what it holds.
#[derive(Clone, Debug)]
pub enum OwnedEvent {
    /// See [`Event::Segment`].
    Segment(OwnedSegment),
    /// See [`Event::Socket`].
    Socket(SocketReport),
    /// See [`Event::Loss`].
    Loss(LossReport),
}

impl OwnedEvent {
    /// As a source hands it over.
    pub fn borrow(&self) -> Event<'_> {
        match self {
            Self::Segment(segment) => Event::Segment(segment.borrow()),
            Self::Socket(report) => Event::Socket(report.clone()),
            Self::Loss(report) => Event::Loss(*report),
        }
    }
}

impl From<OwnedSegment> for OwnedEvent {
    fn from(segment: OwnedSegment) -> Self {
        Self::Segment(segment)
    }
}

/// A [`Source`] that hands over events from memory.
pub struct MemorySource {
    events: std::vec::IntoIter<OwnedEvent>,
    now: Timestamp,
}

impl MemorySource {
    /// Hands over these, in this order.
    pub fn new<E: Into<OwnedEvent>>(events: impl IntoIterator<Item = E>) -> Self {
        let events: Vec<OwnedEvent> = events.into_iter().map(Into::into).collect();
        Self { events: events.into_iter(), now: Timestamp::default() }
    }
}

impl Source for MemorySource {
    fn poll<F: FnMut(Event<'_>)>(&mut self, _timeout: Duration, mut take: F) -> anyhow::Result<Polled> {
        if self.events.len() == 0 {
            return Ok(Polled::End);
        }
        for event in self.events.by_ref().take(BATCH) {
            match &event {
                OwnedEvent::Segment(segment) => self.now = segment.time,
                OwnedEvent::Socket(report) => self.now = report.time,
                OwnedEvent::Loss(_) => {}
            }
            take(event.borrow());
        }
        Ok(Polled::Events { now: self.now })
    }
}

/// A TCP connection, written as what its ends do, read as the segments that this makes on the wire.
///
/// Every segment comes one `step` after the one before. Data is acknowledged by the other side's next segment only,
/// as TCP does when it has something to say; [`Conversation::ack`] makes a pure acknowledgement.
#[derive(Clone, Debug)]
pub struct Conversation {
    ends: [Endpoint; 2],
    next: [u32; 2],
    now: Timestamp,
    step: Duration,
    mss: usize,
    segments: Vec<OwnedSegment>,
}

impl Conversation {
    /// Between these addresses, with arbitrary initial sequence numbers; nothing is sent yet.
    pub fn new(client: SocketAddr, server: SocketAddr) -> Self {
        Self {
            ends: [client.into(), server.into()],
            next: [1_000, 5_000_000],
            now: Timestamp::from_nanos(1_700_000_000_000_000_000),
            step: Duration::from_micros(100),
            mss: 1460,
            segments: Vec::new(),
        }
    }

    /// From port 40000 to port 80, on documentation addresses.
    pub fn http() -> Self {
        Self::new(SocketAddr::from(([192, 0, 2, 1], 40_000)), SocketAddr::from(([192, 0, 2, 2], 80)))
    }

    /// With these initial sequence numbers (of the SYNs).
    #[must_use]
    pub const fn isns(mut self, client: u32, server: u32) -> Self {
        self.next = [client, server];
        self
    }

    /// The next segment comes at this time.
    #[must_use]
    pub const fn at(mut self, time: Timestamp) -> Self {
        self.now = time;
        self
    }

    /// The next segment comes this much later.
    #[must_use]
    pub fn wait(mut self, time: Duration) -> Self {
        self.now = self.now + time;
        self
    }

    /// From now on data is cut into segments of at most this size.
    #[must_use]
    pub fn mss(mut self, mss: usize) -> Self {
        self.mss = mss.max(1);
        self
    }

    /// The handshake.
    #[must_use]
    pub fn open(self) -> Self {
        let syn_ack = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
        self.segment(Side::Client, TcpFlags::SYN, b"").segment(Side::Server, syn_ack, b"").ack(Side::Client)
    }

    /// The client sends this.
    #[must_use]
    pub fn client(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(Side::Client, bytes.as_ref())
    }

    /// The server sends this.
    #[must_use]
    pub fn server(self, bytes: impl AsRef<[u8]>) -> Self {
        self.send(Side::Server, bytes.as_ref())
    }

    /// This side sends this, in segments of at most the MSS.
    #[must_use]
    pub fn send(mut self, side: Side, bytes: &[u8]) -> Self {
        for piece in bytes.chunks(self.mss) {
            self = self.segment(side, TcpFlags::ACK, piece);
        }
        self
    }

    /// This side acknowledges all that the other sent.
    #[must_use]
    pub fn ack(self, side: Side) -> Self {
        self.segment(side, TcpFlags::ACK, b"")
    }

    /// The same, and has no room for more.
    #[must_use]
    pub fn full(mut self, side: Side) -> Self {
        self = self.ack(side);
        if let Some(last) = self.segments.last_mut() {
            last.window = 0;
        }
        self
    }

    /// This side sends FIN.
    #[must_use]
    pub fn fin(self, side: Side) -> Self {
        self.segment(side, TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0), b"")
    }

    /// Both sides send FIN, the client first.
    #[must_use]
    pub fn close(self) -> Self {
        self.fin(Side::Client).fin(Side::Server).ack(Side::Client)
    }

    /// This side resets the connection.
    #[must_use]
    pub fn reset(self, side: Side) -> Self {
        self.segment(side, TcpFlags(TcpFlags::RST.0 | TcpFlags::ACK.0), b"")
    }

    /// One segment with these flags and this payload; SYN and FIN count one in sequence space.
    #[must_use]
    pub fn segment(mut self, side: Side, flags: TcpFlags, payload: &[u8]) -> Self {
        let (own, peer) = if side == Side::Client { (0, 1) } else { (1, 0) };
        self.segments.push(OwnedSegment {
            time: self.now,
            zone: 0,
            source: self.ends[own],
            destination: self.ends[peer],
            seq: self.next[own],
            ack: if flags.has(TcpFlags::ACK) { self.next[peer] } else { 0 },
            flags,
            window: u16::MAX,
            payload: payload.to_vec(),
            wire_len: payload.len() as u32,
            cut: None,
            socket: None,
            interface: 0,
        });
        let control = u32::from(flags.has(TcpFlags::SYN)) + u32::from(flags.has(TcpFlags::FIN));
        self.next[own] = self.next[own].wrapping_add(payload.len() as u32 + control);
        self.now = self.now + self.step;
        self
    }

    /// The segments so far are taken away; what is said next goes on from here.
    pub fn take(&mut self) -> Vec<OwnedSegment> {
        std::mem::take(&mut self.segments)
    }

    /// The segments so far.
    pub fn segments(self) -> Vec<OwnedSegment> {
        self.segments
    }

    /// The segments so far, as a source.
    pub fn source(self) -> MemorySource {
        MemorySource::new(self.segments)
    }
}
