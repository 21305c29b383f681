//! The search: one pass over the text that stops at bytes with which something may begin (digits, `@`, `:`, `_`, `-`, `.`), and
//! looks closely there. Text without them costs a look into a table for each byte.

use std::{borrow::Cow, collections::HashSet, ops::Range, sync::Arc};

use regex::bytes::Regex;

use super::{
    address::{self, Colons},
    context::{Context, raised, words},
    identifier, phone, secret,
    shape::{Index, ends, fit},
};
use crate::model::Entity;

/// Letters that may go before the first digit of what is searched for.
const BEFORE_DIGIT: usize = 128;
/// How far what a recogniser of the policy's fits may go beyond the part in which it begins.
const BEYOND: usize = 4096;

/// What a match is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What the program knows.
    Known(Entity),
    /// A recogniser of the policy's, by its position there.
    Custom(usize),
}

/// Something that was found in a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Match {
    /// Where, in bytes.
    pub range: Range<usize>,
    /// What.
    pub kind: Kind,
    /// How sure it is, from 0 to 1.
    pub score: f32,
}

/// A recogniser of the policy's. A copy has the same compiled expression and a cache of its own.
#[derive(Clone, Debug)]
pub(super) struct Custom {
    pub(super) name: Cow<'static, str>,
    pub(super) regex: Regex,
    pub(super) score: f32,
    pub(super) context: Vec<String>,
}

/// Searches texts for personal data and secrets. Copies share what does not change, and no lock.
#[derive(Clone, Debug)]
pub struct Scanner {
    enabled: u64,
    threshold: f32,
    pub(super) custom: Vec<Custom>,
    allowed: Arc<HashSet<Vec<u8>>>,
    index: Arc<Index>,
    /// Bytes at which the search stops.
    stops: [bool; 256],
}

impl Scanner {
    /// For these entities; only what has at least this score is told.
    pub fn new(entities: &[Entity], threshold: f32) -> Self {
        let enabled = entities.iter().fold(0, |set, entity| set | 1_u64 << *entity as u64);
        let has = |entity: Entity| enabled >> entity as u64 & 1 == 1;
        let index = Arc::new(Index::of(has));
        let mut stops = [false; 256];
        let any = |wanted: &[Entity]| wanted.iter().any(|entity| has(*entity));
        let secrets = Entity::ALL.iter().any(|entity| *entity >= Entity::AwsAccessKey && has(*entity));
        let numbers = !index.is_empty()
            || secrets
            || any(&[Entity::IbanCode, Entity::PhoneNumber, Entity::IpAddress, Entity::Crypto]);
        for (bytes, wanted) in [
            (b"0123456789".as_slice(), numbers),
            (b"@", has(Entity::EmailAddress)),
            (b":", any(&[Entity::Url, Entity::IpAddress, Entity::MacAddress])),
            (b".", has(Entity::Url)),
            (b"_-", secrets),
        ] {
            for byte in bytes {
                if let Some(stop) = stops.get_mut(usize::from(*byte)) {
                    *stop = wanted;
                }
            }
        }
        Self { enabled, threshold, custom: Vec::new(), allowed: Arc::default(), index, stops }
    }

    /// Values that are no findings.
    #[must_use]
    pub fn allowing(mut self, allowed: impl IntoIterator<Item = String>) -> Self {
        self.allowed = Arc::new(allowed.into_iter().map(String::into_bytes).collect());
        self
    }

