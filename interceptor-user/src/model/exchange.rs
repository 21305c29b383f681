use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    Anomalies, Anomaly, Coding, Fields, FlowInfo, Head, Inference, KeptPiece, Pieces, Protocol, Role, Timestamp,
    Verdict,
};

/// What held up a message on its way, between its first byte and its last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Its receiver had no room (a window of zero, RFC 9293 section 3.8.6): from when it said so until it said that it has,
    /// or more was captured. What a receiver that gives up never takes is not in it. Where a little room is left, less than a
    /// segment takes, it says that it has none only when it is asked: after a retransmission timeout, 200 ms in Linux.
    pub stalled: Duration,
    /// Later bytes were here already and could not be read, because earlier ones had got lost on their way here and had to be
    /// sent again. Of losses between here and the receiver, and of those after which nothing came, nothing is seen; so
    /// nothing at all where the capture is at the sender.
    pub waited: Duration,
}

impl Delays {
    /// Both, one after the other.
    pub(crate) const fn add(&mut self, more: Self) {
        self.stalled = self.stalled.saturating_add(more.stalled);
        self.waited = self.waited.saturating_add(more.waited);
    }

    /// What has come since they were `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            stalled: self.stalled.saturating_sub(earlier.stalled),
            waited: self.waited.saturating_sub(earlier.waited),
        }
    }
}

/// One side of an exchange: a request or a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Start line and header fields.
    pub head: Head,
    /// Trailer fields.
    pub trailers: Fields,
    /// The first bytes of the content, up to the configured limit; without transfer coding, and without content coding
    /// where `decoded` says so. Where the content has messages in frames: what is in the frames, one after the other.
    pub body: Bytes,
    /// Content bytes seen, content coding and frames included.
    pub body_size: u64,
    /// Content bytes known to be missing.
    pub body_missing: u64,
    /// Content bytes that were not captured because nobody wanted them.
    pub body_skipped: u64,
    /// The content coding that was removed from `body`, the last one that was applied.
    pub decoded: Option<Coding>,
    /// Content bytes after that, where they were counted; `body_size` otherwise.
    pub decoded_size: u64,
    /// The rest of it was not decoded: it is not what its coding says, or grows too much, or there was no room.
    pub undecoded: bool,
    /// The messages that the content consists of, where it does.
    pub pieces: Option<Pieces>,
    /// The last messages, where `body` has no room for all: an answer's end tells how it came about.
    pub tail: Option<Box<Tail>>,
    /// `body` is not what was sent: something was taken out of it.
    pub redacted: bool,
    /// When its first byte was captured.
    pub first_byte: Timestamp,
    /// When the last of its bytes so far was captured.
    pub last_byte: Timestamp,
    /// What held it up. On HTTP/2 that is what held up its side of the connection while it was open.
    pub delays: Delays,
    /// It ended as its framing says.
    pub ended: bool,
}

impl Part {
    /// A head, and nothing after it yet.
    pub const fn new(head: Head, first_byte: Timestamp, last_byte: Timestamp) -> Self {
        Self {
            head,
            trailers: Fields::EMPTY,
            body: Bytes::new(),
            body_size: 0,
            body_missing: 0,
            body_skipped: 0,
            decoded: None,
            decoded_size: 0,
            undecoded: false,
            pieces: None,
            tail: None,
            redacted: false,
            first_byte,
            last_byte,
            delays: Delays { stalled: Duration::ZERO, waited: Duration::ZERO },
            ended: false,
        }
    }
}

impl Part {
    /// About the bytes of memory that it holds beside itself.
    fn memory(&self) -> usize {
        let kept = |kept: &Vec<KeptPiece>| kept.capacity() * size_of::<KeptPiece>();
        let pieces = self.pieces.as_ref().map_or(0, |pieces| kept(&pieces.kept));
        let tail = self.tail.as_ref().map_or(0, |tail| kept(&tail.kept) + tail.body.len());
        self.head.fields.memory() + self.trailers.memory() + self.body.len() + pieces + tail
    }

    /// The messages that were kept, with their bytes, in order: the first ones, then the last ones.
    pub fn messages(&self) -> impl Iterator<Item = (&KeptPiece, &[u8])> {
        let first = self.pieces.iter().flat_map(|pieces| &pieces.kept).map(|kept| (kept, kept.of(&self.body)));
        let last = self.tail.iter().flat_map(|tail| tail.kept.iter().map(|kept| (kept, kept.of(&tail.body))));
        first.chain(last)
    }
}

impl Part {
    /// Something was taken out of the body, which was there as a whole.
    pub fn replace_body(&mut self, body: Bytes) {
        self.body = body;
        self.redacted = true;
    }

    /// More was kept than is to be shown, because it was to be read.
    pub fn trim(&mut self, most: usize) {
        self.tail = None;
        if self.body.len() <= most {
            return;
        }
        self.body.truncate(most);
        // That it is shorter than what was sent tells that it is cut, again.
        self.redacted = false;
        if let Some(pieces) = &mut self.pieces {
            pieces.kept.retain(|kept| (kept.start as usize) < most);
        }
    }

    /// Nothing of the content is to be shown.
    pub fn hide_body(&mut self) {
        self.body = Bytes::new();
        self.tail = None;
        self.undecoded = true;
        self.redacted = true;
        if let Some(pieces) = &mut self.pieces {
            pieces.kept.clear();
        }
    }
}

