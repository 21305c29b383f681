//! Secrets that say by their beginning what they are.

use std::ops::Range;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::model::Entity;

/// The longest token and the longest key that are looked at.
const TOKEN: usize = 8 << 10;
const PEM: usize = 16 << 10;

/// What goes before a divider and after it, how long the rest is, and what it is.
type Prefix = (&'static [u8], &'static [u8], Range<usize>, Entity);

/// What ends before `_`, what has to follow it at least and at the most, and what that is.
const UNDERSCORED: [Prefix; 11] = [
    (b"ghp", b"", 36..256, Entity::GithubToken),
    (b"gho", b"", 36..256, Entity::GithubToken),
    (b"ghu", b"", 36..256, Entity::GithubToken),
    (b"ghs", b"", 36..256, Entity::GithubToken),
    (b"ghr", b"", 36..256, Entity::GithubToken),
    (b"github", b"pat_", 60..256, Entity::GithubToken),
    (b"hf", b"", 34..35, Entity::HuggingfaceToken),
    (b"sk", b"live_", 10..256, Entity::StripeKey),
    (b"sk", b"test_", 10..256, Entity::StripeKey),
    (b"rk", b"live_", 10..256, Entity::StripeKey),
    (b"rk", b"test_", 10..256, Entity::StripeKey),
];

/// The same for `-`. The first that fits is taken.
const HYPHENED: [Prefix; 9] = [
    (b"xoxb", b"", 20..256, Entity::SlackToken),
    (b"xoxp", b"", 20..256, Entity::SlackToken),
    (b"xoxa", b"", 20..256, Entity::SlackToken),
    (b"xoxr", b"", 20..256, Entity::SlackToken),
    (b"xoxs", b"", 20..256, Entity::SlackToken),
    (b"xapp", b"", 20..256, Entity::SlackToken),
    (b"glpat", b"", 20..256, Entity::GitlabToken),
    (b"sk", b"ant-", 32..256, Entity::AnthropicApiKey),
    (b"sk", b"", 32..256, Entity::OpenaiApiKey),
];

fn word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

fn run(text: &[u8], from: usize, most: usize, of: impl Fn(u8) -> bool) -> &[u8] {
    let rest = text.get(from..text.len().min(from.saturating_add(most))).unwrap_or_default();
    rest.get(..rest.iter().take_while(|byte| of(**byte)).count()).unwrap_or_default()
}

/// The secret whose prefix ends with the `_` or `-` at `at`.
pub(super) fn prefixed(text: &[u8], at: usize) -> Option<(Range<usize>, Entity)> {
    let from = at.saturating_sub(38);
    let start = at - text.get(from..at)?.iter().rev().take_while(|byte| word(**byte)).count();
    if text.get(start..)?.starts_with(b"AIza") {
        return (run(text, start, 40, word).len() == 39).then_some((start..start + 39, Entity::GcpApiKey));
    }
    let known = if text.get(at)? == &b'_' { UNDERSCORED.iter() } else { HYPHENED.iter() };
    let before = text.get(..at)?;
    for (prefix, second, lengths, entity) in known {
        if !before.ends_with(prefix) || !text.get(at + 1..)?.starts_with(second) {
            continue;
        }
        let start = at - prefix.len();
        let joined = start > 0 && text.get(start - 1).is_some_and(|byte| word(*byte));
        let from = at + 1 + second.len();
        let secret = run(text, from, lengths.end, word);
        // Words joined by hyphens have no digits in them; only base62 of thirty letters seldom has none.
        let random = lengths.start == 34 || secret.iter().any(u8::is_ascii_digit);
        if !joined && random && lengths.contains(&secret.len()) {
            return Some((start..from + secret.len(), *entity));
        }
    }
    None
}

/// A private key whose `-----BEGIN` begins at `at`; of one that is cut, what there is.
pub(super) fn private_key(text: &[u8], at: usize) -> Option<Range<usize>> {
    let rest = text.get(at..text.len().min(at + PEM))?;
    let label = rest.strip_prefix(b"-----BEGIN ")?;
    let line = label.get(..label.len().min(40))?;
    let kind = memchr::memmem::find(line, b"PRIVATE KEY")?;
    line.get(..kind)?.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b' ').then_some(())?;
    let end = memchr::memmem::find(rest, b"-----END ").and_then(|end| {
        let after = rest.get(end + 9..)?;
        Some(end + 9 + memchr::memmem::find(after.get(..after.len().min(60))?, b"-----")? + 5)
    });
    Some(at..at + end.unwrap_or_else(|| body(rest)))
}

/// Where the lines of a key end that has no last line: with what is in none.
fn body(rest: &[u8]) -> usize {
    let part = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=-\r\n \\:,".contains(byte);
    rest.iter().take_while(part).count()
}

/// The token that begins at `at`, where its letters and digits tell: of AWS, Google, or a JWT.
pub(super) fn token(text: &[u8], at: usize, len: usize) -> Option<(Range<usize>, Entity)> {
    let token = text.get(at..at + len)?;
    if len == 20 && (token.starts_with(b"AKIA") || token.starts_with(b"ASIA")) {
        let good = token.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        return good.then_some((at..at + len, Entity::AwsAccessKey));
    }
    if token.starts_with(b"AIza") {
        return (run(text, at, 40, word).len() == 39).then_some((at..at + 39, Entity::GcpApiKey));
    }
    // Not within a longer word: each part of one would be read to its end.
    let begins = at == 0 || text.get(at - 1).is_some_and(|byte| !word(*byte));
    if begins && token.starts_with(b"eyJ") {
        return Some((at..at + jwt(text, at)?, Entity::Jwt));
    }
    None
}

/// Bytes of the JWT that begins at `at`: three parts, the last of which is empty where nothing signs it.
fn jwt(text: &[u8], at: usize) -> Option<usize> {
    let header = run(text, at, TOKEN, word);
    let dot = |at: usize| text.get(at) == Some(&b'.');
    let second = at + header.len() + 1;
    let claims = run(text, second, TOKEN, word);
    let third = second + claims.len() + 1;
    (dot(second - 1) && dot(third - 1) && !claims.is_empty()).then_some(())?;
    let header = URL_SAFE_NO_PAD.decode(header).ok()?;
    let header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.get("alg")?;
    Some(third + run(text, third, TOKEN, word).len() - at)
}

/// A secret in plain base64 that begins at `at`; only words near it tell what it is.
pub(super) fn base64(text: &[u8], at: usize) -> Option<(Range<usize>, Entity)> {
    let part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    // The run with the first digit need not be the first one.
    let before = text.get(at.saturating_sub(86)..at)?;
    let at = at - before.iter().rev().take_while(|byte| part(**byte)).count();
    match run(text, at, 87, part).len() {
        40 if text.get(at + 40) != Some(&b'=') => Some((at..at + 40, Entity::AwsSecretKey)),
        86 if text.get(at + 86..at + 88) == Some(b"==") => Some((at..at + 88, Entity::AzureStorageKey)),
        _ => None,
    }
}
