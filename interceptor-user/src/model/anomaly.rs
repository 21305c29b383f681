use std::fmt;

/// Why something is incomplete, or not to be taken at face value.
///
/// The names are part of the output; new ones go to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Anomaly {
    /// Bytes of this exchange were carried by TCP but not captured.
    Gap,
    /// The flow is older than the capture, and this exchange began before it.
    MidStream,
    /// The flow ended, or the capture did, before the message did.
    Truncated,
    /// The connection was reset before the exchange was over.
    Reset,
    /// A response without a request that we saw.
    NoRequest,
    /// A request without a response that we saw.
    NoResponse,
    /// A retransmission carried other bytes than the first copy; the first copy was used (as Linux does).
    RetransmissionDiffers,
    /// Both `Transfer-Encoding` and `Content-Length` (RFC 9112 section 6.1).
    TransferEncodingAndLength,
    /// `Content-Length` given more than once or as a list (RFC 9110 section 8.6).
    RepeatedLength,
    /// `Content-Length` is not a number.
    BadLength,
    /// `Transfer-Encoding` that does not end in `chunked` on a request, or an unknown coding.
    BadTransferEncoding,
    /// A chunk size that cannot be read (RFC 9112 section 7.1).
    BadChunk,
    /// A line ends in LF without CR (RFC 9112 section 2.2).
    BareLf,
    /// A field line is folded (RFC 9112 section 5.2).
    ObsFold,
    /// A NUL byte in a head.
    Nul,
    /// A head that does not parse.
    BadHead,
    /// A head larger than the configured limit.
    HeadTooLarge,
    /// Memory limit of the flow or of the program: part of a message was not kept for decoding.
    MemoryLimit,
    /// Bytes that belong to no message were skipped.
    Skipped,
    /// More requests are waiting than the configured pipeline depth.
    PipelineTooDeep,
    /// A header field came as a reference to a table (RFC 7541) that was filled before we joined, so it is not known.
    UnknownField,
    /// A frame that HTTP/2 does not allow where it came (RFC 9113).
    BadFrame,
    /// A field section that cannot be decoded (RFC 7541).
    BadHeaderBlock,
    /// One side aborted the stream (RST_STREAM, RFC 9113 section 6.4).
    StreamReset,
    /// The server went away without looking at the request (GOAWAY, RFC 9113 section 6.8).
    Refused,
    /// More content was sent than the receiver had allowed (RFC 9113 section 5.2).
    FlowControl,
    /// A peer sends more frames without use than any does in earnest.
    Flood,
    /// Content that is not what its coding says, or of a coding that we do not know; the rest of it is not decoded.
    BadCoding,
    /// Content grows by decoding beyond what is allowed; the rest of it is not decoded.
    ContentLimit,
    /// A message in a content whose framing is not what its format says; the rest of it is not divided.
    BadMessage,
}

impl Anomaly {
    /// All of them, in order.
    pub const ALL: [Self; 30] = [
        Self::Gap,
        Self::MidStream,
        Self::Truncated,
        Self::Reset,
        Self::NoRequest,
        Self::NoResponse,
        Self::RetransmissionDiffers,
        Self::TransferEncodingAndLength,
        Self::RepeatedLength,
        Self::BadLength,
        Self::BadTransferEncoding,
        Self::BadChunk,
        Self::BareLf,
        Self::ObsFold,
        Self::Nul,
        Self::BadHead,
        Self::HeadTooLarge,
        Self::MemoryLimit,
        Self::Skipped,
        Self::PipelineTooDeep,
        Self::UnknownField,
        Self::BadFrame,
        Self::BadHeaderBlock,
        Self::StreamReset,
        Self::Refused,
        Self::FlowControl,
        Self::Flood,
        Self::BadCoding,
        Self::ContentLimit,
        Self::BadMessage,
    ];

    /// Name in metrics and output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::MidStream => "mid_stream",
            Self::Truncated => "truncated",
            Self::Reset => "reset",
            Self::NoRequest => "no_request",
            Self::NoResponse => "no_response",
            Self::RetransmissionDiffers => "retransmission_differs",
            Self::TransferEncodingAndLength => "transfer_encoding_and_length",
            Self::RepeatedLength => "repeated_length",
            Self::BadLength => "bad_length",
            Self::BadTransferEncoding => "bad_transfer_encoding",
            Self::BadChunk => "bad_chunk",
            Self::BareLf => "bare_lf",
            Self::ObsFold => "obs_fold",
            Self::Nul => "nul",
            Self::BadHead => "bad_head",
            Self::HeadTooLarge => "head_too_large",
            Self::MemoryLimit => "memory_limit",
            Self::Skipped => "skipped",
            Self::PipelineTooDeep => "pipeline_too_deep",
            Self::UnknownField => "unknown_field",
            Self::BadFrame => "bad_frame",
            Self::BadHeaderBlock => "bad_header_block",
            Self::StreamReset => "stream_reset",
            Self::Refused => "refused",
            Self::FlowControl => "flow_control",
            Self::Flood => "flood",
            Self::BadCoding => "bad_coding",
            Self::ContentLimit => "content_limit",
            Self::BadMessage => "bad_message",
        }
    }

    const fn bit(self) -> u64 {
        1 << self as u8
    }
}

/// A set of [`Anomaly`].
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Anomalies(u64);

impl Anomalies {
    /// Nothing odd.
    pub const NONE: Self = Self(0);

    /// Adds one.
    pub const fn insert(&mut self, anomaly: Anomaly) {
        self.0 |= anomaly.bit();
    }

    /// Adds all of another set.
    pub const fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Is it in the set?
    pub const fn contains(self, anomaly: Anomaly) -> bool {
        self.0 & anomaly.bit() != 0
    }

    /// Nothing odd.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<Anomaly> {
        let first = Anomaly::ALL.get(self.0.trailing_zeros() as usize).copied()?;
        self.0 &= !first.bit();
        Some(first)
    }

    /// Those in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = Anomaly> {
        Anomaly::ALL.into_iter().filter(move |anomaly| self.contains(*anomaly))
    }
}

impl FromIterator<Anomaly> for Anomalies {
    fn from_iter<I: IntoIterator<Item = Anomaly>>(anomalies: I) -> Self {
        let mut set = Self::default();
        anomalies.into_iter().for_each(|anomaly| set.insert(anomaly));
        set
    }
}

impl fmt::Debug for Anomalies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Anomaly::name)).finish()
    }
}
