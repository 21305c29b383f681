//! HTTP/2 as bytes: frames, and field blocks that use no compression.

/// What a client says first (RFC 9113 section 3.4), but for its SETTINGS.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames (RFC 9113 section 6).
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// One that nobody knows.
pub(super) const UNKNOWN: u8 = 0xbb;

/// Flags.
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const PRIORITIZED: u8 = 0x20;
/// Of a request without content.
pub(super) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// Settings (RFC 9113 section 6.5.2).
pub(super) const HEADER_TABLE_SIZE: u16 = 1;
pub(super) const ENABLE_PUSH: u16 = 2;
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;
pub(super) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(super) const MAX_FRAME_SIZE: u16 = 5;
pub(super) const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Errors (RFC 9113 section 7).
pub(super) const PROTOCOL: u32 = 1;
pub(super) const FLOW_CONTROL: u32 = 3;
pub(super) const STREAM_CLOSED: u32 = 5;
pub(super) const FRAME_SIZE: u32 = 6;
pub(super) const REFUSED: u32 = 7;
pub(super) const CANCEL: u32 = 8;
pub(super) const COMPRESSION: u32 = 9;
pub(super) const CALM: u32 = 11;

pub(super) type Fields<'a> = &'a [(&'a str, &'a str)];

/// Who asks so is refused: no server may see it.
pub(super) const MARK: (&str, &str) = ("user-agent", "malformed");

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Literal fields, not indexed (RFC 7541 section 6.2.2).
pub(super) fn block(fields: Fields<'_>) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(name.as_bytes(), value.as_bytes())).collect()
}

pub(super) fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// A string without Huffman coding (RFC 7541 section 5.2).
pub(super) fn string(text: &[u8]) -> Vec<u8> {
    [integer(0, 7, text.len()), text.to_vec()].concat()
}

/// A number with a prefix of so many bits, after the bits `first` (RFC 7541 section 5.1).
pub(super) fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let mut bytes = vec![first | most as u8];
    let mut rest = value - most;
    while rest >= 0x80 {
        bytes.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

/// What each request says.
pub(super) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "http"), (":path", path), (":authority", "model")]
}

pub(super) fn headers(stream: u32, flags: u8, fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(fields))
}

/// A request that is answered with a few bytes.
pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(stream, WHOLE, &request("GET", "/"))
}

/// One whose answer is longer than some windows.
pub(super) fn get_long(stream: u32) -> Vec<u8> {
    headers(stream, WHOLE, &request("GET", "/big"))
}

/// One that is answered once its content is there, with it.
pub(super) fn post(stream: u32) -> Vec<u8> {
    headers(stream, END_HEADERS, &request("POST", "/"))
}

/// One with more fields, that nobody may see.
pub(super) fn marked(stream: u32, flags: u8, method: &str, more: Fields<'_>) -> Vec<u8> {
    headers(stream, flags, &[&request(method, "/"), &[MARK][..], more].concat())
}

pub(super) fn data(stream: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, content)
}

pub(super) fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &pairs.iter().flat_map(pair).collect::<Vec<u8>>())
}

/// The server sends no content, so that a stream stays as it is.
pub(super) fn held() -> Vec<u8> {
    settings(&[(INITIAL_WINDOW_SIZE, 0)])
}

pub(super) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub(super) fn ping(content: [u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, &content)
}

pub(super) fn goaway(code: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[[0; 4], code.to_be_bytes()].concat())
}

pub(super) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// Priority (RFC 7540 section 6.3, which RFC 9113 has peers take and ignore).
pub(super) fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[weight]].concat())
}
