//! Reassembly of one direction.
//!
//! A direction knows the sequence number that it expects next (`next`, RFC 9293's RCV.NXT as the receiver would have
//! it) and counts the stream in 64 bits from the first byte it knew of (`delivered` is the offset of `next`).
//! `delivered = captured + lost` at all times, and everything in `pieces` lies beyond it. So each byte of the stream
//! is handed over once, as data or as part of a gap, whatever the segments look like.
//!
//! First copy wins: a receiver keeps what it queued first (Linux does), and so do we.

use super::{
    history::History,
    pieces::{Body, Piece, Pieces},
    seq::{ACK_WINDOW, distance},
    shared::Shared,
    stray::Stray,
};
use crate::model::{Chunk, FlowEvent, LossReason, Side, SideLedger, Timestamp};

/// The part of a segment that lies in the stream.
pub(super) struct Incoming<'a> {
    /// Of the first payload byte.
    pub(super) seq: u32,
    pub(super) payload: &'a [u8],
    /// Payload bytes that the capture cut off after `payload`, and why.
    pub(super) cut: Option<(u64, LossReason)>,
    pub(super) fin: bool,
    pub(super) time: Timestamp,
}

impl Incoming<'_> {
    pub(super) const fn len(&self) -> u64 {
        let cut = match self.cut {
            Some((len, _)) => len,
            None => 0,
        };
        self.payload.len() as u64 + cut
    }
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about one stream, not a state")]
pub(super) struct Direction {
    pub(super) side: Side,
    /// Sequence number of this side's SYN, if we saw it.
    pub(super) isn: Option<u32>,
    /// Is `next` known?
    pub(super) known: bool,
    pub(super) next: u32,
    /// Offset of `next` in the stream.
    pub(super) delivered: u64,
    /// Highest offset that the peer acknowledged.
    pub(super) acked: u64,
    /// Offset of the FIN.
    pub(super) fin: Option<u64>,
    pub(super) finished: bool,
    /// This side said that it has no room for more of what the peer sends.
    pub(super) full: bool,
    /// Where the last gap began, if nothing was handed over since.
    pub(super) last_gap: Option<u64>,
    /// The last gap ended where an acknowledgement did: its last byte may have been an unseen FIN.
    pub(super) phantom: bool,
    /// Bytes missing here are older than the capture.
    pub(super) joined: bool,
    pub(super) pieces: Pieces,
    pub(super) history: History,
    /// The last segment that was out of the window.
    pub(super) stray: Option<Box<Stray>>,
    /// Offset up to which the kernel was asked to leave out what nobody wants: what is missing before it is no loss.
    pub(super) unwanted: u64,
    /// The hole that the gap timer watches, and since when.
    pub(super) watched: Option<(u64, Timestamp)>,
    pub(super) ledger: SideLedger,
    /// The kernel's count of payload bytes.
    pub(super) kernel: Option<u64>,
    /// What loss reports said, by reason.
    pub(super) losses: Option<Box<[u64; LossReason::COUNT]>>,
}

impl Direction {
    pub(super) fn new(side: Side, joined: bool) -> Self {
        Self {
            side,
            isn: None,
            known: false,
            next: 0,
            delivered: 0,
            acked: 0,
            fin: None,
            finished: false,
            full: false,
            last_gap: None,
            phantom: false,
            joined,
            pieces: Pieces::default(),
            history: History::default(),
            stray: None,
            unwanted: 0,
            watched: None,
            ledger: SideLedger::default(),
            kernel: None,
            losses: None,
        }
    }

    /// Takes the initial sequence number. The SYN counts one (RFC 9293 section 3.4).
    pub(super) fn open(&mut self, isn: u32) {
        self.isn = Some(isn);
        self.begin(isn.wrapping_add(1));
    }

    /// The stream starts here, as far as we know.
    pub(super) const fn begin(&mut self, next: u32) {
        if !self.known {
            self.known = true;
            self.next = next;
        }
    }

    /// Nothing was handed over yet.
    pub(super) const fn untouched(&self) -> bool {
        self.delivered == 0 && !self.finished
    }

    /// Sequence number after everything that was seen.
    pub(super) fn edge(&self) -> u32 {
        let queued = self.pieces.last_end().map_or(0, |end| end - self.delivered);
        self.next.wrapping_add(queued as u32)
    }

    /// Memory that out-of-order bytes take.
    pub(super) fn queued(&self) -> usize {
        self.pieces.cost() + self.stray.as_ref().map_or(0, |stray| stray.cost())
    }

    /// Offset of the hole that we wait for.
    pub(super) fn hole(&self) -> Option<u64> {
        let waits = !self.pieces.is_empty() || (self.fin.is_some() && !self.finished);
        waits.then_some(self.delivered)
    }

