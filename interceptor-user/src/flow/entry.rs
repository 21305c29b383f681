//! One flow: its two directions, what is known of it, and where it stands.
//!
//! States, beside those of the two directions (which are RFC 9293's, seen from outside):
//!
//! ```text
//!          both FINs handed over, or an exact RST
//!   Open ───────────────────────────────────────────► Over ──(linger)──► ended
//!    │└──► Closing ──(linger)──► ended                 ▲ ▲
//!    │ a socket reports that it is closed └────────────┘ │
//!    └───► Doubted ──(linger)──► ended                   │
//!      ▲   │ an inexact RST  └───────────────────────────┘
//!      └───┘ the stream goes on
//! ```
//!
//! `Over` takes no more bytes: a receiver would not either. `Closing` and `Doubted` do: the last segments of a
//! connection may come after the report, and a receiver does not believe an inexact RST (see [`reset`](super::reset)).

use std::sync::Arc;

use super::{
    direction::{Direction, Incoming},
    handshake::Handshake,
    reset::{Doubt, Verdict},
    seq::distance,
    shared::Shared,
};
use crate::model::{FlowEnd, FlowEvent, FlowInfo, Ledger, LossReason, Segment, Side, TcpFlags, Timestamp};

/// Where a flow stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// A socket says that it is closed.
    Closing {
        since: Timestamp,
    },
    /// A reset came whose sequence number is near, yet not the next one. Ended by time, it was believed.
    Doubted {
        since: Timestamp,
        reset: Doubt,
    },
    Over {
        end: FlowEnd,
        since: Timestamp,
    },
}

/// A SYN on a flow that is open: perhaps the beginning of the next one. Anybody can send a SYN, and an established
/// peer answers it with a mere ACK (RFC 9293 section 3.10.7.4), so it counts only once the peer accepts it.
#[derive(Clone, Copy)]
struct Candidate {
    side: Side,
    isn: u32,
    /// Bytes in the SYN (TCP Fast Open), which its acknowledgement may include.
    len: u32,
    time: Timestamp,
}

/// What a SYN, or an answer to one, means for a flow that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incarnation {
    /// The segment belongs to this flow.
    Same,
    /// It begins another flow.
    New,
    /// It confirms another flow, which was opened with this sequence number.
    Confirmed {
        /// The one who opened it goes on; else its peer accepts it.
        by_opener: bool,
        isn: u32,
        time: Timestamp,
    },
}

pub(super) struct Flow<S> {
    pub(super) info: Arc<FlowInfo>,
    pub(super) state: S,
    pub(super) phase: Phase,
    pub(super) last: Timestamp,
    /// No segment of the handshake was seen when it was opened.
    pub(super) late: bool,
    pub(super) client: Direction,
    pub(super) server: Direction,
    /// Is the client the key's lower end?
    pub(super) client_low: bool,
    /// Both ends are the same socket (a self-connection): what it acknowledges is its own.
    single: bool,
    /// Cookie and cgroup of these ends are known: client, server.
    pub(super) known: [bool; 2],
    candidate: Option<Candidate>,
    handshake: Handshake,
}

impl<S: Default> Flow<S> {
    pub(super) fn new(info: FlowInfo, late: bool) -> Self {
        let (key, joined) = (info.key, info.joined);
        let (client, server) = (info.client.endpoint, info.server.endpoint);
        Self {
            phase: Phase::Open,
            last: info.start,
            late,
            info: Arc::new(info),
            state: S::default(),
            client: Direction::new(Side::Client, joined),
            server: Direction::new(Side::Server, joined),
            client_low: client == key.low(),
            single: client == server,
            known: [false; 2],
            candidate: None,
            handshake: Handshake::default(),
        }
    }
}

impl<S> Flow<S> {
    /// Which side sent this segment.
    #[inline]
    pub(super) fn sender(&self, from_low: bool) -> Side {
        if from_low == self.client_low { Side::Client } else { Side::Server }
    }

