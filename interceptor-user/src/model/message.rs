use super::{Anomaly, Fields, Head, Ledger, LossReason, Protocol, Side, Timestamp};

/// In-order bytes of one side of a flow, or a hole in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk<'a> {
    /// The next bytes.
    Data(&'a [u8]),
    /// That many bytes are missing here and will not come.
    Gap {
        /// How many.
        len: u64,
        /// Why, as far as known.
        reason: LossReason,
    },
}

/// Why a flow is over for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEnd {
    /// Both sides sent FIN.
    Closed,
    /// One side reset it.
    Reset,
    /// Nothing was seen for the configured time.
    Idle,
    /// Its addresses were used anew.
    Reused,
    /// It was the least recently used when there were too many.
    Evicted,
    /// The capture ended.
    CaptureEnded,
}

impl FlowEnd {
    /// Every one, in the order of their values.
    pub const ALL: [Self; 6] = [Self::Closed, Self::Reset, Self::Idle, Self::Reused, Self::Evicted, Self::CaptureEnded];

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Reset => "reset",
            Self::Idle => "idle",
            Self::Reused => "reused",
            Self::Evicted => "evicted",
            Self::CaptureEnded => "capture_ended",
        }
    }
}

/// What the flow table tells a session.
#[derive(Clone, Copy, Debug)]
pub enum FlowEvent<'a> {
    /// A new flow; always the first event of it.
    Opened {
        /// No segment of its handshake was seen, so the first bytes may be from the middle of it. Beside
        /// [`FlowInfo::joined`](super::FlowInfo::joined): a socket may have reported the handshake.
        late: bool,
    },
    /// The kernel named a socket's cgroup after the flow had opened; [`FlowInfo`](super::FlowInfo) has it.
    CgroupKnown,
    /// The next chunk of one side.
    Chunk {
        /// Who sent it.
        side: Side,
        /// When its (last) segment was captured.
        time: Timestamp,
        /// Sequence number of what follows it.
        next: u32,
        /// The bytes.
        chunk: Chunk<'a>,
    },
    /// A retransmission on this side differed from the first copy.
    RetransmissionDiffers {
        /// Who sent it.
        side: Side,
    },
    /// This side has no room for more (a window of zero), or has again: it reads more slowly than the other sends. That it is full
    /// is said again as often as the other asks; that it has room again may escape us, and then shows in the other going on.
    Window {
        /// Whose.
        side: Side,
        /// There is no room.
        full: bool,
        /// When it said so.
        time: Timestamp,
    },
    /// This side sent FIN, and everything before it was handed over.
    Finished {
        /// Who.
        side: Side,
        /// When.
        time: Timestamp,
    },
    /// Time has passed, for whom that matters though nothing came.
    Waited {
        /// What time it is.
        time: Timestamp,
    },
    /// The flow is over; nothing follows.
    Ended {
        /// Why.
        end: FlowEnd,
        /// When.
        time: Timestamp,
        /// What TCP carried and what was captured; `parsed` and `reported` are for the session to fill in.
        ledger: Ledger,
    },
}

/// What one side of a flow sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Requests.
    Request,
    /// Responses.
    Response,
}

impl Role {
    /// Name of what it sends, in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }

    /// Who sends the other.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Request => Self::Response,
            Self::Response => Self::Request,
        }
    }
}

/// What a response's framing depends on and its own bytes do not say (RFC 9112 section 6.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expects {
    /// The request was an ordinary one, or is not known.
    #[default]
    Content,
    /// The request was HEAD: no content, whatever the fields say.
    NoContent,
    /// The request was CONNECT: a 2xx answer makes the connection a tunnel.
    Tunnel,
}

/// What a decoder makes of chunks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Start line and header fields. A 1xx response is followed by another head.
    Head(Head),
    /// Content bytes, framing removed.
    Body(&'a [u8]),
    /// Content bytes that are missing.
    BodyGap(u64),
    /// Content bytes that nobody wanted captured.
    BodySkipped(u64),
    /// Trailer fields.
    Trailers(Fields),
    /// The message is over, in the way its framing says.
    End,
    /// The message is over, and not in the way its framing says (an anomaly went before).
    Aborted,
    /// Something is odd about the current message (or about what lies between messages).
    Anomaly(Anomaly),
    /// From here on the flow is not this protocol's: CONNECT, Upgrade, or something never recognised.
    Opaque(Protocol),
}
