//! What the beginning of a head looks like, and where one may begin.

use memchr::{memchr, memmem};

use crate::model::Role;

/// Longest method that is taken for one. RFC 9110 names none over 7 bytes; the longest registered one has 17.
pub(super) const METHOD_MAX: usize = 32;
/// Longest request target that is waited for where we are not sure that a head begins.
pub(crate) const TARGET_MAX: usize = 8192;
/// No more bytes than this tell whether a request begins: method, target, the spaces after them, `HTTP/1.`
pub(crate) const REQUEST_MAX: usize = METHOD_MAX + TARGET_MAX + 9;
/// Bytes that tell whether a head may begin: a method and what follows it.
pub(super) const BEGINNING: usize = METHOD_MAX + 1;
/// A status line's beginning.
const RESPONSE: &[u8] = b"HTTP/1.";
/// Beginnings of requests that are recognised in the middle of other bytes: the methods of RFC 9110 section 9, and
/// PATCH (RFC 5789).
const REQUESTS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];
/// The longest beginning of a head that cannot be told from other bytes yet: `CONNECT` and a space.
pub(super) const TAIL: usize = 8;

/// Do these bytes begin something?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    No,
    /// As far as they go; more bytes are needed.
    More,
}

impl Fit {
    /// The better of two.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::More, _) | (_, Self::More) => Self::More,
            (Self::No, Self::No) => Self::No,
        }
    }
}

/// Do the bytes start with `prefix`?
pub(crate) fn starts(bytes: &[u8], prefix: &[u8]) -> Fit {
    if bytes.starts_with(prefix) {
        Fit::Yes
    } else if prefix.starts_with(bytes) {
        Fit::More
    } else {
        Fit::No
    }
}

/// What follows an empty line, if the bytes start with one.
pub(crate) fn strip_empty_line(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(b"\r\n").or(bytes.strip_prefix(b"\n"))
}

pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~')
}

/// Is this `method SP target SP HTTP/1.`, exactly (RFC 9112 section 3)? Work is bounded by the first odd byte.
pub(crate) fn request(bytes: &[u8]) -> Fit {
    let Some(method) = bytes.iter().take(BEGINNING).position(|byte| !is_token(*byte)) else {
        return if bytes.len() < BEGINNING { Fit::More } else { Fit::No };
    };
    let Some([b' ', rest @ ..]) = bytes.get(method..).filter(|_| method > 0) else {
        return Fit::No;
    };
    let Some(target) = rest.iter().take(TARGET_MAX).position(|byte| *byte <= b' ' || *byte == 0x7f) else {
        return if rest.len() >= TARGET_MAX { Fit::Yes } else { Fit::More };
    };
    match rest.get(target..) {
        Some(version) if target > 0 => starts(version, b" HTTP/1."),
        _ => Fit::No,
    }
}

/// Is this `HTTP/1.d SP ddd` and then a space or the line's end (RFC 9112 section 4)?
pub(crate) fn response(bytes: &[u8]) -> Fit {
    let Some(rest) = bytes.strip_prefix(RESPONSE) else {
        return starts(bytes, RESPONSE);
    };
    let shape = b"d ddd";
    if rest.iter().zip(shape).any(|(byte, kind)| if *kind == b'd' { !byte.is_ascii_digit() } else { byte != kind }) {
        return Fit::No;
    }
    match rest.get(shape.len()) {
        Some(b' ' | b'\r' | b'\n') => Fit::Yes,
        Some(_) => Fit::No,
        None => Fit::More,
    }
}

/// May a head begin so, where we expect one? Is lenient: what is not quite right is an anomaly of the message. The
/// answer depends on [`BEGINNING`] bytes at the most.
pub(super) fn may_begin(role: Role, bytes: &[u8]) -> bool {
    match role {
        Role::Response => response(bytes) != Fit::No,
        Role::Request => match bytes.iter().take(BEGINNING).position(|byte| !is_token(*byte)) {
            Some(method) => method > 0 && matches!(bytes.get(method), Some(b' ' | b'\t')),
            None => bytes.len() < BEGINNING,
        },
    }
}

