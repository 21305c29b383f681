//! Addresses of networks, mailboxes, pages and wallets.

use std::{net::Ipv6Addr, ops::Range};

use sha2::{Digest as _, Sha256};

/// The longest local part and domain (RFC 5321 section 4.5.3.1).
const LOCAL: usize = 64;
const DOMAIN: usize = 255;
/// The longest address that is looked at as a whole.
const URL: usize = 2048;
/// Punctuation that may follow it and is no part of it.
const PUNCTUATION: usize = 8;
/// Endings of file names that follow `@` in names of pictures and packages, and of no mailbox.
const NO_DOMAINS: [&[u8]; 8] = [b"png", b"jpg", b"jpeg", b"gif", b"svg", b"webp", b"css", b"js"];
/// Schemes of addresses that are worth a finding.
const SCHEMES: [&[u8]; 8] = [b"http", b"https", b"ftp", b"ftps", b"ws", b"wss", b"s3", b"gs"];

/// The mailbox whose `@` is at `at`.
pub(super) fn email(text: &[u8], at: usize, floor: usize) -> Option<Range<usize>> {
    let local = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-.".contains(&byte);
    let before = text.get(floor.max(at.saturating_sub(LOCAL))..at)?;
    let mut start = at - before.iter().rev().take_while(|byte| local(**byte)).count();
    // What has a place in a mailbox's name and hardly ever begins it: `'a@b'`, `?to=a@b`, `<a>=a@b`, `//user@host`.
    let begin = text.get(start..at)?.iter().rposition(|byte| b"=?&/|{}`!#$*^~".contains(byte));
    start += begin.map_or(0, |last| last + 1);
    start += text.get(start..at)?.iter().take_while(|byte| b"'.-+%".contains(byte)).count();
    // The line end of JSON in text.
    if start > floor && text.get(start - 1) == Some(&b'\\') && text.get(start).is_some_and(|byte| b"nrt".contains(byte))
    {
        start += 1;
    }
    let latin = text.get(floor..start).map_or(0, latin_letters);
    start -= latin;
    let domain = |byte: &&u8| byte.is_ascii_alphanumeric() || b".-".contains(byte);
    let after = text.get(at + 1..text.len().min(at + 1 + DOMAIN))?;
    let after = after.get(..after.iter().take_while(domain).count())?;
    let after = after.trim_ascii_end();
    let end = after.len() - after.iter().rev().take_while(|byte| b".-".contains(byte)).count();
    let after = after.get(..end)?;
    let labels: Vec<&[u8]> = after.split(|byte| *byte == b'.').collect();
    let top = labels.last()?;
    let good = labels.len() > 1
        && labels.iter().all(|label| !label.is_empty() && label.first() != Some(&b'-') && label.last() != Some(&b'-'))
        && (top.len() > 1 && top.iter().all(u8::is_ascii_alphabetic) || top.starts_with(b"xn--"))
        && !NO_DOMAINS.iter().any(|other| top.eq_ignore_ascii_case(other));
    let end = at + 1 + end;
    // `git@host:path`, `https://user:password@host`
    let remote = text.get(end) == Some(&b':') && text.get(end + 1).is_some_and(u8::is_ascii_alphabetic);
    let user = start > 0 && matches!(text.get(start - 1), Some(b'/' | b':')) && within_address(text, start);
    (good && start < at && !remote && !user && !text.get(start..at)?.windows(2).any(|two| two == b".."))
        .then_some(start..end)
}

/// Does an address with a scheme begin before this and go on to it?
fn within_address(text: &[u8], at: usize) -> bool {
    let before = text.get(at.saturating_sub(LOCAL)..at).unwrap_or_default();
    let word = before.iter().rev().take_while(|byte| !byte.is_ascii_whitespace()).count();
    before.get(before.len() - word..).is_some_and(|word| word.windows(3).any(|three| three == b"://"))
}

/// Bytes of Latin letters with accents, and of ASCII ones between them, at the end of this.
fn latin_letters(text: &[u8]) -> usize {
    let tail = text.get(text.len().saturating_sub(LOCAL)..).unwrap_or_default();
    let mut len = 0;
    while let Some(rest) = tail.get(..tail.len() - len) {
        match rest {
            [.., 0xc3..=0xc9, 0x80..=0xbf] => len += 2,
            [.., last] if len > 0 && last.is_ascii_alphanumeric() => len += 1,
            _ => break,
        }
    }
    len
}

/// What has a colon in it: an address of an interface, or an IPv6 address. The colon is the first one, at `at`.
pub(super) enum Colons {
    Mac(Range<usize>),
    Ip(Range<usize>),
    None,
}

/// The longest textual IPv6 address, with an IPv4 address in it.
const IPV6: usize = 45;

pub(super) fn colons(text: &[u8], at: usize) -> Colons {
    let start = at
        - text
            .get(at.saturating_sub(5)..at)
            .map_or(0, |before| before.iter().rev().take_while(|byte| byte.is_ascii_hexdigit()).count());
    let run = text.get(start..text.len().min(start + IPV6 + 1)).unwrap_or_default();
    let len = run.iter().take_while(|byte| byte.is_ascii_hexdigit() || **byte == b':' || **byte == b'.').count();
    let run = run.get(..len).unwrap_or_default();
    let joined = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    // The middle of a longer one.
    let chained = matches!(text.get(..start), Some([.., before, b':']) if before.is_ascii_hexdigit());
    if chained
        || at - start > 4
        || len > IPV6
        || joined(text.get(start + len))
        || (start > 0 && joined(text.get(start - 1)))
    {
        return Colons::None;
    }
    let trimmed = run.len() - run.iter().rev().take_while(|byte| **byte == b'.').count();
    let trimmed = if run.ends_with(b"::") { trimmed } else { trimmed - usize::from(run.ends_with(b":")) };
    let run = run.get(..trimmed).unwrap_or_default();
    let pairs = |run: &[u8]| run.split(|byte| *byte == b':').all(|pair| pair.len() == 2);
    let plain = |byte: u8| run.iter().filter(|other| **other != b':').all(|other| *other == byte);
    if run.len() == 17 && pairs(run) && !plain(b'0') && !plain(b'f') && !plain(b'F') {
        return Colons::Mac(start..start + run.len());
    }
    let address = str::from_utf8(run).ok().and_then(|run| run.parse::<Ipv6Addr>().ok());
    // `::` alone, and names in code (`abc::def`), are none.
    match address {
        // Eight pairs are a World Wide Name.
        Some(address) if !address.is_unspecified() && !pairs(run) && run.iter().any(u8::is_ascii_digit) => {
            Colons::Ip(start..start + run.len())
        }
        _ => Colons::None,
    }
}