    /// The name of what was found.
    pub fn name(&self, kind: Kind) -> Cow<'static, str> {
        match kind {
            Kind::Known(entity) => entity.name().into(),
            Kind::Custom(index) => self.custom.get(index).map_or("".into(), |custom| custom.name.clone()),
        }
    }

    fn has(&self, entity: Entity) -> bool {
        self.enabled >> entity as u64 & 1 == 1
    }

    /// What is in a text that is sent under this name, in order; no two overlap.
    pub fn scan(&self, text: &[u8], name: &str) -> Vec<Match> {
        self.scan_part(text, 0..text.len(), name)
    }

    /// The same, of what begins in this part of the text.
    pub(super) fn scan_part(&self, text: &[u8], part: Range<usize>, name: &str) -> Vec<Match> {
        let mut search =
            Search { scanner: self, text, name, found: Vec::new(), floor: 0, said: Context::default(), said_at: 0..0 };
        let mut at = part.start;
        while let Some(rest) = text.get(at..part.end.min(text.len())) {
            let stop = |byte: &u8| self.stops.get(usize::from(*byte)).is_some_and(|stop| *stop);
            let Some(offset) = rest.iter().position(stop) else { break };
            at = search.look(at + offset).max(at + offset + 1);
        }
        search.custom(&part);
        resolve(search.found)
    }
}

/// Of those that overlap the surest is kept, then the longest.
fn resolve(mut found: Vec<Match>) -> Vec<Match> {
    if found.len() > 1 {
        let longer = |a: &Match, b: &Match| b.range.len().cmp(&a.range.len());
        found.sort_by(|a, b| a.range.start.cmp(&b.range.start).then(b.score.total_cmp(&a.score)).then(longer(a, b)));
    }
    let mut kept: Vec<Match> = Vec::with_capacity(found.len());
    for one in found {
        let rival = kept.last_mut().filter(|last| last.range.end > one.range.start);
        match rival {
            None => kept.push(one),
            Some(last) if (one.score, one.range.len()) > (last.score, last.range.len()) => *last = one,
            Some(_) => {}
        }
    }
    kept
}

struct Search<'a> {
    scanner: &'a Scanner,
    text: &'a [u8],
    name: &'a str,
    found: Vec<Match>,
    /// What is before this is part of something that was found.
    floor: usize,
    /// What is said around the last place for which that was asked.
    said: Context,
    said_at: Range<usize>,
}

