//! What of an exchange is searched, and how what is found is told.

use std::{borrow::Cow, sync::Arc};

use super::{
    Key, Kind, Match, Scanner,
    body::Contents,
    conceal::shown,
    json::{LeafKind, Next, Walk},
};
use crate::{
    inspect::{Budget, Inspector, Report, Subject},
    model::{Fields, Finding, InspectorName, Needs, Part, Role, Target, UninspectedReason},
    policy::settings::{Error, Pii as Settings, Place},
};

/// Bytes that are asked for at a time.
const STEP: usize = 16 << 10;
/// Bytes of a content that have to be kept.
const CONTENT: usize = 1 << 20;

/// Fields that say where and how a message is sent, and nothing of anybody.
const ROUTINE: [&str; 22] = [
    ":authority",
    ":method",
    ":path",
    ":scheme",
    ":status",
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "host",
    "last-modified",
    "server",
    "te",
    "traceparent",
    "transfer-encoding",
    "user-agent",
];

/// Searches exchanges for personal data and secrets. It is made once; each worker has a copy.
#[derive(Clone, Debug)]
pub struct Pii {
    scanner: Scanner,
    settings: Arc<Settings>,
    key: Key,
}

impl Pii {
    /// By these settings; hashes are made with this key.
    pub fn new(settings: &Settings, key: Key) -> Result<Self, Error> {
        Ok(Self { scanner: Scanner::of(settings)?, settings: Arc::new(settings.clone()), key })
    }

    /// What it searches with, for redaction.
    pub const fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    fn searches(&self, place: Place) -> bool {
        self.settings.places.contains(&place)
    }
}

impl Inspector for Pii {
    fn name(&self) -> InspectorName {
        InspectorName::Pii
    }

    fn needs(&self) -> Needs {
        let of = |role| {
            let wanted = self.settings.sides.iter().any(|side| side.role() == role) && self.searches(Place::Body);
            if wanted { CONTENT } else { 0 }
        };
        Needs { request: of(Role::Request), response: of(Role::Response) }
    }

    fn inspect(&mut self, subject: &Subject<'_>, budget: &mut Budget, report: &mut Report) {
        for side in &self.settings.sides {
            let role = side.role();
            let Some(part) = subject.exchange.part(role) else { continue };
            let first = report.findings.len();
            let mut search = Search { pii: self, role, budget, report, first };
            // What could not be looked at was said.
            let _ = search.part(subject, part);
        }
    }
}

/// Why the search of a message ends early.
pub(super) struct Over;

/// The search of one message.
pub(super) struct Search<'a> {
    pii: &'a Pii,
    pub(super) role: Role,
    budget: &'a mut Budget,
    report: &'a mut Report,
    first: usize,
}

