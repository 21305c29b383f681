//! What a flow speaks, by its first bytes and never by its port.

use super::{
    http1::line::{self, Fit},
    http2::PREFACE as HTTP2_PREFACE,
};
use crate::model::Role;

/// TLS record header (RFC 8446 section 5.1).
const TLS_HEADER: usize = 5;
/// Largest TLS record: 2^14 bytes and what TLS 1.2 ciphers may add.
const TLS_RECORD_MAX: usize = (1 << 14) + 2048;

/// Empty lines that may come before a request line.
const EMPTY_LINES_MAX: usize = 8;

/// What the first bytes of one side look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// An HTTP/1 request.
    Http1Request,
    /// An HTTP/1 response.
    Http1Response,
    /// The preface of an HTTP/2 client.
    Http2Client,
    /// The SETTINGS with which an HTTP/2 server begins.
    Http2Server,
    /// Another protocol that we recognise and do not decode.
    Foreign,
    /// Nothing that we know.
    Nothing,
    /// Too few bytes to say. Never for more than [`ENOUGH`] bytes.
    More,
}

/// [`guess`] never looks further than this.
pub const ENOUGH: usize = line::REQUEST_MAX + 2 * EMPTY_LINES_MAX;

/// Looks at the first bytes that one side sent.
pub fn guess(bytes: &[u8]) -> Guess {
    let bytes = strip_empty_lines(bytes);
    if bytes == b"\r" {
        return Guess::More;
    }
    for (fit, guess) in [
        (line::starts(bytes, HTTP2_PREFACE), Guess::Http2Client),
        (http2_settings(bytes), Guess::Http2Server),
        (tls(bytes), Guess::Foreign),
    ] {
        match fit {
            Fit::Yes => return guess,
            Fit::More => return Guess::More,
            Fit::No => {}
        }
    }
    match (request(bytes), line::response(bytes)) {
        (Fit::Yes, _) => Guess::Http1Request,
        (_, Fit::Yes) => Guess::Http1Response,
        (Fit::No, Fit::No) => Guess::Nothing,
        _ => Guess::More,
    }
}

/// Empty lines before a request are ignored (RFC 9112 section 2.2); a few, so that what is kept until we know is bounded.
fn strip_empty_lines(mut bytes: &[u8]) -> &[u8] {
    for _ in 0..EMPTY_LINES_MAX {
        bytes = line::strip_empty_line(bytes).unwrap_or(bytes);
    }
    bytes
}

/// A request line as it should be, or one that is not quite but has a method that we know.
fn request(bytes: &[u8]) -> Fit {
    let exact = line::request(bytes);
    if exact != Fit::No || line::known_request(bytes).0 != Fit::Yes {
        return exact;
    }
    let window = bytes.get(..line::REQUEST_MAX).unwrap_or(bytes);
    match memchr::memchr(b'\n', window).and_then(|feed| window.get(..feed)) {
        Some(line) if line::is_start_line(Role::Request, line) => Fit::Yes,
        None if bytes.len() < line::REQUEST_MAX => Fit::More,
        _ => Fit::No,
    }
}

/// The header of a SETTINGS frame with few settings and no flag, on the connection (RFC 9113 section 6.5).
fn http2_settings(bytes: &[u8]) -> Fit {
    const REST: [u8; 6] = [4, 0, 0, 0, 0, 0];
    let few = |len: u8| len.is_multiple_of(6);
    let fits = bytes.iter().take(9).enumerate().all(|(place, byte)| match place {
        0 | 1 => *byte == 0,
        2 => few(*byte),
        _ => REST.get(place - 3) == Some(byte),
    });
    match (fits, bytes.len()) {
        (false, _) => Fit::No,
        (true, 9..) => Fit::Yes,
        (true, _) => Fit::More,
    }
}

pub(super) fn tls(bytes: &[u8]) -> Fit {
    // Content types 20 to 23, any version from SSL 3.0 to TLS 1.3, and a length that the RFC allows.
    let type_fits = bytes.first().is_none_or(|kind| (20..=23).contains(kind));
    let version_fits =
        bytes.get(1).is_none_or(|major| *major == 3) && bytes.get(2).is_none_or(|minor| (0..=4).contains(minor));
    if !type_fits || !version_fits {
        return Fit::No;
    }
    match bytes.first_chunk::<TLS_HEADER>() {
        Some([.., high, low]) if usize::from(u16::from_be_bytes([*high, *low])) <= TLS_RECORD_MAX => Fit::Yes,
        Some(_) => Fit::No,
        None => Fit::More,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes() {
        let long = format!("GET /{}", "a".repeat(line::TARGET_MAX + 1));
        let cases: &[(&[u8], Guess)] = &[
            (b"", Guess::More),
            (b"\r\n", Guess::More),
            (b"\r\n\r", Guess::More),
            (&[b'\n'; 100], Guess::Nothing),
            (b"G", Guess::More),
            (b"GET /index HTTP/1", Guess::More),
            (b"GET /index HTTP/1.1", Guess::Http1Request),
            (b"\r\nGET /index HTTP/1.1", Guess::Http1Request),
            (b"M-SEARCH * HTTP/1.1\r\n", Guess::Http1Request),
            (b"GET /index HTTP/2\r\n", Guess::Nothing),
            (b"GET /index\r\n", Guess::Nothing),
            (b"GET  /index HTTP/1.1", Guess::More),
            (b"GET  /index HTTP/1.1\n", Guess::Http1Request),
            (b"BREW  /index HTTP/1.1\n", Guess::Nothing),
            (long.as_bytes(), Guess::Http1Request),
            (b"HTTP/1.", Guess::More),
            (b"HTTP/1.1 200", Guess::More),
            (b"HTTP/1.1 200 OK\r\n", Guess::Http1Response),
            (b"HTTP/1.0 404\r\n", Guess::Http1Response),
            (b"HTTP/2 200\r\n", Guess::Nothing),
            (b"PRI * HTTP/2.0\r\n\r\n", Guess::More),
            (HTTP2_PREFACE, Guess::Http2Client),
            (b"\0\0\x12\x04\0\0\0\0\0", Guess::Http2Server),
            (b"\0\0\x12\x04\0\0\0", Guess::More),
            (b"\0\0\x11\x04\0\0\0\0\0", Guess::Nothing),
            (b"\x16\x03\x01", Guess::More),
            (b"\x16\x03\x01\x02\x00\x01", Guess::Foreign),
            (b"\x17\x03\x03\x40\x11\x99", Guess::Foreign),
            (b"\x17\x03\x03\xff\xff\x99", Guess::Nothing),
            (b"220 mail.example ESMTP\r\n", Guess::Nothing),
            (b"*1\r\n$4\r\nPING\r\n", Guess::Nothing),
            (b"get key\r\n", Guess::Nothing),
            (b"\0\0\0\0", Guess::Nothing),
        ];
        for (bytes, expected) in cases {
            assert_eq!(guess(bytes), *expected, "{}", bytes.escape_ascii());
        }
    }
}
