//! The round trip of a handshake, wherever between both ends it is seen.

use std::time::Duration;

use crate::model::{Side, TcpFlags, Timestamp};

/// A peer whose SYN+ACK is not acknowledged for so long sends it again (RFC 6298 section 2): what comes later than that
/// without it was not on the way, its sender had nothing to say. Live, the bare acknowledgement itself is not seen.
const RETRANSMITTED_AFTER: Duration = Duration::from_secs(1);

/// How far it is. What is sent again tells nothing: nobody knows which copy is answered (RFC 6298 section 3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Handshake {
    /// Nothing was seen of it.
    #[default]
    Ahead,
    /// This side's SYN passed here.
    Asked(Side, Timestamp),
    /// The answer to it did, so much later.
    Answered(Side, Duration, Timestamp),
    /// It is over, or tells nothing.
    Over,
}

impl Handshake {
    /// Can something still come of it?
    #[inline]
    pub(super) const fn is_open(self) -> bool {
        !matches!(self, Self::Over)
    }

    /// Takes a segment of `side`. Says how long both ways took, once that is known: from here to the one end and back, and to the
    /// other.
    #[cold]
    pub(super) fn segment(&mut self, side: Side, flags: TcpFlags, time: Timestamp) -> Option<Duration> {
        let (syn, ack) = (flags.has(TcpFlags::SYN), flags.has(TcpFlags::ACK));
        let before = std::mem::replace(self, Self::Over);
        match before {
            Self::Ahead if syn && !ack => *self = Self::Asked(side, time),
            Self::Asked(opener, asked) if syn && ack && side != opener => {
                *self = Self::Answered(opener, time.since(asked), time);
            }
            Self::Answered(opener, first, answered) if !syn && ack && side == opener => {
                let second = time.since(answered);
                return (second < RETRANSMITTED_AFTER).then(|| first.saturating_add(second));
            }
            Self::Ahead | Self::Asked(..) | Self::Answered(..) | Self::Over => {}
        }
        None
    }
}
