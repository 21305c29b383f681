use super::Timestamp;

/// How a content is divided into messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// gRPC: length-prefixed messages.
    Grpc,
    /// gRPC-Web: the same, with the trailers in the content.
    GrpcWeb,
    /// gRPC-Web in base64.
    GrpcWebText,
    /// Server-sent events (WHATWG HTML, section 9.2).
    EventStream,
    /// A JSON text a line (NDJSON, JSON Lines).
    JsonLines,
    /// WebSocket (RFC 6455).
    WebSocket,
    /// Parts of a multipart body (RFC 2046 section 5.1).
    Multipart,
}

impl Format {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 7] = [
        Self::Grpc,
        Self::GrpcWeb,
        Self::GrpcWebText,
        Self::EventStream,
        Self::JsonLines,
        Self::WebSocket,
        Self::Multipart,
    ];

    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::GrpcWeb => "grpc-web",
            Self::GrpcWebText => "grpc-web-text",
            Self::EventStream => "event-stream",
            Self::JsonLines => "json-lines",
            Self::WebSocket => "websocket",
            Self::Multipart => "multipart",
        }
    }
}

/// A compression that content, or a message in it, was sent with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// zlib (RFC 1950), or bare DEFLATE (RFC 1951), which some send under the same name.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
    /// Snappy, framed or as one block.
    Snappy,
    /// One that we do not know: what it holds stays as it is.
    Unknown,
}

impl Coding {
    /// As in `Content-Encoding` and `grpc-encoding`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Snappy => "snappy",
            Self::Unknown => "unknown",
        }
    }
}

/// What a message in a content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A gRPC message, an event, a line of JSON, a part.
    Data,
    /// Text message of a WebSocket.
    Text,
    /// Binary message of a WebSocket.
    Binary,
    /// Ping of a WebSocket.
    Ping,
    /// Pong of a WebSocket.
    Pong,
    /// The end of a WebSocket, with its status code (RFC 6455 section 7.4; 1005 where it gives none).
    Close(u16),
}

impl Kind {
    /// Name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Text => "text",
            Self::Binary => "binary",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Close(_) => "close",
        }
    }
}

/// One message in a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// When its last byte was captured.
    pub time: Timestamp,
    /// Bytes, decompressed if it was compressed and could be decompressed.
    pub size: u64,
    /// Bytes as sent, without its framing. Of a message in a content that is coded as a whole: as `size`.
    pub wire_size: u64,
    /// How it was compressed by itself.
    pub compression: Option<Coding>,
    /// All of it was seen.
    pub whole: bool,
}

/// A message that was kept: what it is and where it lies in the kept body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptPiece {
    /// What it is.
    pub piece: Piece,
    /// Where it begins in [`Part::body`](super::Part::body).
    pub start: u32,
    /// How many bytes of it are there.
    pub len: u32,
}

impl KeptPiece {
    /// Its bytes, in the body that it lies in.
    pub fn of(self, body: &[u8]) -> &[u8] {
        let start = self.start as usize;
        let end = start.saturating_add(self.len as usize).min(body.len());
        body.get(start..end).unwrap_or_default()
    }
}

/// The messages of one side of an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// What divides them.
    pub format: Format,
    /// How many are over.
    pub count: u64,
    /// Their [`Piece::size`] together.
    pub size: u64,
    /// When the first one was over.
    pub first: Timestamp,
    /// When the last one was.
    pub last: Timestamp,
    /// The first of them, up to a configured number, where bodies are kept.
    pub kept: Vec<KeptPiece>,
}

impl Pieces {
    /// None yet.
    pub const fn new(format: Format) -> Self {
        Self {
            format,
            count: 0,
            size: 0,
            first: Timestamp::from_nanos(0),
            last: Timestamp::from_nanos(0),
            kept: Vec::new(),
        }
    }

    /// Another one is over.
    pub fn count(&mut self, piece: &Piece) {
        if self.count == 0 {
            self.first = piece.time;
        }
        self.count += 1;
        self.size = self.size.saturating_add(piece.size);
        self.last = piece.time;
    }
}