/// Does this begin a request with a method that we know? If it may, also gives the bytes again.
pub(crate) fn known_request(bytes: &[u8]) -> (Fit, &'static [u8]) {
    let fits = REQUESTS.iter().map(|known| (starts(bytes, known), known.get(..bytes.len()).unwrap_or_default()));
    fits.reduce(|best, fit| if best.0 == Fit::No { fit } else { best }).unwrap_or((Fit::No, &[]))
}

/// Does a method that we know end what would be a longer one? Then the bytes before it belong to something else.
pub(super) fn hides_known_request(bytes: &[u8]) -> bool {
    let method = memchr(b' ', bytes).and_then(|space| bytes.get(..=space)).unwrap_or_default();
    REQUESTS.iter().any(|known| method.len() > known.len() && method.ends_with(known))
}

/// Is this, without its line ending, a start line, leniently?
pub(crate) fn is_start_line(role: Role, line: &[u8]) -> bool {
    match role {
        Role::Response => response(line) != Fit::No && line.len() >= RESPONSE.len() + 5,
        Role::Request => {
            let line = line.trim_ascii_end();
            let version = line.iter().rposition(u8::is_ascii_whitespace).and_then(|space| line.get(space + 1..));
            version
                .and_then(|version| version.strip_prefix(RESPONSE))
                .is_some_and(|minor| !minor.is_empty() && minor.iter().all(u8::is_ascii_digit))
        }
    }
}

/// Where the first bytes that may begin a head lie, wherever they lie in other bytes.
///
/// A status line says what it is. A request line does so only with a method that we know.
pub(super) fn find(role: Role, bytes: &[u8]) -> Option<usize> {
    match role {
        Role::Response => memmem::find(bytes, RESPONSE),
        Role::Request => {
            let mut from = 0;
            loop {
                from += memchr(b' ', bytes.get(from..)?)? + 1;
                let before = bytes.get(..from)?;
                if let Some(request) = REQUESTS.iter().find(|request| before.ends_with(request)) {
                    return Some(from - request.len());
                }
            }
        }
    }
}

/// Where the last line begins that is a start line, but for the first one.
pub(super) fn last_start(role: Role, head: &[u8]) -> Option<usize> {
    let begins = match role {
        Role::Request => request,
        Role::Response => response,
    };
    memchr::memrchr_iter(b'\n', head)
        .map(|feed| feed + 1)
        .find(|start| head.get(*start..).is_some_and(|line| begins(line) == Fit::Yes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_characters() {
        let expected = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=255_u8 {
            assert_eq!(is_token(byte), expected.as_bytes().contains(&byte), "{byte}");
        }
    }

    #[test]
    fn heads_are_found_in_other_bytes() {
        assert_eq!(find(Role::Request, b"\x00\x01 xPOST /a"), Some(4));
        assert_eq!(find(Role::Request, b"GOT /a PUTS /b"), None);
        assert_eq!(find(Role::Response, b"</html>HTTP/1.1 200 OK"), Some(7));
        assert_eq!(find(Role::Response, b"HTTP/2 200"), None);
    }

    #[test]
    fn lenient_start_lines() {
        for line in ["GET / HTTP/1.1", "GET  /a b\tHTTP/1.0 ", "x y HTTP/1.22"] {
            assert!(is_start_line(Role::Request, line.as_bytes()), "{line}");
        }
        for line in ["GET /", "GET / HTTP/2.0", "GET / HTTP/1.", "GET / http/1.1", ""] {
            assert!(!is_start_line(Role::Request, line.as_bytes()), "{line}");
        }
        assert!(is_start_line(Role::Response, b"HTTP/1.1 200"));
        assert!(!is_start_line(Role::Response, b"HTTP/1.1 20"));
    }
}