    pub(super) const fn side(&self, side: Side) -> &Direction {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    pub(super) const fn side_mut(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Does a segment with SYN begin another flow, or one that answers it?
    #[inline]
    pub(super) fn incarnation(&mut self, side: Side, segment: &Segment<'_>) -> Incarnation {
        if !segment.flags.has(TcpFlags::SYN) && self.candidate.is_none() {
            return Incarnation::Same;
        }
        self.judge(side, segment)
    }

    #[cold]
    fn judge(&mut self, side: Side, segment: &Segment<'_>) -> Incarnation {
        let syn = segment.flags.has(TcpFlags::SYN);
        let ack = segment.flags.has(TcpFlags::ACK);
        if segment.flags.has(TcpFlags::RST) {
            return Incarnation::Same;
        }
        if let Some(Candidate { side: opener, isn, len, time }) = self.candidate {
            let first = isn.wrapping_add(1);
            let accepted = syn && ack && side != opener && segment.ack.wrapping_sub(first) <= len;
            // The SYN+ACK may have escaped us; then the opener going on from its SYN tells.
            let goes_on = !syn && ack && side == opener && segment.seq == first && first != self.side(side).next;
            if accepted || goes_on {
                return Incarnation::Confirmed { by_opener: goes_on, isn, time };
            }
        }
        let own = self.side(side);
        let fits = own.isn == Some(segment.seq)
            || (own.isn.is_none() && (!own.known || own.next == segment.seq.wrapping_add(1)));
        if !syn || fits {
            return Incarnation::Same;
        }
        if self.phase != Phase::Open {
            return Incarnation::New;
        }
        if !ack {
            let len = segment.wire_len.max(segment.payload.len() as u32);
            self.candidate = Some(Candidate { side, isn: segment.seq, len, time: segment.time });
        }
        Incarnation::Same
    }

    /// Takes a segment of this flow.
    #[inline]
    pub(super) fn segment(
        &mut self,
        side: Side,
        segment: &Segment<'_>,
        shared: &mut Shared,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        self.last = segment.time;
        if let Some((owner, cookie, cgroup)) = segment.socket
            && self.note_socket(side, owner, cookie, cgroup)
        {
            deliver(&mut self.info, &mut self.state, FlowEvent::CgroupKnown);
        }
        if let Phase::Over { .. } = self.phase {
            let len = segment.payload.len() as u64;
            let own = self.side_mut(side);
            if own.known && !own.finished && distance(segment.seq, own.next) >= 0 {
                shared.stats.after_end_bytes += len;
            } else {
                own.ledger.duplicate += len;
            }
            return;
        }
        let flags = segment.flags;
        if flags.0 & (TcpFlags::RST.0 | TcpFlags::SYN.0) != 0 {
            if flags.has(TcpFlags::RST) {
                let verdict = self.judge_reset(side, segment);
                return self.reset(verdict, segment.time, shared, deliver);
            }
            let own = self.side_mut(side);
            if own.isn.is_none() {
                own.open(segment.seq);
            } else if own.isn != Some(segment.seq) {
                return; // a candidate, noted already
            }
        }
        if self.handshake.is_open()
            && !self.single
            && let Some(round_trip) = self.handshake.segment(side, flags, segment.time)
        {
            // A socket knows better.
            Arc::make_mut(&mut self.info).round_trip.get_or_insert(round_trip);
        }
        let Self { info, state, client, server, single, .. } = self;
        let mut emit = |event: FlowEvent<'_>| deliver(info, state, event);
        let (own, peer) = match side {
            Side::Client => (client, server),
            Side::Server => (server, client),
        };
        // First what it proves of the peer's bytes, then its own: an answer never comes before what it answers.
        if flags.has(TcpFlags::ACK) && !*single {
            peer.acknowledge(segment.ack, segment.time, shared, &mut emit);
        }
        let incoming = incoming(segment);
        own.begin(incoming.seq);
        if !incoming.payload.is_empty() || incoming.cut.is_some() || incoming.fin {
            own.segment(&incoming, peer.queued(), shared, &mut emit);
        }
        // That of a SYN is not the one that counts.
        if (segment.window == 0 || own.full) && !flags.has(TcpFlags::SYN) {
            own.full = segment.window == 0;
            emit(FlowEvent::Window { side, full: own.full, time: segment.time });
        }
        if own.finished && (peer.finished || *single) {
            self.phase = Phase::Over { end: FlowEnd::Closed, since: segment.time };
        } else if let Phase::Doubted { reset, .. } = self.phase {
            let verdict = self.judge_again(reset, side, segment);
            self.reset(verdict, segment.time, shared, deliver);
        }
    }

    /// Acts on a reset, or on what became of one.
    #[cold]
    fn reset(
        &mut self,
        verdict: Verdict,
        time: Timestamp,
        shared: &mut Shared,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        match verdict {
            Verdict::Believed => {
                self.flush(time, shared, deliver);
                self.phase = Phase::Over { end: FlowEnd::Reset, since: time };
            }
            Verdict::Doubted(reset) => {
                if self.phase == Phase::Open {
                    self.phase = Phase::Doubted { since: time, reset };
                }
            }
            Verdict::Ignored => shared.stats.resets_ignored += 1,
            Verdict::Refuted => {
                shared.stats.resets_ignored += 1;
                self.phase = Phase::Open;
            }
        }
    }

    /// Hands over everything that still waits.
    fn flush(
        &mut self,
        time: Timestamp,
        shared: &mut Shared,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        for side in Side::BOTH {
            let Self { info, state, client, server, .. } = self;
            let direction = if side == Side::Client { client } else { server };
            direction.flush(time, shared, &mut |event| deliver(info, state, event));
        }
    }

    /// Gives up the first hole of one side.
    pub(super) fn give_up(
        &mut self,
        side: Side,
        time: Timestamp,
        shared: &mut Shared,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        let Self { info, state, client, server, .. } = self;
        let direction = if side == Side::Client { client } else { server };
        direction.give_up_front(time, shared, &mut |event| deliver(info, state, event));
        if self.client.finished && self.server.finished && !matches!(self.phase, Phase::Over { .. }) {
            self.phase = Phase::Over { end: FlowEnd::Closed, since: time };
        }
    }

    /// The end: what waits, then the ledger.
    pub(super) fn end(
        mut self,
        end: FlowEnd,
        time: Timestamp,
        shared: &mut Shared,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        self.flush(self.last, shared, deliver);
        for side in Side::BOTH {
            let Self { info, state, client, server, last, .. } = &mut self;
            let direction = if side == Side::Client { client } else { server };
            direction.lose_tail(*last, &mut |event| deliver(info, state, event));
        }
        // What closed by itself did so then, not when we forget it.
        let (end, time) = match self.phase {
            Phase::Open => (end, time),
            Phase::Closing { since } => (FlowEnd::Closed, since),
            Phase::Doubted { since, .. } => (FlowEnd::Reset, since),
            Phase::Over { end, since } => (end, since),
        };
        let ledger = Ledger { client: self.client.close(), server: self.server.close() };
        deliver(&mut self.info, &mut self.state, FlowEvent::Ended { end, time, ledger });
    }

    /// Books a loss report; what it explains is known at the end.
    pub(super) fn lost(&mut self, side: Side, reason: LossReason, bytes: u64) {
        let losses = self.side_mut(side).losses.get_or_insert_default();
        if let Some(sum) = losses.get_mut(reason as usize) {
            *sum = sum.saturating_add(bytes);
        }
    }
}

/// The part of a segment that lies in the stream. A SYN's first byte of data follows the SYN (RFC 9293 section 3.4).
fn incoming<'a>(segment: &Segment<'a>) -> Incoming<'a> {
    let missing = u64::from(segment.wire_len).saturating_sub(segment.payload.len() as u64);
    Incoming {
        seq: segment.seq.wrapping_add(u32::from(segment.flags.has(TcpFlags::SYN))),
        payload: segment.payload,
        cut: (missing > 0).then(|| (missing, segment.cut.unwrap_or(LossReason::NotSeen))),
        fin: segment.flags.has(TcpFlags::FIN),
        time: segment.time,
    }
}
