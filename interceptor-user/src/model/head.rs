use std::fmt;

/// HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As in `network.protocol.version`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2",
        }
    }
}

/// A range of bytes in the text of [`Fields`]. Heads are bounded well under 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    /// Where `part`, a slice of `whole`, lies in it; an empty span if it is not one.
    fn of(part: &[u8], whole: &[u8]) -> Self {
        let start = part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr());
        match start.checked_add(part.len()) {
            Some(end) if end <= whole.len() => Self { start: start as u32, len: part.len() as u32 },
            _ => Self::default(),
        }
    }
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
        /// Three digits; 0 where it is not known.
        status: u16,
    },
}

#[derive(Clone, Copy, Debug)]
enum Line {
    Request { method: Span, target: Span },
    Response { status: u16 },
}

/// Where a field's name and value lie in the text.
const PLACE: usize = 16;

/// Field lines (headers or trailers), in the order and spelling they were sent.
///
/// One allocation holds everything: the text (for a parsed head: the head as sent), then for each field line where its
/// name and value lie in it. So a head is kept with one copy, and is small to move.
#[derive(Clone, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    /// How many of `bytes` are text.
    text: usize,
}

impl Fields {
    /// No field line.
    pub const EMPTY: Self = Self { bytes: Vec::new(), text: 0 };

    /// With room for `bytes` of text.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), text: 0 }
    }

    /// Names and values that lie in `raw`, which is copied whole. A part that does not lie in it comes out empty.
    pub fn from_raw<'r>(raw: &'r [u8], fields: impl ExactSizeIterator<Item = (&'r [u8], &'r [u8])>) -> Self {
        let mut bytes = Vec::with_capacity(raw.len() + fields.len() * PLACE);
        bytes.extend_from_slice(raw);
        for (name, value) in fields {
            bytes.extend_from_slice(&encode(Span::of(name, raw), Span::of(value, raw)));
        }
        Self { bytes, text: raw.len() }
    }

    /// Adds a field line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name = self.store(name);
        let value = self.store(value);
        self.bytes.extend_from_slice(&encode(name, value));
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.places().map(|(name, value)| (self.text_at(name), self.at(value)))
    }

    /// The first value of a field; names are case-insensitive (RFC 9110 section 5.1).
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.get_all(name).next()
    }

    /// Every value of a field, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        self.places()
            .filter(move |(found, _)| self.at(*found).eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| self.at(value))
    }

    /// How many field lines.
    pub fn len(&self) -> usize {
        self.encoded_places().len() / PLACE
    }

    /// No field line.
    pub fn is_empty(&self) -> bool {
        self.encoded_places().is_empty()
    }

    /// Bytes of memory that it holds.
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    fn encoded_places(&self) -> &[u8] {
        self.bytes.get(self.text..).unwrap_or_default()
    }

    fn places(&self) -> impl Iterator<Item = (Span, Span)> {
        self.encoded_places().as_chunks::<PLACE>().0.iter().map(decode)
    }

    fn store(&mut self, bytes: &[u8]) -> Span {
        let span = Span { start: self.text as u32, len: bytes.len() as u32 };
        self.bytes.splice(self.text..self.text, bytes.iter().copied());
        self.text += bytes.len();
        span
    }

    fn at(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        self.bytes.get(start..start.saturating_add(span.len as usize)).unwrap_or_default()
    }

    fn text_at(&self, span: Span) -> &str {
        str::from_utf8(self.at(span)).unwrap_or_default()
    }
}

/// Field lines in the making. Kept from one head to the next for its memory: only what is finished allocates.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    text: Vec<u8>,
    places: Vec<u8>,
}

/// A piece of a draft's text that is no field line.
#[derive(Clone, Copy, Debug, Default)]
pub struct Word(Span);

impl Word {
    /// Is there no text?
    pub const fn is_empty(self) -> bool {
        self.0.len == 0
    }
}

impl Draft {
    /// Nothing in it.
    pub fn clear(&mut self) {
        self.text.clear();
        self.places.clear();
    }

    /// Bytes of memory that it holds.
    pub const fn memory(&self) -> usize {
        self.text.capacity() + self.places.capacity()
    }

    /// Adds text that is no field line.
    pub fn word(&mut self, text: &[u8]) -> Word {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        Word(Span { start, len: text.len() as u32 })
    }

    /// Adds a field line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let (Word(name), Word(value)) = (self.word(name), self.word(value));
        self.places.extend_from_slice(&encode(name, value));
    }

    /// The field lines, in one allocation.
    pub fn fields(&self) -> Fields {
        let mut bytes = Vec::with_capacity(self.text.len() + self.places.len());
        bytes.extend_from_slice(&self.text);
        bytes.extend_from_slice(&self.places);
        Fields { bytes, text: self.text.len() }
    }

    /// A request's head. What is not known of it is empty.
    pub fn request(&self, method: Word, target: Word, version: Version) -> Head {
        Head { line: Line::Request { method: method.0, target: target.0 }, version, fields: self.fields() }
    }
}

