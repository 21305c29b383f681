//! Heads that are not as they should be, line by line.
//!
//! Each oddity is an anomaly, and is read as RFC 9112 says that a lenient recipient reads it: a bare LF ends a line
//! (section 2.2), a folded line continues the value before it with a space (5.2), a NUL or another control character in
//! a value is a space (RFC 9110 section 5.5), white space before a colon is not part of the name (5.1). A line that is
//! no field is left out.

use std::ops::Range;

use super::{framing::FieldFacts, head::Parsed, line::is_token};
use crate::model::{Anomalies, Anomaly, Fields, Head, Role, Version};

/// Reads a head. `None` if its first line is no start line.
pub(super) fn head(role: Role, raw: &[u8]) -> Option<Parsed> {
    let mut reader = Reader::default();
    let mut lines = raw.split_inclusive(|byte| *byte == b'\n');
    let first = reader.line(lines.next()?);
    let start = StartLine::read(role, first, &mut reader.anomalies)?;
    reader.fields(lines);

    let mut facts = FieldFacts::default();
    for (name, value) in &reader.places {
        facts.note(reader.at(name), reader.at(value));
    }
    let fields = reader.collect();
    let head = match start {
        StartLine::Request { method, target, version } => Head::request(&method, &target, version, fields),
        StartLine::Response { status, version } => Head::response(status, version, fields),
    };
    Some(Parsed { head, facts, anomalies: reader.anomalies })
}

/// Reads a trailer section.
pub(super) fn fields(raw: &[u8]) -> (Fields, Anomalies) {
    let mut reader = Reader::default();
    reader.fields(raw.split_inclusive(|byte| *byte == b'\n'));
    (reader.collect(), reader.anomalies)
}

enum StartLine {
    Request { method: String, target: String, version: Version },
    Response { status: u16, version: Version },
}

impl StartLine {
    fn read(role: Role, line: &[u8], anomalies: &mut Anomalies) -> Option<Self> {
        if line.contains(&0) {
            anomalies.insert(Anomaly::Nul);
        }
        match role {
            Role::Request => Self::request(line, anomalies),
            Role::Response => Self::response(line, anomalies),
        }
    }

    /// RFC 9112 section 3: the method ends at the first white space, the version begins after the last.
    fn request(line: &[u8], anomalies: &mut Anomalies) -> Option<Self> {
        let trimmed = line.trim_ascii_end();
        let first = trimmed.iter().position(u8::is_ascii_whitespace)?;
        let last = trimmed.iter().rposition(u8::is_ascii_whitespace)?;
        let method = trimmed.get(..first)?;
        let target = trimmed.get(first..last).unwrap_or_default().trim_ascii();
        let version = read_version(trimmed.get(last + 1..)?)?;
        let exact = trimmed.len() == line.len() && trimmed.len() == method.len() + target.len() + 10;
        let clean = target.iter().all(|byte| *byte > b' ' && *byte != 0x7f) && str::from_utf8(target).is_ok();
        if !exact || !clean || target.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
            anomalies.insert(Anomaly::BadHead);
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        Some(Self::Request { method: text(method), target: text(target), version })
    }

    /// RFC 9112 section 4.
    fn response(line: &[u8], anomalies: &mut Anomalies) -> Option<Self> {
        let (version, rest) = line.split_at_checked(8)?;
        let version = read_version(version)?;
        let [b' ', status @ .., a, b, c] = rest.get(..4)? else {
            return None;
        };
        let digits = [*a, *b, *c];
        if !status.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        let reason = rest.get(4..).unwrap_or_default();
        let control = reason.iter().any(|byte| *byte != b'\t' && *byte != 0 && byte.is_ascii_control());
        if status < 100 || control || !matches!(reason, [] | [b' ', ..]) {
            anomalies.insert(Anomaly::BadHead);
        }
        Some(Self::Response { status, version })
    }
}

/// A higher minor version is treated as the highest that we know (RFC 9110 section 6.2).
fn read_version(version: &[u8]) -> Option<Version> {
    match version.strip_prefix(b"HTTP/1.")? {
        b"0" => Some(Version::Http10),
        minor if !minor.is_empty() && minor.iter().all(u8::is_ascii_digit) => Some(Version::Http11),
        _ => None,
    }
}

