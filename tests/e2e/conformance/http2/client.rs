//! A client that says what it is told to, and judges what comes.

use std::{
    fmt,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use anyhow::Result;
use interceptor::protocol::http2::hpack;

use super::wire::{ACK, DATA, END_STREAM, GOAWAY, HEADERS, MAX_CONCURRENT_STREAMS, PING, RST_STREAM, SETTINGS, ping};

/// Whatever is to come is there long before.
const LATE: Duration = Duration::from_secs(8);
/// No row's own.
const BARRIER: [u8; 8] = *b"barrier.";

/// What has to come back.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wants {
    /// A connection error: GOAWAY with one of these codes, and then the end (RFC 9113 section 5.4.1).
    Goaway(&'static [u32]),
    /// That, with the last stream that was taken.
    Last(u32, &'static [u32]),
    /// A connection error or a stream error, where the RFC leaves that open.
    Refused(u32, &'static [u32]),
    /// A stream error (RFC 9113 section 5.4.2); the connection goes on.
    Reset(u32, &'static [u32]),
    /// A stream error, or the answer 400: a malformed request (RFC 9113 section 8.1.1); the connection goes on.
    Malformed(u32),
    /// The end of the connection, however.
    End,
    /// The whole answer to this stream.
    Answer(u32, u16),
    /// The whole answer with so many bytes of content.
    Content(u32, usize),
    /// So many bytes of content, and no more until something else is said.
    Only(u32, usize),
    /// So many acknowledgements of SETTINGS.
    Acknowledged(usize),
    /// An answer to a PING.
    Pong([u8; 8]),
    /// SETTINGS before anything else.
    SettingsFirst,
    /// SETTINGS of the server behind, told by the streams that it takes: the bytes were relayed.
    Relayed(u32),
    /// Nothing that ends a stream or the connection.
    Goes,
}

/// Whether it did.
enum Judged {
    Holds,
    Never,
    Open,
}

#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
    /// Of HEADERS.
    status: u16,
}

pub(super) struct Client {
    stream: TcpStream,
    fields: hpack::Decoder,
    unread: Vec<u8>,
    frames: Vec<Frame>,
    end: Option<ErrorKind>,
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, fields: hpack::Decoder::new(), unread: Vec::new(), frames: Vec::new(), end: None }
    }

    /// A connection that has ended already takes nothing, which is told by what comes.
    pub(super) fn say(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// None: it came. Else what came instead.
    pub(super) fn hears(&mut self, wants: Wants) -> Result<Option<String>> {
        if !self.wait(|client| client.judge(wants))? {
            return Ok(Some(self.to_string()));
        }
        let goes_on = matches!(wants, Wants::Reset(..) | Wants::Malformed(_) | Wants::Only(..) | Wants::Goes);
        if goes_on && !self.barrier()? {
            return Ok(Some(format!("{self}, and then nothing")));
        }
        // Nothing more may have come meanwhile.
        let more = matches!(wants, Wants::Only(id, size) if self.content(id) != size)
            || matches!(wants, Wants::Goes) && self.gives_up();
        Ok(more.then(|| self.to_string()))
    }

    /// What was sent before is dealt with.
    fn barrier(&mut self) -> Result<bool> {
        self.frames.retain(|frame| frame.kind != PING);
        self.say(&ping(BARRIER));
        self.wait(|client| client.judge(Wants::Pong(BARRIER)))
    }

    fn wait(&mut self, judge: impl Fn(&Self) -> Judged) -> Result<bool> {
        let deadline = Instant::now() + LATE;
        loop {
            match judge(self) {
                Judged::Holds => return Ok(true),
                Judged::Never => return Ok(false),
                Judged::Open if self.end.is_some() => return Ok(false),
                Judged::Open => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.read(left)?;
        }
    }

    fn read(&mut self, timeout: Duration) -> Result<()> {
        self.stream.set_read_timeout(Some(timeout))?;
        let mut buffer = [0; 1 << 14];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.end = Some(ErrorKind::UnexpectedEof),
            Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => self.end = Some(error.kind()),
        }
        while let Some((head, rest)) = self.unread.split_at_checked(9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some((payload, rest)) = rest.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut frame = Frame { kind: head[3], flags: head[4], stream, payload: payload.to_vec(), status: 0 };
            let rest = rest.to_vec();
            if frame.kind == HEADERS {
                let mut take = |field: hpack::Field<'_>| {
                    if field.name == b":status" {
                        frame.status = String::from_utf8_lossy(field.value).parse().unwrap_or(0);
                    }
                };
                self.fields.decode(payload, &mut take).map_err(|error| anyhow::anyhow!("its fields: {error:?}"))?;
            }
            self.frames.push(frame);
            self.unread = rest;
        }
        Ok(())
    }

    fn judge(&self, wants: Wants) -> Judged {
        match wants {
            Wants::Goaway(codes) => self.connection_error(codes, None),
            Wants::Last(last, codes) => self.connection_error(codes, Some(last)),
            Wants::Refused(id, codes) if self.goaway().is_some() => {
                let _ = id;
                self.connection_error(codes, None)
            }
            Wants::Refused(id, codes) | Wants::Reset(id, codes) => match self.reset(id) {
                Some(code) => sure(codes.contains(&code)),
                None => self.open(),
            },
            Wants::Malformed(id) => match (self.reset(id), self.status(id)) {
                (Some(code), _) => sure(code == super::wire::PROTOCOL),
                (None, Some(status)) => sure(status == 400),
                (None, None) => self.open(),
            },
            Wants::End => self.end.map_or(Judged::Open, |_| Judged::Holds),
            Wants::Answer(id, status) => match self.status(id) {
                Some(came) if came != status || self.reset(id).is_some() => Judged::Never,
                Some(_) if self.ended(id) => Judged::Holds,
                _ => self.open(),
            },
            Wants::Content(id, size) if self.ended(id) => {
                sure(self.status(id) == Some(200) && self.content(id) == size && self.reset(id).is_none())
            }
            Wants::Only(id, size) if self.content(id) >= size && self.status(id).is_some() => Judged::Holds,
            Wants::Content(..) | Wants::Only(..) => self.open(),
            Wants::Acknowledged(count) => {
                let acks = self.of(SETTINGS).filter(|frame| frame.flags & ACK != 0).count();
                if acks == count { Judged::Holds } else { self.open() }
            }
            Wants::Pong(content) => {
                let mut pongs = self.of(PING).filter(|frame| frame.flags & ACK != 0);
                if pongs.any(|frame| frame.payload == content) { Judged::Holds } else { self.open() }
            }
            Wants::SettingsFirst => match self.frames.first() {
                Some(first) => sure(first.kind == SETTINGS && first.flags & ACK == 0 && first.stream == 0),
                None => self.open(),
            },
            Wants::Relayed(streams) => {
                match self.of(SETTINGS).next() {
                    Some(first) => sure(first.payload.chunks(6).any(|pair| {
                        pair == [&MAX_CONCURRENT_STREAMS.to_be_bytes()[..], &streams.to_be_bytes()].concat()
                    })),
                    None => self.open(),
                }
            }
            Wants::Goes => sure(!self.gives_up()),
        }
    }

    /// GOAWAY may come twice: with what is taken still, and with what was.
    fn connection_error(&self, codes: &[u32], last: Option<u32>) -> Judged {
        match (self.goaway(), self.end) {
            (Some((id, code)), end) => {
                if !codes.contains(&code) || last.is_some_and(|last| last != id) {
                    Judged::Never
                } else if end.is_some() {
                    Judged::Holds
                } else {
                    Judged::Open
                }
            }
            (None, Some(_)) => Judged::Never,
            (None, None) => Judged::Open,
        }
    }

    fn open(&self) -> Judged {
        if self.end.is_some() || self.goaway().is_some() { Judged::Never } else { Judged::Open }
    }

    fn of(&self, kind: u8) -> impl DoubleEndedIterator<Item = &Frame> {
        self.frames.iter().filter(move |frame| frame.kind == kind)
    }

    /// Last stream and code.
    fn goaway(&self) -> Option<(u32, u32)> {
        self.of(GOAWAY).next_back().map(|frame| (number(&frame.payload), number(&frame.payload[4..])))
    }

    fn reset(&self, id: u32) -> Option<u32> {
        self.of(RST_STREAM).find(|frame| frame.stream == id).map(|frame| number(&frame.payload))
    }

    /// Of the final answer.
    fn status(&self, id: u32) -> Option<u16> {
        let heads = self.of(HEADERS).filter(|frame| frame.stream == id);
        heads.map(|frame| frame.status).find(|status| *status >= 200)
    }

    fn content(&self, id: u32) -> usize {
        self.of(DATA).filter(|frame| frame.stream == id).map(|frame| frame.payload.len()).sum()
    }

    fn ended(&self, id: u32) -> bool {
        let ends = |frame: &&Frame| frame.stream == id && frame.flags & END_STREAM != 0;
        self.frames.iter().filter(|frame| frame.kind <= HEADERS).any(|frame| ends(&frame))
    }

    fn gives_up(&self) -> bool {
        self.end.is_some() || self.goaway().is_some() || self.of(RST_STREAM).next().is_some()
    }
}

const fn sure(holds: bool) -> Judged {
    if holds { Judged::Holds } else { Judged::Never }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(u32::MAX, |bytes| u32::from_be_bytes(*bytes))
}

/// What came, in a few words.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |frame: &Frame| match frame.kind {
            DATA => format!("DATA({}, {} bytes, flags {})", frame.stream, frame.payload.len(), frame.flags),
            HEADERS => format!("HEADERS({}, {}, flags {})", frame.stream, frame.status, frame.flags),
            RST_STREAM => format!("RST_STREAM({}, code {})", frame.stream, number(&frame.payload)),
            GOAWAY => format!("GOAWAY(last {}, code {})", number(&frame.payload), number(&frame.payload[4..])),
            kind => format!("{kind}({}, flags {})", frame.stream, frame.flags),
        };
        let frames: Vec<String> = self.frames.iter().map(told).collect();
        let shown = frames.len().saturating_sub(8);
        write!(f, "{}; {:?}", frames[shown..].join(" "), self.end)
    }
}