/// An IPv4 address that begins here: four numbers up to 255, and no fifth.
pub(super) fn ipv4(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    for group in 0..4 {
        let digits = text.get(at..)?.iter().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        let number = text.get(at..at + digits)?;
        let value = number.iter().fold(0_u32, |value, digit| value * 10 + u32::from(digit - b'0'));
        if digits == 0 || value > 255 || (digits > 1 && number.first() == Some(&b'0')) {
            return None;
        }
        at += digits;
        if group < 3 {
            if text.get(at) != Some(&b'.') {
                return None;
            }
            at += 1;
        }
    }
    let before = text.get(..start).unwrap_or_default();
    let version =
        [b"v".as_slice(), b"/", b"version ", b"build ", b"section ", b"table ", b"kernel ", b"release ", b"NT "];
    let no_address = before.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"._".contains(byte))
        || version.iter().any(|word| before.ends_with(word) && !before.ends_with(b"//"))
        // One that names nobody.
        || matches!(text.get(start..at), Some(b"0.0.0.0" | b"127.0.0.1"));
    (!no_address && super::shape::ends(text, at)).then_some(at)
}

/// The address whose `://` is at `at`.
pub(super) fn url(text: &[u8], at: usize) -> Option<Range<usize>> {
    let before = text.get(at.saturating_sub(6)..at)?;
    let len = before.iter().rev().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let scheme = before.get(before.len() - len..)?.to_ascii_lowercase();
    SCHEMES.contains(&scheme.as_slice()).then_some(())?;
    let host = text.get(at + 3)?;
    (host.is_ascii_alphanumeric() || *host == b'[').then(|| at - len..at + 3 + extent(text, at + 3))
}

/// The page whose first dot, that of `www.`, is at `at`.
pub(super) fn www(text: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_sub(3)?;
    let whole = text.get(start..at)?.eq_ignore_ascii_case(b"www")
        && text.get(at + 1)?.is_ascii_alphanumeric()
        && !(start > 0 && text.get(start - 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'/'));
    let len = extent(text, at + 1);
    let dotted = text.get(at + 1..at + 1 + len)?.contains(&b'.');
    (whole && dotted).then_some(start..at + 1 + len)
}

/// How far an address goes: not to the punctuation that follows it.
fn extent(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..text.len().min(from + URL)).unwrap_or_default();
    let part = |byte: &&u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(byte);
    let mut len = rest.iter().take_while(part).count();
    for _ in 0..PUNCTUATION {
        let Some((last, kept)) = rest.get(..len).and_then(|rest| rest.split_last()) else { break };
        let closes = |open: u8, close: u8| {
            let count = |byte: u8| memchr::memchr_iter(byte, kept).count();
            *last == close && count(open) <= count(close)
        };
        if !b".,;:!?'*".contains(last) && !closes(b'(', b')') && !closes(b'[', b']') {
            break;
        }
        len -= 1;
    }
    len
}

/// A Bitcoin address in base58check: a version, a hash, four bytes of its SHA-256 twice over.
pub(super) fn is_base58check(text: &[u8]) -> bool {
    const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    if !(25..=35).contains(&text.len()) {
        return false;
    }
    let mut raw = [0_u8; 25];
    for byte in text {
        let Some(mut carry) = ALPHABET.iter().position(|known| known == byte) else { return false };
        for place in raw.iter_mut().rev() {
            carry += usize::from(*place) * 58;
            *place = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let (payload, check) = raw.split_at(21);
    matches!(payload.first(), Some(0 | 5)) && Sha256::digest(Sha256::digest(payload)).starts_with(check)
}

/// A Bitcoin address in bech32 (BIP 173) or bech32m (BIP 350).
pub(super) fn is_bech32(text: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let mixed = text.iter().any(u8::is_ascii_lowercase) && text.iter().any(u8::is_ascii_uppercase);
    let text = text.to_ascii_lowercase();
    let Some(data) = text.strip_prefix(b"bc1").filter(|data| (11..=71).contains(&data.len()) && !mixed) else {
        return false;
    };
    let step = |check: u32, value: u32| {
        let next = (check & 0x1ff_ffff) << 5 ^ value;
        let chosen = GENERATOR.iter().enumerate().filter(|(bit, _)| check >> 25 >> bit & 1 == 1);
        chosen.fold(next, |next, (_, generator)| next ^ generator)
    };
    // The human-readable part, expanded: the upper bits of `b` and `c`, a zero, the lower ones.
    let start = [3, 3, 0, 2, 3].into_iter().fold(1, step);
    let check = data
        .iter()
        .try_fold(start, |check, byte| Some(step(check, ALPHABET.iter().position(|known| known == byte)? as u32)));
    matches!(check, Some(1 | 0x2bc8_30a3))
}