    /// Takes a segment's payload and FIN. `peer_queued` is what the other direction of the flow has queued.
    #[inline]
    pub(super) fn segment(
        &mut self,
        incoming: &Incoming<'_>,
        peer_queued: usize,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        // The usual case: the next bytes, with nothing waiting. They are handed over where they lie.
        if self.known && incoming.seq == self.next && self.fin.is_none() && self.pieces.is_empty() {
            if !incoming.payload.is_empty() {
                self.data(incoming.payload, incoming.time, shared, emit);
            }
            if let Some((len, reason)) = incoming.cut {
                self.gap(len, reason, incoming.time, emit);
            }
            if incoming.fin {
                self.fin = Some(self.delivered);
                self.finish(incoming.time, emit);
            }
        } else if incoming.fin || incoming.len() > 0 {
            self.irregular(incoming, peer_queued, shared, emit);
        }
    }

    /// Out of order, seen before, overlapping, or with bytes waiting.
    #[cold]
    fn irregular(
        &mut self,
        incoming: &Incoming<'_>,
        peer_queued: usize,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        self.begin(incoming.seq);
        if self.pass_unwanted(incoming, emit) {
            return self.segment(incoming, peer_queued, shared, emit);
        }
        if !self.is_in_window(incoming) && !self.stray_is_followed(incoming, peer_queued, shared, emit) {
            return;
        }
        self.forget_stray(shared);
        let start = self.delivered.cast_signed() + distance(incoming.seq, self.next);
        let end = start + incoming.len().cast_signed();
        if incoming.fin {
            self.note_fin(end, shared);
        }
        self.place(incoming, start, peer_queued, shared, emit);
        self.settle(incoming.time, shared, emit);
        while !self.pieces.is_empty() && self.pieces.cost() >= shared.limits.gap_bytes {
            self.give_up_front(incoming.time, shared, emit);
        }
        self.finish(incoming.time, emit);
    }

    /// What this side sends is left out by the kernel up to this sequence number.
    pub(super) fn leave_out(&mut self, until: u32) {
        if let Ok(ahead) = u64::try_from(distance(until, self.next)) {
            self.unwanted = self.delivered + ahead;
        }
    }

