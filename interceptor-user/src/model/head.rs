use smallvec::SmallVec;

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// As in `network.protocol.version`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }
}

/// A range of bytes in the raw head. Heads are bounded well under 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    end: u32,
}

/// What the first line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// RFC 9112 section 3.
    Request {
        /// Case-sensitive token.
        method: &'a str,
        /// Request target as sent.
        target: &'a str,
    },
    /// RFC 9112 section 4.
    Response {
        /// Three digits.
        status: u16,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Request { method: Span, target: Span },
    Response { status: u16 },
}

/// Field lines (headers or trailers), in the order and spelling they were sent.
///
/// One allocation holds all text; the places of sixteen fields need none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    text: Vec<u8>,
    places: SmallVec<[(Span, Span); 16]>,
}

impl Fields {
    /// With room for `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: Vec::with_capacity(bytes), places: SmallVec::new() }
    }

    /// Adds a field line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.places.push((name, value));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places.iter().map(|(name, value)| (self.text_at(*name), self.at(*value)))
    }

    /// The first value of a field; names are case-insensitive (RFC 9110 section 5.1).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of a field, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// How many field lines.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// No field line.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        Span { start, end: self.text.len() as u32 }
    }

    fn at(&self, span: Span) -> &[u8] {
        self.text.get(span.start as usize..span.end as usize).unwrap_or_default()
    }

    fn text_at(&self, span: Span) -> &str {
        str::from_utf8(self.at(span)).unwrap_or_default()
    }
}

/// The head of a request or response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    line: Line,
    /// HTTP version.
    pub version: Version,
    /// Header fields.
    pub fields: Fields,
}

impl Head {
    /// A request's head. `fields` may already hold field lines.
    pub fn request(method: &str, target: &str, version: Version, mut fields: Fields) -> Self {
        let method = fields.store(method.as_bytes());
        let target = fields.store(target.as_bytes());
        Self { line: Line::Request { method, target }, version, fields }
    }

    /// A response's head.
    pub const fn response(status: u16, version: Version, fields: Fields) -> Self {
        Self { line: Line::Response { status }, version, fields }
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'_> {
        match self.line {
            Line::Request { method, target } => {
                StartLine::Request { method: self.fields.text_at(method), target: self.fields.text_at(target) }
            }
            Line::Response { status } => StartLine::Response { status },
        }
    }

    /// Method, if it is a request.
    pub fn method(&self) -> Option<&str> {
        match self.start_line() {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// Request target as sent, if it is a request.
    pub fn target(&self) -> Option<&str> {
        match self.start_line() {
            StartLine::Request { target, .. } => Some(target),
            StartLine::Response { .. } => None,
        }
    }

    /// Status code, if it is a response.
    pub const fn status(&self) -> Option<u16> {
        match self.line {
            Line::Response { status } => Some(status),
            Line::Request { .. } => None,
        }
    }
}
