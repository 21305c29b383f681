use std::collections::BTreeMap;

use crate::model::{LossReason, Timestamp};

/// What a piece costs beyond its bytes: its place in the map and its allocation, rounded up. Counted, so that
/// a peer that sends single bytes out of order stays within the limits as well.
pub(super) const PIECE_COST: usize = 96;

/// What lies at a piece's place in the stream.
pub(super) enum Body {
    /// Bytes.
    Data(Box<[u8]>),
    /// Bytes that were on the wire and that the capture cut off.
    Cut { len: u64, reason: LossReason },
}

/// Out-of-order bytes.
pub(super) struct Piece {
    pub(super) time: Timestamp,
    pub(super) body: Body,
}

impl Piece {
    pub(super) const fn len(&self) -> u64 {
        match &self.body {
            Body::Data(data) => data.len() as u64,
            Body::Cut { len, .. } => *len,
        }
    }

    const fn cost(&self) -> usize {
        match &self.body {
            Body::Data(data) => data.len() + PIECE_COST,
            Body::Cut { .. } => PIECE_COST,
        }
    }
}

/// Pieces of a stream by offset. They never overlap and never touch what was delivered.
#[derive(Default)]
pub(super) struct Pieces {
    by_offset: BTreeMap<u64, Piece>,
    cost: usize,
}

impl Pieces {
    pub(super) fn is_empty(&self) -> bool {
        self.by_offset.is_empty()
    }

    /// Memory in use.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    /// Where the first piece starts.
    pub(super) fn first(&self) -> Option<u64> {
        self.by_offset.first_key_value().map(|(&offset, _)| offset)
    }

    /// Where the last piece ends.
    pub(super) fn last_end(&self) -> Option<u64> {
        self.by_offset.last_key_value().map(|(&offset, piece)| offset + piece.len())
    }

    /// Takes the first piece out if it starts at `offset`.
    pub(super) fn take_at(&mut self, offset: u64) -> Option<Piece> {
        let entry = self.by_offset.first_entry().filter(|entry| *entry.key() == offset)?;
        let piece = entry.remove();
        self.cost -= piece.cost();
        Some(piece)
    }

    /// The piece that `offset` is in, with its start.
    pub(super) fn covering(&self, offset: u64) -> Option<(u64, &Piece)> {
        let (&start, piece) = self.by_offset.range(..=offset).next_back()?;
        (start + piece.len() > offset).then_some((start, piece))
    }

    /// Start of the first piece at or after `offset`.
    pub(super) fn next_from(&self, offset: u64) -> Option<u64> {
        self.by_offset.range(offset..).next().map(|(&start, _)| start)
    }

    /// Keeps a piece; the caller knows that its place is free.
    pub(super) fn insert(&mut self, offset: u64, piece: Piece) {
        self.cost += piece.cost();
        self.by_offset.insert(offset, piece);
    }

    /// Drops what lies at `end` and beyond; returns how many captured bytes that were.
    pub(super) fn truncate(&mut self, end: u64) -> u64 {
        let mut dropped = 0;
        while let Some(entry) = self.by_offset.last_entry() {
            let start = *entry.key();
            if start + entry.get().len() <= end {
                break;
            }
            let mut piece = entry.remove();
            self.cost -= piece.cost();
            let keep = end.saturating_sub(start);
            match &mut piece.body {
                Body::Data(data) => {
                    dropped += data.len() as u64 - keep;
                    *data = data.get(..keep as usize).unwrap_or_default().into();
                }
                Body::Cut { len, .. } => *len = keep,
            }
            if keep > 0 {
                self.insert(start, piece);
                break;
            }
        }
        dropped
    }
}