/// The last messages of a content, beyond those in [`Part::body`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Their bytes, one after the other.
    pub body: Bytes,
    /// What they are and where they lie in it.
    pub kept: Vec<KeptPiece>,
}

/// Who ended a stream early, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// Whose RST_STREAM, or GOAWAY, it was.
    pub by: Role,
    /// Error code (RFC 9113 section 7).
    pub code: u32,
}

/// How far a response was when its client was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// When it went.
    pub time: Timestamp,
    /// Content bytes of the response by then.
    pub body_size: u64,
    /// Messages in it by then.
    pub messages: u64,
}

impl Abort {
    /// Who it was, in output.
    pub const fn by_name(self) -> &'static str {
        match self.by {
            Role::Request => "client",
            Role::Response => "server",
        }
    }

    /// The code in output: its name, or the number where it has none.
    pub fn code_text(self) -> Cow<'static, str> {
        self.code_name().map_or_else(|| self.code.to_string().into(), Cow::Borrowed)
    }

    /// The code's name (RFC 9113 section 7); None where it has none.
    pub const fn code_name(self) -> Option<&'static str> {
        Some(match self.code {
            0 => "NO_ERROR",
            1 => "PROTOCOL_ERROR",
            2 => "INTERNAL_ERROR",
            3 => "FLOW_CONTROL_ERROR",
            4 => "SETTINGS_TIMEOUT",
            5 => "STREAM_CLOSED",
            6 => "FRAME_SIZE_ERROR",
            7 => "REFUSED_STREAM",
            8 => "CANCEL",
            9 => "COMPRESSION_ERROR",
            10 => "CONNECT_ERROR",
            11 => "ENHANCE_YOUR_CALM",
            12 => "INADEQUATE_SECURITY",
            13 => "HTTP_1_1_REQUIRED",
            _ => return None,
        })
    }
}

/// A request with its response.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// The flow that carried it.
    pub flow: Arc<FlowInfo>,
    /// Ordinal in its flow; the first is 1.
    pub number: u64,
    /// Protocol that was spoken.
    pub protocol: Protocol,
    /// The request; missing where only a response was seen.
    pub request: Option<Part>,
    /// The final response; missing where none was seen.
    pub response: Option<Part>,
    /// Interim (1xx) responses before it, 101 not counted.
    pub interim: u32,
    /// HTTP/2 stream that carried it.
    pub stream: Option<u32>,
    /// Who aborted that stream, if someone did.
    pub abort: Option<Abort>,
    /// What the response had when the client went away before its end: it sent FIN (which it may also do and wait) or
    /// aborted the stream.
    pub gone: Option<Gone>,
    /// What is odd about it.
    pub anomalies: Anomalies,
    /// What it means to a model server, where that was asked for and it means something.
    pub inference: Option<Box<Inference>>,
    /// What the policy says of it, where there is one.
    pub verdict: Option<Box<Verdict>>,
    /// Names of the rules that the inline path has carried out.
    pub enforced: Vec<Arc<str>>,
}

impl Exchange {
    /// Nothing of it was seen yet.
    pub const fn new(flow: Arc<FlowInfo>, number: u64, protocol: Protocol) -> Self {
        Self {
            flow,
            number,
            protocol,
            request: None,
            response: None,
            interim: 0,
            stream: None,
            abort: None,
            gone: None,
            anomalies: Anomalies::NONE,
            inference: None,
            verdict: None,
            enforced: Vec::new(),
        }
    }

    /// Its message of this role.
    pub const fn part(&self, role: Role) -> Option<&Part> {
        match role {
            Role::Request => self.request.as_ref(),
            Role::Response => self.response.as_ref(),
        }
    }

    /// Both messages were seen from their first byte to their last.
    pub fn complete(&self) -> bool {
        let whole = |part: &Option<Part>| part.as_ref().is_some_and(|part| part.ended && part.body_missing == 0);
        whole(&self.request) && whole(&self.response) && !self.anomalies.contains(Anomaly::Gap)
    }

    /// Content bytes of the response, and messages in it, that were sent for nobody: the client was gone. One that says that it
    /// sends no more may still wait for its answer; that it did not shows in how it ended.
    pub fn wasted(&self) -> Option<(u64, u64)> {
        let ended_badly = [Anomaly::Reset, Anomaly::StreamReset].iter().any(|why| self.anomalies.contains(*why));
        let gone = self.gone.filter(|_| ended_badly)?;
        let response = self.response.as_ref()?;
        let messages = response.pieces.as_ref().map_or(0, |pieces| pieces.count);
        Some((response.content_size().saturating_sub(gone.body_size), messages.saturating_sub(gone.messages)))
    }

    /// About the bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        let parts = [&self.request, &self.response].into_iter().flatten();
        size_of::<Self>()
            + parts.map(Part::memory).sum::<usize>()
            + self.inference.as_ref().map_or(0, |inference| inference.memory())
            + self.verdict.as_ref().map_or(0, |verdict| verdict.memory())
    }

    /// First byte of the request to last byte of the response, where both were seen.
    pub fn duration(&self) -> Option<Duration> {
        Some(self.response.as_ref()?.last_byte.since(self.request.as_ref()?.first_byte))
    }
}