    /// The segment comes after bytes that were left out; says whether it is the next one now.
    fn pass_unwanted(&mut self, incoming: &Incoming<'_>, emit: &mut impl FnMut(FlowEvent<'_>)) -> bool {
        let ahead = u64::try_from(distance(incoming.seq, self.next)).unwrap_or(0);
        let left_out = ahead > 0 && self.delivered + ahead <= self.unwanted;
        if !left_out || !self.pieces.is_empty() || self.fin.is_some() {
            return false;
        }
        self.gap(ahead, LossReason::SkippedByPolicy, incoming.time, emit);
        true
    }

    /// The FIN's place is the first one that was seen and that makes sense: not before what was handed over.
    fn note_fin(&mut self, end: i64, shared: &mut Shared) {
        if self.fin.is_some() {
            return;
        }
        let delivered = self.delivered.cast_signed();
        let seen = self.pieces.last_end().map_or(delivered, u64::cast_signed).max(delivered);
        if end > seen.saturating_add(ACK_WINDOW) {
            shared.stats.fins_ignored += 1;
        } else if end >= delivered {
            let end = end.cast_unsigned();
            self.fin = Some(end);
            let before = self.pieces.cost();
            shared.stats.beyond_end_bytes += self.pieces.truncate(end);
            shared.total -= before - self.pieces.cost();
        } else if end == delivered - 1 && self.phantom {
            // What the acknowledgement counted last was this FIN, not a byte.
            self.uncount_phantom();
            self.fin = Some(self.delivered);
        }
    }

    /// The acknowledgement rule. The peer received everything below `ack`: what we lack of it will not come again.
    /// What it acknowledges of a FIN counts one (RFC 9293 section 3.4) and is no byte.
    #[inline]
    pub(super) fn acknowledge(
        &mut self,
        ack: u32,
        time: Timestamp,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        if !self.known {
            return self.begin(ack);
        }
        let ahead = distance(ack, self.next);
        if ahead <= 0 || self.finished {
            return;
        }
        let seen = self.pieces.last_end().map_or(0, |end| end.saturating_sub(self.delivered).cast_signed());
        if ahead > seen.saturating_add(ACK_WINDOW) {
            shared.stats.acks_ignored += 1;
            return;
        }
        let acked = self.delivered + ahead.cast_unsigned();
        if acked > self.acked {
            self.acked = acked;
            self.settle(time, shared, emit);
        }
    }

    /// Gives up each hole that the peer acknowledged.
    fn settle(&mut self, time: Timestamp, shared: &mut Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        loop {
            let acked = self.fin.map_or(self.acked, |fin| fin.min(self.acked));
            if acked <= self.delivered {
                break;
            }
            let missing = acked - self.delivered;
            if self.pieces.is_empty() && self.fin.is_none() {
                // One beyond all that we know: rather a FIN that we missed than a byte. Whatever follows tells.
                if missing == 1 {
                    break;
                }
                self.missing(missing, time, emit);
                self.phantom = true;
                break;
            }
            let hole = self.pieces.first().map_or(missing, |first| missing.min(first - self.delivered));
            self.missing(hole, time, emit);
            self.drain(shared, emit);
        }
        self.finish(time, emit);
    }

    /// Gives up the first hole.
    pub(super) fn give_up_front(&mut self, time: Timestamp, shared: &mut Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        if let Some(end) = self.pieces.first().or(self.fin) {
            if end > self.delivered {
                self.missing(end - self.delivered, time, emit);
            }
            self.drain(shared, emit);
        }
        self.finish(time, emit);
    }

    /// Hands over what is left, with gaps where it has holes.
    pub(super) fn flush(&mut self, time: Timestamp, shared: &mut Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        while self.hole().is_some() {
            self.give_up_front(time, shared, emit);
        }
        self.forget_stray(shared);
    }

    /// Gives up every hole before `end`, and what lies between the last piece and `end`.
    pub(super) fn give_up_to(
        &mut self,
        end: u64,
        reason: LossReason,
        time: Timestamp,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        while self.delivered < end {
            let to = self.pieces.first().map_or(end, |first| first.min(end));
            if to > self.delivered {
                self.gap(to - self.delivered, reason, time, emit);
            }
            self.drain(shared, emit);
        }
    }

    /// Hands over the pieces that have become next.
    pub(super) fn drain(&mut self, shared: &mut Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        while self.drain_one(shared, emit) {}
    }

    pub(super) fn drain_one(&mut self, shared: &mut Shared, emit: &mut impl FnMut(FlowEvent<'_>)) -> bool {
        let before = self.pieces.cost();
        let Some(piece) = self.pieces.take_at(self.delivered) else { return false };
        shared.total -= before - self.pieces.cost();
        self.deliver(&piece, shared, emit);
        true
    }

    pub(super) fn deliver(&mut self, piece: &Piece, shared: &Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        match &piece.body {
            Body::Data(data) => self.data(data, piece.time, shared, emit),
            Body::Cut { len, reason } => self.gap(*len, *reason, piece.time, emit),
        }
    }

    fn finish(&mut self, time: Timestamp, emit: &mut impl FnMut(FlowEvent<'_>)) {
        if self.fin == Some(self.delivered) && !self.finished {
            self.finished = true;
            emit(FlowEvent::Finished { side: self.side, time });
        }
    }

    #[inline]
    pub(super) fn data(&mut self, data: &[u8], time: Timestamp, shared: &Shared, emit: &mut impl FnMut(FlowEvent<'_>)) {
        self.history.note(&shared.hasher, self.next, data);
        self.phantom = false;
        self.last_gap = None;
        self.ledger.captured += data.len() as u64;
        self.advance(data.len() as u64);
        emit(FlowEvent::Chunk { side: self.side, time, next: self.next, chunk: Chunk::Data(data) });
    }

    pub(super) fn gap(&mut self, len: u64, reason: LossReason, time: Timestamp, emit: &mut impl FnMut(FlowEvent<'_>)) {
        self.phantom = false;
        self.last_gap.get_or_insert(self.delivered);
        self.ledger.lose(reason, len);
        self.advance(len);
        emit(FlowEvent::Chunk { side: self.side, time, next: self.next, chunk: Chunk::Gap { len, reason } });
    }

    const fn advance(&mut self, len: u64) {
        self.delivered += len;
        self.next = self.next.wrapping_add(len as u32);
    }

    /// Bytes that simply did not come: those that the kernel was asked to leave out, and what is missing beyond them.
    fn missing(&mut self, len: u64, time: Timestamp, emit: &mut impl FnMut(FlowEvent<'_>)) {
        let left_out = self.unwanted.saturating_sub(self.delivered).min(len);
        let unknown = if self.joined && self.delivered == 0 { LossReason::BeforeJoin } else { LossReason::NotSeen };
        for (len, reason) in [(left_out, LossReason::SkippedByPolicy), (len - left_out, unknown)] {
            if len > 0 {
                self.gap(len, reason, time, emit);
            }
        }
    }
}