fn encode(name: Span, value: Span) -> [u8; PLACE] {
    let words = [name.start, name.len, value.start, value.len].map(u128::from);
    words.into_iter().rfold(0, |place, word| place << 32 | word).to_le_bytes()
}

fn decode(place: &[u8; PLACE]) -> (Span, Span) {
    let place = u128::from_le_bytes(*place);
    let word = |index: u32| (place >> (32 * index)) as u32;
    (Span { start: word(0), len: word(1) }, Span { start: word(2), len: word(3) })
}

/// The same names and values in the same order, wherever their text lies.
impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(name, value)| (name, value.escape_ascii().to_string()))).finish()
    }
}

/// The head of a request or response.
#[derive(Clone, Debug)]
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

    /// A request's head of which neither method nor target is known.
    pub const fn unknown_request(version: Version, fields: Fields) -> Self {
        let nothing = Span { start: 0, len: 0 };
        Self { line: Line::Request { method: nothing, target: nothing }, version, fields }
    }

    /// A request's head as parsed: `method`, `target`, names and values lie in `raw`, which is copied whole.
    pub fn request_from_raw<'r>(
        raw: &'r [u8],
        method: &'r str,
        target: &'r str,
        version: Version,
        fields: impl ExactSizeIterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Self {
        let (method, target) = (Span::of(method.as_bytes(), raw), Span::of(target.as_bytes(), raw));
        Self { line: Line::Request { method, target }, version, fields: Fields::from_raw(raw, fields) }
    }

    /// A response's head.
    pub const fn response(status: u16, version: Version, fields: Fields) -> Self {
        Self { line: Line::Response { status }, version, fields }
    }

    /// Frees the fields of a response's head; its status stays.
    pub fn fields_given_up(&mut self) {
        if let Line::Response { .. } = self.line {
            self.fields = Fields::EMPTY;
        }
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

    /// Method, if it is a request and its method is known.
    pub fn method(&self) -> Option<&str> {
        match self.line {
            Line::Request { method, .. } => Some(self.fields.text_at(method)).filter(|method| !method.is_empty()),
            Line::Response { .. } => None,
        }
    }

    /// Request target as sent (in HTTP/2 the path, or the authority of CONNECT), if it is a request and its target is known.
    pub fn target(&self) -> Option<&str> {
        match self.line {
            Line::Request { target, .. } => Some(self.fields.text_at(target)).filter(|target| !target.is_empty()),
            Line::Response { .. } => None,
        }
    }

    /// Does it ask a gRPC server for its descriptors (`grpc.reflection.v1`, `v1alpha`)?
    pub fn asks_reflection(&self) -> bool {
        self.target().is_some_and(|target| target.ends_with(".ServerReflection/ServerReflectionInfo"))
    }

    /// Status code, if it is a response and its status is known.
    pub const fn status(&self) -> Option<u16> {
        match self.line {
            Line::Response { status: 0 } | Line::Request { .. } => None,
            Line::Response { status } => Some(status),
        }
    }

    /// Is it a request's?
    pub const fn is_request(&self) -> bool {
        matches!(self.line, Line::Request { .. })
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.version == other.version && self.start_line() == other.start_line() && self.fields == other.fields
    }
}

impl Eq for Head {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_fields_are_equal_wherever_their_text_lies() {
        let raw = b"GET /x HTTP/1.1\r\nA: 1\r\nB:  2 \r\nC:\r\n\r\n";
        let at = |start: usize, len: usize| raw.get(start..start + len).unwrap();
        let fields = [(at(17, 1), at(20, 1)), (at(23, 1), at(27, 1)), (at(31, 1), at(33, 0))];
        let parsed = Head::request_from_raw(raw, "GET", "/x", Version::Http11, fields.into_iter());
        assert_eq!((parsed.method(), parsed.target()), (None, None), "not parts of raw");
        let text = str::from_utf8(raw).unwrap();
        let parsed = Head::request_from_raw(raw, &text[..3], &text[4..6], Version::Http11, fields.into_iter());

        let mut pushed = Fields::default();
        for (name, value) in [("A", "1"), ("B", "2"), ("C", "")] {
            pushed.push(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(parsed.fields.len(), 3);
        assert_eq!(parsed.fields.get("b"), Some(&b"2"[..]));
        assert_eq!(parsed, Head::request("GET", "/x", Version::Http11, pushed.clone()));
        assert_ne!(parsed, Head::request("GET", "/y", Version::Http11, pushed));
    }
}
