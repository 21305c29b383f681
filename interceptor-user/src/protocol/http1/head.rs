//! Whole heads: httparse for those that are as they should be, [`super::tolerant`] for the others.

use std::mem::MaybeUninit;

use httparse::{Header, Request, Response, Status};

use super::{framing::FieldFacts, line::METHOD_MAX, tolerant};
use crate::model::{Anomalies, Anomaly, Fields, Head, Role, Version};

/// Fields that the fast path has room for; more of them take the slower one.
const FIELDS: usize = 64;

/// A head, and what framing needs to know of it.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) head: Head,
    pub(super) facts: FieldFacts,
    pub(super) anomalies: Anomalies,
}

/// What the fast path makes of bytes that begin with a head.
#[derive(Debug)]
pub(super) enum Strict {
    /// A head, and its length.
    Whole(Parsed, usize),
    /// As far as they go.
    Partial,
    /// Not as it should be.
    Odd,
}

/// Parses a head that begins with the first byte, if it is as it should be (bare LF apart).
#[inline]
pub(super) fn strict(role: Role, bytes: &[u8]) -> Strict {
    match role {
        Role::Request => strict_request(bytes),
        Role::Response => strict_response(bytes),
    }
}

fn strict_request(bytes: &[u8]) -> Strict {
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Strict::Partial,
        Err(_) => return Strict::Odd,
    };
    let (Some(raw), Some(method), Some(target)) = (bytes.get(..len), request.method, request.path) else {
        return Strict::Odd;
    };
    if method.len() > METHOD_MAX {
        return Strict::Odd;
    }
    let head = Head::request_from_raw(raw, method, target, version(request.version), names_and_values(request.headers));
    Strict::Whole(parsed(head, raw, request.headers), len)
}

fn strict_response(bytes: &[u8]) -> Strict {
    let mut headers = [const { MaybeUninit::uninit() }; FIELDS];
    let mut response = Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let len = match config.parse_response_with_uninit_headers(&mut response, bytes, &mut headers) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Strict::Partial,
        Err(_) => return Strict::Odd,
    };
    let (Some(raw), Some(status)) = (bytes.get(..len), response.code) else {
        return Strict::Odd;
    };
    let fields = Fields::from_raw(raw, names_and_values(response.headers));
    let mut parsed = parsed(Head::response(status, version(response.version), fields), raw, response.headers);
    if status < 100 {
        parsed.anomalies.insert(Anomaly::BadHead);
    }
    Strict::Whole(parsed, len)
}

fn names_and_values<'r>(headers: &[Header<'r>]) -> impl ExactSizeIterator<Item = (&'r [u8], &'r [u8])> {
    headers.iter().map(|header| (header.name.as_bytes(), header.value))
}

const fn version(minor: Option<u8>) -> Version {
    match minor {
        Some(0) => Version::Http10,
        _ => Version::Http11,
    }
}

fn parsed(head: Head, raw: &[u8], headers: &[Header<'_>]) -> Parsed {
    let mut facts = FieldFacts::default();
    // Every line but the last two is followed by a name, so two bytes before it tell how the line ends.
    let mut crlf = raw.ends_with(b"\r\n\r\n");
    for header in headers {
        facts.note(header.name.as_bytes(), header.value);
        let name = header.name.as_ptr().addr().wrapping_sub(raw.as_ptr().addr());
        crlf &= raw.get(..name).is_some_and(|before| before.ends_with(b"\r\n"));
    }
    let anomalies = if crlf { Anomalies::default() } else { Anomalies::from_iter([Anomaly::BareLf]) };
    Parsed { head, facts, anomalies }
}

/// Parses a head that is whole, its empty line included, and whose first line may be a start line.
pub(super) fn lenient(role: Role, raw: &[u8]) -> Option<Parsed> {
    match strict(role, raw) {
        Strict::Whole(parsed, len) if len == raw.len() => Some(parsed),
        _ => tolerant::head(role, raw),
    }
}

/// Parses a trailer section that is whole, its empty line included.
pub(super) fn trailers(raw: &[u8]) -> (Fields, Anomalies) {
    let mut headers = [httparse::EMPTY_HEADER; FIELDS];
    match httparse::parse_headers(raw, &mut headers) {
        Ok(Status::Complete((len, headers))) if len == raw.len() && is_crlf(raw) => {
            (Fields::from_raw(raw, names_and_values(headers)), Anomalies::default())
        }
        _ => tolerant::fields(raw),
    }
}

fn is_crlf(raw: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', raw).all(|feed| raw.get(..feed).is_some_and(|line| line.ends_with(b"\r")))
}
