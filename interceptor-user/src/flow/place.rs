//! Where in the stream a segment's bytes belong, and what of them is new.

use super::{
    direction::{Direction, Incoming},
    pieces::{Body, PIECE_COST, Piece},
    shared::Shared,
};
use crate::model::{FlowEvent, LossReason};

impl Direction {
    /// Puts what is new of `incoming` where it belongs: handed over if it is next, queued if not.
    pub(super) fn place(
        &mut self,
        incoming: &Incoming<'_>,
        start: i64,
        peer_queued: usize,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        let payload_end = start + (incoming.payload.len() as u64).cast_signed();
        let mut end = (start + incoming.len().cast_signed()).max(0).cast_unsigned();
        if let Some(fin) = self.fin.filter(|&fin| fin < end) {
            let beyond = payload_end - start.max(fin.cast_signed());
            shared.stats.beyond_end_bytes += beyond.max(0).cast_unsigned();
            end = fin;
        }
        // Payload bytes of the stream from `from` to `to`.
        let bytes = |from: u64, to: u64| {
            let at =
                |offset: u64| (offset.cast_signed() - start).clamp(0, payload_end - start).cast_unsigned() as usize;
            incoming.payload.get(at(from)..at(to)).unwrap_or_default()
        };
        let old = bytes(0, end.min(self.delivered));
        if !old.is_empty() {
            let late = self.last_gap.map_or(0, |gap| bytes(gap, end.min(self.delivered)).len() as u64);
            shared.stats.late_bytes += late;
            self.ledger.duplicate += old.len() as u64 - late;
            if self.history.differs(&shared.hasher, incoming.seq, old) {
                emit(FlowEvent::RetransmissionDiffers { side: self.side });
            }
        }
        let mut at = start.max(self.delivered.cast_signed()).cast_unsigned();
        while at < end {
            if let Some((piece_start, piece)) = self.pieces.covering(at) {
                let to = end.min(piece_start + piece.len());
                let again = bytes(at, to);
                self.ledger.duplicate += again.len() as u64;
                if differs(piece, piece_start, at, again) {
                    emit(FlowEvent::RetransmissionDiffers { side: self.side });
                }
                self.drain_one(shared, emit);
                at = to;
                continue;
            }
            let to = self.pieces.next_from(at).map_or(end, |next| next.min(end));
            let data = bytes(at, to);
            if data.is_empty() {
                let reason = incoming.cut.map_or(LossReason::NotSeen, |(_, reason)| reason);
                let body = Body::Cut { len: to - at, reason };
                self.put(at, Piece { time: incoming.time, body }, peer_queued, shared, emit);
                at = to;
            } else if at == self.delivered {
                self.data(data, incoming.time, shared, emit);
                at += data.len() as u64;
            } else {
                let len = data.len() as u64;
                if self.has_room(data.len(), peer_queued, shared) {
                    let body = Body::Data(data.into());
                    self.put(at, Piece { time: incoming.time, body }, peer_queued, shared, emit);
                } else {
                    self.give_up_to(at, LossReason::MemoryLimit, incoming.time, shared, emit);
                    self.data(data, incoming.time, shared, emit);
                }
                at += len;
            }
        }
        self.drain(shared, emit);
    }

    pub(super) fn has_room(&self, len: usize, peer_queued: usize, shared: &Shared) -> bool {
        let cost = len + PIECE_COST;
        self.queued() + peer_queued + cost <= shared.limits.flow_bytes
            && shared.total + cost <= shared.limits.total_bytes
    }

    /// Queues a piece; without room for it, the hole before it is given up, which needs no memory.
    fn put(
        &mut self,
        at: u64,
        piece: Piece,
        peer_queued: usize,
        shared: &mut Shared,
        emit: &mut impl FnMut(FlowEvent<'_>),
    ) {
        let len = match &piece.body {
            Body::Data(data) => data.len(),
            Body::Cut { .. } => 0,
        };
        if at > self.delivered && !self.has_room(len, peer_queued, shared) {
            self.give_up_to(at, LossReason::MemoryLimit, piece.time, shared, emit);
        }
        if at == self.delivered {
            self.deliver(&piece, shared, emit);
        } else {
            let before = self.pieces.cost();
            self.pieces.insert(at, piece);
            shared.total += self.pieces.cost() - before;
        }
    }
}

/// Does `again` differ from the piece that has these bytes already?
fn differs(piece: &Piece, piece_start: u64, at: u64, again: &[u8]) -> bool {
    let Body::Data(data) = &piece.body else { return false };
    let from = (at - piece_start) as usize;
    data.get(from..from + again.len()).is_some_and(|first| first != again)
}
