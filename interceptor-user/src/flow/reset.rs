//! Whether a reset is to be believed.
//!
//! A receiver takes one whose sequence number is exactly the next it expects, and answers any other one in its window
//! with an ACK, which has whoever did mean it send an exact one (RFC 5961 section 3.2). We may have missed what makes a
//! near one exact, so it is doubted: what follows tells, or that nothing does.

use super::{
    direction::Direction,
    entry::{Flow, Phase},
    seq::{RESET_WINDOW, distance},
};
use crate::model::{Segment, Side, TcpFlags};

/// A reset that is near, and what was expected when it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    side: Side,
    seq: u32,
    expected: u32,
}

#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Believed,
    Doubted(Doubt),
    /// It was doubted, and is believed no longer.
    Refuted,
    Ignored,
}

impl<S> Flow<S> {
    /// One that answers a SYN is believed if it acknowledges the SYN (RFC 9293 section 3.10.7.3). The payload, if any,
    /// is no part of the stream.
    pub(super) fn judge_reset(&self, side: Side, segment: &Segment<'_>) -> Verdict {
        let near = |direction: &Direction, seq: u32| distance(seq, direction.next).abs() <= RESET_WINDOW;
        let (own, peer) = (self.side(side), self.side(side.peer()));
        let credible = match (own.known, peer.known && segment.flags.has(TcpFlags::ACK)) {
            (true, _) => near(own, segment.seq),
            (false, true) => near(peer, segment.ack),
            (false, false) => true,
        };
        // After a FIN, which counts one, the next one is one further. A receiver may have what we miss before `edge`.
        let exact = segment.seq.wrapping_sub(own.next) <= u32::from(own.finished) || segment.seq == own.edge();
        if !credible {
            Verdict::Ignored
        } else if exact || !own.known || matches!(self.phase, Phase::Closing { .. }) {
            Verdict::Believed
        } else {
            Verdict::Doubted(Doubt { side, seq: segment.seq, expected: own.next })
        }
    }

    /// What a segment that came after it tells: the stream ended where the reset said, or goes on without regard to it,
    /// or the receiver asks what it was about.
    pub(super) fn judge_again(&self, reset: Doubt, side: Side, segment: &Segment<'_>) -> Verdict {
        let next = self.side(reset.side).next;
        let challenged = side != reset.side
            && segment.flags.has(TcpFlags::ACK)
            && segment.wire_len == 0
            && segment.ack == reset.expected;
        if next == reset.seq && next != reset.expected {
            Verdict::Believed
        } else if next != reset.expected || challenged {
            Verdict::Refuted
        } else {
            Verdict::Doubted(reset)
        }
    }
}