impl Search<'_> {
    /// Looks at a stop; what comes next is not before what it gives.
    fn look(&mut self, at: usize) -> usize {
        match self.text.get(at) {
            Some(b'0'..=b'9') => self.run(at),
            Some(b'@') => address::email(self.text, at, self.floor)
                .map_or(at, |range| self.tell(range, Entity::EmailAddress, 1.0)),
            Some(b':') => self.colon(at),
            Some(b'.') => address::www(self.text, at).map_or(at, |range| self.tell(range, Entity::Url, 0.6)),
            Some(_) => self.prefix(at),
            None => at,
        }
    }

    /// Something was found, and is told if it is sure enough.
    fn tell(&mut self, range: Range<usize>, entity: Entity, score: f32) -> usize {
        let words = words(entity);
        let end = range.end;
        let threshold = self.scanner.threshold;
        if !self.scanner.has(entity) || score.max(raised(score)) < threshold {
            return range.start;
        }
        let spoken_of = !words.is_empty() && score < 1.0 && self.context(&range).says(words.iter().copied());
        let score = if spoken_of { raised(score) } else { score };
        if score < threshold {
            return range.start;
        }
        self.push(Match { range, kind: Kind::Known(entity), score });
        end
    }

    /// What is said around this; several recognisers ask in a row.
    fn context(&mut self, range: &Range<usize>) -> &Context {
        if self.said_at != *range {
            self.said = Context::around(self.text, range.start, range.end, self.name);
            self.said_at = range.clone();
        }
        &self.said
    }

    fn push(&mut self, found: Match) {
        let value = self.text.get(found.range.clone()).unwrap_or_default();
        if value.is_empty() || (!self.scanner.allowed.is_empty() && self.scanner.allowed.contains(value)) {
            return;
        }
        self.floor = self.floor.max(found.range.end);
        self.found.push(found);
    }

    /// A run of letters and digits; `at` is its first digit.
    fn run(&mut self, at: usize) -> usize {
        let alphanumeric = |byte: &&u8| byte.is_ascii_alphanumeric();
        let low = self.floor.min(at).max(at.saturating_sub(BEFORE_DIGIT));
        let letters = self.text.get(low..at).unwrap_or_default().iter().rev().take_while(alphanumeric).count();
        // `\\n` within text that holds JSON: the letter belongs to the line end.
        let before = self.text.get(low.saturating_sub(1)..at - letters).unwrap_or_default();
        let escaped =
            before.last() == Some(&b'\\') && self.text.get(at - letters).is_some_and(|byte| b"nrt".contains(byte));
        let letters = letters - usize::from(escaped && letters > 0);
        let start = at - letters;
        let rest = self.text.get(at..).unwrap_or_default();
        let len = letters + rest.iter().take_while(alphanumeric).count();
        let end = start + len;
        if start > 0 && self.text.get(start - 1) == Some(&b'_') && letters > 0 {
            return end;
        }
        self.identifiers(start, len);
        if letters <= 2 {
            self.after_letters(start);
        }
        let mut next = end;
        if letters == 0 {
            next = next.max(self.digits(start, len));
        }
        if len >= 4 {
            next = next.max(self.long(start, len));
        }
        next.max(self.floor)
    }

    /// Whatever has a template that begins with a run of this length.
    fn identifiers(&mut self, start: usize, len: usize) {
        let templates = self.scanner.index.beginning(len);
        if templates.is_empty() || self.within_number(start) {
            return;
        }
        let glued = self.glued(start);
        for (entity, template) in templates {
            let Some(shaped) = fit(template, self.text, start) else { continue };
            let Some(mut score) = identifier::score(*entity, &shaped) else { continue };
            // Part of a longer name with hyphens, or in small letters: only if words near it say so.
            if glued || (self.goes_on(shaped.end) && *entity != Entity::IbanCode) {
                score = score.min(0.3);
            } else if shaped.lower && *entity != Entity::MacAddress {
                score = (score - 0.1).max(0.1);
            }
            self.tell(start..shaped.end, *entity, score);
        }
    }

    /// Is what begins here the fraction of a number, or a group of one?
    fn within_number(&self, start: usize) -> bool {
        let before = self.text.get(..start).unwrap_or_default();
        matches!(before, [.., b'0'..=b'9', b'.' | b','])
    }

    /// Does a hyphen join it to what goes before?
    fn glued(&self, start: usize) -> bool {
        let before = self.text.get(..start).unwrap_or_default();
        matches!(before, [.., joined, b'-' | b'_' | b'.' | b'/'] if joined.is_ascii_alphanumeric())
    }

    /// Or to what comes after?
    fn goes_on(&self, end: usize) -> bool {
        matches!(self.text.get(end..), Some([b'-' | b'_', next, ..]) if next.is_ascii_alphanumeric())
    }

    /// One or two letters stand before the first digits: `AB 12 34 56 C`, `X-1234567-L`.
    fn after_letters(&mut self, start: usize) {
        let before = self.text.get(self.floor.min(start)..start).unwrap_or_default();
        let Some((b' ' | b'-', before)) = before.split_last() else { return };
        let letters = before.iter().rev().take_while(|byte| byte.is_ascii_alphabetic()).count();
        let boundary = before.len() - letters;
        let joined =
            boundary > 0 && before.get(boundary - 1).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'_');
        if (1..=2).contains(&letters) && !joined {
            self.identifiers(start - 1 - letters, letters);
        }
    }

    /// What begins with digits and has no template: network addresses and telephone numbers.
    fn digits(&mut self, start: usize, len: usize) -> usize {
        let mut next = start;
        if len <= 3
            && self.scanner.has(Entity::IpAddress)
            && self.text.get(start + len) == Some(&b'.')
            && let Some(end) = address::ipv4(self.text, start)
        {
            return self.tell(start..end, Entity::IpAddress, 0.6);
        }
        if len <= 15
            && self.scanner.has(Entity::PhoneNumber)
            && let Some((range, score)) = phone::phone(self.text, start, self.floor.min(start))
        {
            next = self.tell(range, Entity::PhoneNumber, score);
        }
        next
    }

    /// Bank accounts, wallets and tokens.
    fn long(&mut self, start: usize, len: usize) -> usize {
        let run = self.text.get(start..start + len).unwrap_or_default();
        let mut next = start;
        if let [a @ b'A'..=b'z', b @ b'A'..=b'z', b'0'..=b'9', b'0'..=b'9', ..] = run
            && self.scanner.has(Entity::IbanCode)
            && let Some(end) = self.iban(start, [a.to_ascii_uppercase(), b.to_ascii_uppercase()])
        {
            return self.tell(start..end, Entity::IbanCode, 1.0);
        }
        if (25..=74).contains(&len) && self.scanner.has(Entity::Crypto) {
            let base58 = matches!(run.first(), Some(b'1' | b'3')) && address::is_base58check(run);
            if base58 || address::is_bech32(run) {
                return self.tell(start..start + len, Entity::Crypto, 1.0);
            }
        }
        if let Some((range, entity)) = secret::token(self.text, start, len) {
            next = self.tell(range, entity, 0.9);
        }
        let base64 = [Entity::AwsSecretKey, Entity::AzureStorageKey].into_iter().any(|entity| self.scanner.has(entity));
        if base64 && let Some((range, entity)) = secret::base64(self.text, start) {
            next = next.max(self.tell(range, entity, 0.3));
        }
        next
    }

    /// Where an IBAN ends that begins here, in groups or not.
    fn iban(&self, start: usize, country: [u8; 2]) -> Option<usize> {
        let len = identifier::iban_len(country)?;
        let (mut code, mut at) = (Vec::with_capacity(len), start);
        while code.len() < len {
            match self.text.get(at)? {
                byte if byte.is_ascii_alphanumeric() => code.push(byte.to_ascii_uppercase()),
                b' ' | b'-' if code.len() % 4 == 0 => {}
                _ => return None,
            }
            at += 1;
        }
        (ends(self.text, at) && identifier::is_iban(&code)).then_some(at)
    }

    fn colon(&mut self, at: usize) -> usize {
        if self.text.get(at..at + 3) == Some(b"://") {
            let within = self.found.last().is_some_and(|last| last.range.end > at);
            return match address::url(self.text, at).filter(|_| !within) {
                // What is in it is looked at too.
                Some(range) if self.scanner.has(Entity::Url) => {
                    self.found.push(Match { range, kind: Kind::Known(Entity::Url), score: 0.6 });
                    at + 3
                }
                _ => at + 3,
            };
        }
        match address::colons(self.text, at) {
            Colons::Mac(range) => self.tell(range, Entity::MacAddress, 0.7),
            Colons::Ip(range) => self.tell(range, Entity::IpAddress, 0.6),
            Colons::None => at,
        }
    }

    fn prefix(&mut self, at: usize) -> usize {
        if self.text.get(at..).is_some_and(|rest| rest.starts_with(b"-----BEGIN ")) {
            return secret::private_key(self.text, at).map_or(at, |range| self.tell(range, Entity::PrivateKey, 1.0));
        }
        secret::prefixed(self.text, at).map_or(at, |(range, entity)| self.tell(range, entity, 0.9))
    }

    /// The policy's own.
    fn custom(&mut self, part: &Range<usize>) {
        let text = self.text.get(..part.end.saturating_add(BEYOND).min(self.text.len())).unwrap_or_default();
        for (index, custom) in self.scanner.custom.iter().enumerate() {
            let mut at = part.start;
            while let Some(found) = (at <= text.len()).then(|| custom.regex.find_at(text, at)).flatten() {
                if found.start() >= part.end {
                    break;
                }
                at = found.end().max(found.start() + 1);
                let context = custom.context.iter().map(String::as_str);
                let spoken_of = !custom.context.is_empty() && self.context(&found.range()).says(context);
                let score = if spoken_of { raised(custom.score) } else { custom.score };
                if score >= self.scanner.threshold {
                    self.push(Match { range: found.range(), kind: Kind::Custom(index), score });
                }
            }
        }
    }
}