impl Search<'_> {
    fn part(&mut self, subject: &Subject<'_>, part: &Part) -> Result<(), Over> {
        let target = Target::of(&part.head);
        if self.pii.searches(Place::Path)
            && let Some(path) = target.path
        {
            let path = percent_decoded(path.as_bytes(), false);
            self.text(&path, "", |_| "path".to_owned())?;
        }
        if self.pii.searches(Place::Query)
            && let Some(query) = target.query
        {
            self.pairs(query.as_bytes(), "query")?;
        }
        if self.pii.searches(Place::Headers) {
            self.fields(&part.head.fields, "header")?;
            self.fields(&part.trailers, "trailer")?;
        }
        if self.pii.searches(Place::Body) {
            Contents { subject, part }.search(self)?;
        }
        Ok(())
    }

    fn fields(&mut self, fields: &Fields, what: &str) -> Result<(), Over> {
        for (name, value) in fields.iter() {
            if !ROUTINE.iter().any(|routine| name.eq_ignore_ascii_case(routine)) {
                let name = name.to_ascii_lowercase();
                self.text(value, &name, |scanner| format!("{what}:{}", shown(scanner, &name)))?;
            }
        }
        Ok(())
    }

    /// `name=value&…`, percent-encoded.
    pub(super) fn pairs(&mut self, pairs: &[u8], what: &str) -> Result<(), Over> {
        for pair in pairs.split(|byte| *byte == b'&') {
            let mut parts = pair.splitn(2, |byte| *byte == b'=');
            let (first, second) = (parts.next().unwrap_or_default(), parts.next());
            let name =
                second.map_or_else(String::new, |_| String::from_utf8_lossy(&percent_decoded(first, true)).into());
            let value = percent_decoded(second.unwrap_or(first), true);
            self.text(&value, &name, |scanner| format!("{what}:{}", shown(scanner, &name)))?;
            self.text(name.as_bytes(), "", |scanner| format!("{what}:{}", shown(scanner, &name)))?;
        }
        Ok(())
    }

    /// A text that is sent under this name.
    pub(super) fn text(&mut self, text: &[u8], name: &str, place: impl Fn(&Scanner) -> String) -> Result<(), Over> {
        let mut at = 0;
        while at < text.len() {
            let end = at + self.take(text.len() - at)?;
            // What was found may go on beyond, and is not to be found again.
            at = end.max(self.tell(text, at..end, name, &place)?);
        }
        Ok(())
    }

    /// A JSON text, else what it is: false where it is none from the first byte on.
    pub(super) fn json(&mut self, text: &[u8]) -> Result<bool, Over> {
        let mut walk = Walk::new(text);
        let mut any = false;
        loop {
            match walk.next() {
                Next::Leaf(leaf) => {
                    any = true;
                    // A window may end within a string, which may be long.
                    while walk.at() > walk.until() {
                        let more = self.take(walk.at() - walk.until())?;
                        walk.go_on_to(walk.until() + more);
                    }
                    let name = if leaf.kind == LeafKind::Name { Cow::default() } else { walk.name() };
                    let place = |scanner: &Scanner| walk.path(|name| shown(scanner, name));
                    self.tell(&leaf.value, 0..leaf.value.len(), &name, &place)?;
                }
                Next::Pause => {
                    let more = self.take(text.len() - walk.until())?;
                    walk.go_on_to(walk.until() + more);
                }
                Next::End => return Ok(true),
                Next::Malformed(_) if !any => return Ok(false),
                Next::Malformed(from) => {
                    self.skip(UninspectedReason::Malformed);
                    let rest = text.get(from..).unwrap_or_default();
                    self.text(rest, "", |_| "body".to_owned())?;
                    return Ok(true);
                }
            }
        }
    }

    /// Asks for the next bytes; says so where there are none.
    fn take(&mut self, bytes: usize) -> Result<usize, Over> {
        self.budget.take(bytes.min(STEP)).map_err(|reason| {
            self.skip(reason);
            Over
        })
    }

    /// Something is not searched.
    pub(super) fn skip(&mut self, reason: UninspectedReason) {
        self.report.skip(InspectorName::Pii, Some(self.role), reason);
    }

    /// Tells what is found in this part of a text, and where the last of it ends.
    fn tell(
        &mut self,
        text: &[u8],
        part: std::ops::Range<usize>,
        name: &str,
        place: &impl Fn(&Scanner) -> String,
    ) -> Result<usize, Over> {
        let found = self.pii.scanner.scan_part(text, part, name);
        if found.is_empty() {
            return Ok(0);
        }
        let place = place(&self.pii.scanner);
        let end = found.last().map_or(0, |last| last.range.end);
        found.into_iter().try_for_each(|found| self.finding(text, &found, &place))?;
        Ok(end)
    }

    fn finding(&mut self, text: &[u8], found: &Match, place: &str) -> Result<(), Over> {
        let value = text.get(found.range.clone()).unwrap_or_default();
        let concealed = self.pii.key.conceal(found.kind, value);
        let kind = self.pii.scanner.name(found.kind);
        let told = self.report.findings.get_mut(self.first..).unwrap_or_default();
        let same = told.iter_mut().find(|told| {
            told.place == place && told.kind == kind && told.value.as_ref().is_some_and(|value| *value == concealed)
        });
        if let Some(same) = same {
            same.count = same.count.saturating_add(1);
            same.score = same.score.max(found.score);
            return Ok(());
        }
        if told.len() >= self.pii.settings.max_findings {
            self.skip(UninspectedReason::Bytes);
            return Err(Over);
        }
        self.report.findings.push(Finding {
            inspector: InspectorName::Pii,
            text: match found.kind {
                Kind::Known(_) => String::new(),
                Kind::Custom(_) => "found by a recogniser of the policy".to_owned(),
            },
            kind,
            role: Some(self.role),
            place: place.to_owned(),
            score: found.score,
            value: Some(concealed),
            count: 1,
            rule: Arc::clone(&self.report.rule),
        });
        Ok(())
    }
}

/// Percent-encoding undone (RFC 3986 section 2.1), and in forms `+` for a space.
fn percent_decoded(text: &[u8], form: bool) -> Cow<'_, [u8]> {
    if !text.iter().any(|byte| *byte == b'%' || (form && *byte == b'+')) {
        return text.into();
    }
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(byte) = text.get(at) {
        let hex = |at: usize| text.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) if form => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out.into()
}
