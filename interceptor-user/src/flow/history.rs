use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Segments that are remembered.
const SEGMENTS: usize = 4;
/// Longer segments are not: they are sent again in other pieces (segmentation offload), so that there would be
/// nothing to compare.
const LONGEST: usize = 2048;
/// Bytes of a segment that go into its digest. What follows is a body as a rule, which nothing else in the pipeline has
/// to read: fetching it for this only would cost more than anything else that a segment goes through.
const FIRST: usize = 256;

#[derive(Clone, Copy, Default)]
struct Seen {
    seq: u32,
    len: u16,
    digest: u32,
}

/// Digests of the last few segments delivered on one side, to tell whether a retransmission carries the same bytes.
///
/// A retransmission is compared with each remembered segment that lies wholly in it, by its first [`FIRST`] bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct History {
    seen: [Seen; SEGMENTS],
    next: u8,
}

impl History {
    pub(super) fn note(&mut self, hasher: &RandomState, seq: u32, payload: &[u8]) {
        // A single byte is what keep-alives and window probes repeat, with whatever value they like.
        if payload.len() < 2 || payload.len() > LONGEST {
            return;
        }
        let seen = Seen { seq, len: payload.len() as u16, digest: digest(hasher, payload) };
        if let Some(slot) = self.seen.get_mut(usize::from(self.next)) {
            *slot = seen;
        }
        self.next = (self.next + 1) % SEGMENTS as u8;
    }

    /// Does `payload`, which starts at `seq` and was delivered before, differ from what was delivered?
    pub(super) fn differs(&self, hasher: &RandomState, seq: u32, payload: &[u8]) -> bool {
        self.seen.iter().filter(|seen| seen.len > 0).any(|seen| {
            let from = seen.seq.wrapping_sub(seq) as usize;
            let copy = payload.get(from..).and_then(|rest| rest.get(..usize::from(seen.len)));
            copy.is_some_and(|copy| digest(hasher, copy) != seen.digest)
        })
    }
}

fn digest(hasher: &RandomState, bytes: &[u8]) -> u32 {
    let mut hasher = hasher.build_hasher();
    hasher.write(bytes.get(..FIRST).unwrap_or(bytes));
    hasher.finish() as u32
}
