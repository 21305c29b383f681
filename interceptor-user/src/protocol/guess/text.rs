//! Protocols that begin with text.

use crate::protocol::http1::line::{Fit, starts};

/// A line that is longer is none of these.
const LINE_MAX: usize = 512;

/// RFC 4253 section 4.2.
pub(super) fn ssh(bytes: &[u8]) -> Fit {
    starts(bytes, b"SSH-2.0-").or(starts(bytes, b"SSH-1."))
}

/// The server's greeting names the protocol, the client greets by its name (RFC 5321 section 3.1, RFC 2033 section 4.1).
pub(super) fn smtp(bytes: &[u8]) -> Fit {
    let hello = [b"EHLO ", b"HELO ", b"LHLO "].map(|verb| starts_ignoring_case(bytes, verb));
    let greeting = starts(bytes, b"220 ").or(starts(bytes, b"220-"));
    let names_it = || line(bytes, |line| line.windows(4).any(|word| word.eq_ignore_ascii_case(b"smtp")));
    let greeting = if greeting == Fit::Yes { names_it() } else { greeting };
    hello.into_iter().fold(greeting, Fit::or)
}

/// A command is an array of bulk strings (RESP, "Sending commands to a Redis server"): `*2\r\n$3\r\nGET\r\n$1\r\na\r\n`.
pub(super) fn redis(bytes: &[u8]) -> Fit {
    let Some((b'*', rest)) = bytes.split_first() else { return if bytes.is_empty() { Fit::More } else { Fit::No } };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let after = rest.get(digits..).unwrap_or_default();
    match (digits, after.is_empty()) {
        (0, true) => Fit::More,
        (1..=7, _) => match starts(after, b"\r\n$") {
            Fit::Yes => after.get(3).map_or(Fit::More, |byte| yes_if(byte.is_ascii_digit())),
            other => other,
        },
        _ => Fit::No,
    }
}

/// Protocol header (AMQP 1.0 section 2.2, AMQP 0-9-1 section 4.2.2).
pub(super) fn amqp(bytes: &[u8]) -> Fit {
    match starts(bytes, b"AMQP") {
        Fit::Yes => bytes.get(4).map_or(Fit::More, |id| yes_if(*id <= 3)),
        other => other,
    }
}

/// A command line of Memcached's text protocol (its `doc/protocol.txt`).
pub(super) fn memcached(bytes: &[u8]) -> Fit {
    if !bytes.iter().take(2).all(u8::is_ascii_lowercase) {
        return Fit::No;
    }
    line(bytes, |line| {
        let Some(line) = line.strip_suffix(b"\r") else { return false };
        let mut words = line.split(|byte| *byte == b' ');
        let verb = words.next().unwrap_or_default();
        let (key, mut numbers) = (words.next(), words.clone());
        let count = words.count();
        let numeric = |words: &[u8]| !words.is_empty() && words.iter().all(u8::is_ascii_digit);
        match verb {
            b"get" | b"gets" | b"mg" | b"md" => key.is_some_and(|key| !key.is_empty()),
            b"set" | b"add" | b"replace" | b"append" | b"prepend" | b"cas" => {
                (3..=5).contains(&count) && numbers.by_ref().take(3).all(numeric)
            }
            b"ms" => numbers.next().is_some_and(numeric),
            b"version" | b"stats" | b"mn" => count == 0,
            _ => false,
        }
    })
}

/// The first line, without its line feed, if `fits` likes it. Nothing that is not text fits.
fn line(bytes: &[u8], fits: impl FnOnce(&[u8]) -> bool) -> Fit {
    let window = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let end = memchr::memchr(b'\n', window);
    let line = window.get(..end.unwrap_or(window.len())).unwrap_or_default();
    if !line.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\r' | 0x80..)) {
        return Fit::No;
    }
    match end {
        Some(_) => yes_if(fits(line)),
        None if window.len() < LINE_MAX => Fit::More,
        None => Fit::No,
    }
}

fn starts_ignoring_case(bytes: &[u8], prefix: &[u8]) -> Fit {
    let common = bytes.len().min(prefix.len());
    match (bytes.get(..common), prefix.get(..common)) {
        (Some(bytes), Some(start)) if bytes.eq_ignore_ascii_case(start) => {
            if common == prefix.len() {
                Fit::Yes
            } else {
                Fit::More
            }
        }
        _ => Fit::No,
    }
}

const fn yes_if(yes: bool) -> Fit {
    if yes { Fit::Yes } else { Fit::No }
}