/// Fields as they are read: text, and where in it names and values lie.
#[derive(Default)]
struct Reader {
    text: Vec<u8>,
    places: Vec<(Range<usize>, Range<usize>)>,
    /// The last line was left out, and so is what is folded onto it.
    left_out: bool,
    anomalies: Anomalies,
}

impl Reader {
    /// The line without its ending.
    fn line<'r>(&mut self, line: &'r [u8]) -> &'r [u8] {
        if let Some(line) = line.strip_suffix(b"\r\n") {
            line
        } else {
            self.anomalies.insert(Anomaly::BareLf);
            line.strip_suffix(b"\n").unwrap_or(line)
        }
    }

    fn fields<'r>(&mut self, lines: impl Iterator<Item = &'r [u8]>) {
        for line in lines {
            match self.line(line) {
                [] => return,
                [b' ' | b'\t', rest @ ..] => self.fold(rest),
                line => self.field(line),
            }
        }
    }

    fn field(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else {
            self.anomalies.insert(Anomaly::BadHead);
            self.left_out = true;
            return;
        };
        let name = name.trim_ascii_end();
        let is_name = !name.is_empty() && name.iter().all(|byte| is_token(*byte));
        if !is_name || line.get(name.len()) != Some(&b':') {
            self.anomalies.insert(Anomaly::BadHead);
        }
        if name.contains(&0) {
            self.anomalies.insert(Anomaly::Nul);
        }
        self.left_out = name.is_empty() || str::from_utf8(name).is_err();
        if !self.left_out {
            let name = self.store(name);
            let value = self.value(value);
            self.places.push((name, value));
        }
    }

    fn fold(&mut self, line: &[u8]) {
        self.anomalies.insert(Anomaly::ObsFold);
        let line = trim_space(line);
        if self.places.is_empty() || self.left_out || line.is_empty() {
            return;
        }
        // The text ends with the value of the last field, which so grows in place.
        self.text.push(b' ');
        let more = self.value(line);
        if let Some((_, value)) = self.places.last_mut() {
            value.end = more.end;
        }
    }

    fn value(&mut self, value: &[u8]) -> Range<usize> {
        let stored = self.store(trim_space(value));
        for byte in self.text.get_mut(stored.clone()).unwrap_or_default() {
            if *byte == 0 {
                self.anomalies.insert(Anomaly::Nul);
                *byte = b' ';
            } else if byte.is_ascii_control() && *byte != b'\t' {
                self.anomalies.insert(Anomaly::BadHead);
                *byte = b' ';
            }
        }
        stored
    }

    fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.text.len();
        self.text.extend_from_slice(bytes);
        start..self.text.len()
    }

    fn at(&self, place: &Range<usize>) -> &[u8] {
        self.text.get(place.clone()).unwrap_or_default()
    }

    fn collect(&self) -> Fields {
        Fields::from_raw(&self.text, self.places.iter().map(|(name, value)| (self.at(name), self.at(value))))
    }
}

/// Optional white space is SP and HTAB only (RFC 9110 section 5.6.3).
fn trim_space(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::http1::head::{Strict, strict};

    proptest! {
        /// What httparse accepts is read the same here, and nothing is odd about it.
        #[test]
        fn agrees_with_the_fast_path(
            start in "(GET|M-X|a) (/[a-z?=%]{0,9}|\\*|h:1) HTTP/1\\.[01]|HTTP/1\\.[01] [1-9][0-9]{2}( [a-z ]{0,9})?",
            fields in prop::collection::vec("[A-Za-z!_-]{1,9}:[ \t]{0,2}[!-~\u{e9}]{0,9}[ \t]{0,2}", 0..9),
        ) {
            let mut raw = start.clone() + "\r\n";
            for field in &fields {
                raw += &(field.clone() + "\r\n");
            }
            raw += "\r\n";
            let role = if start.starts_with("HTTP") { Role::Response } else { Role::Request };
            let Strict::Whole(fast, len) = strict(role, raw.as_bytes()) else { panic!("{raw:?}") };
            prop_assert_eq!(len, raw.len());
            let slow = head(role, raw.as_bytes()).unwrap();
            prop_assert_eq!(&fast.head, &slow.head);
            prop_assert_eq!(fast.anomalies, Anomalies::default());
            prop_assert_eq!(slow.anomalies, Anomalies::default());
        }
    }
}
