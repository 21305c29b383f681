//! The strings and whole numbers of a JSON text, with the names that they are under, without a tree of them. What is not JSON ends
//! the walk; a text that is cut gives what there is.

use std::{borrow::Cow, fmt::Write as _, ops::Range};

use memchr::memchr2;

use crate::inspect::path::push_member;

/// Arrays and objects within each other.
const DEPTH: usize = 256;
/// Values that are written as words.
const KNOWN: [&[u8]; 5] = [b"true", b"false", b"null", b"NaN", b"Infinity"];
/// The shortest number that may be somebody's.
const NUMBER: usize = 7;

/// One step of the way to a value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Into an object: where the member's name lies, without quotes.
    Member(Range<usize>),
    /// Into an array.
    Element(usize),
}

/// A value or a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf<'a> {
    /// Where it lies; of strings without the quotes.
    pub(super) raw: Range<usize>,
    /// What it holds, escapes undone.
    pub(super) value: Cow<'a, [u8]>,
    /// What it is.
    pub(super) kind: LeafKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeafKind {
    Name,
    String,
    Number,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Leaf(Leaf<'a>),
    /// The walk is as far as it may go for now.
    Pause,
    End,
    /// From here on it is not JSON.
    Malformed(usize),
}

/// A walk through a text.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    until: usize,
    way: Vec<Step>,
    /// What comes next in the innermost object is a name.
    name_next: bool,
}

impl<'a> Walk<'a> {
    pub(super) const fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, until: 0, way: Vec::new(), name_next: false }
    }

    /// How far it is.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// How far it may go.
    pub(super) const fn until(&self) -> usize {
        self.until
    }

    /// It may go so far.
    pub(super) const fn go_on_to(&mut self, until: usize) {
        self.until = until;
    }

    pub(super) fn next(&mut self) -> Next<'a> {
        loop {
            let Some(byte) = self.text.get(self.at) else { return Next::End };
            if self.at >= self.until {
                return Next::Pause;
            }
            let good = match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b':' => true,
                b'{' | b'[' => self.open(*byte),
                b'}' => matches!(self.way.pop(), Some(Step::Member(_))),
                b']' => matches!(self.way.pop(), Some(Step::Element(_))),
                b',' => self.comma(),
                b'"' => return self.string(),
                b'-' | b'0'..=b'9' => match self.number() {
                    Some(leaf) => return Next::Leaf(leaf),
                    None => continue,
                },
                _ => self.literal(),
            };
            if !good {
                return Next::Malformed(self.at);
            }
            if matches!(byte, b'}' | b']') {
                self.name_next = false;
            }
            self.at += 1;
        }
    }

    fn open(&mut self, byte: u8) -> bool {
        let object = byte == b'{';
        self.way.push(if object { Step::Member(0..0) } else { Step::Element(0) });
        self.name_next = object;
        self.way.len() <= DEPTH
    }

    fn comma(&mut self) -> bool {
        match self.way.last_mut() {
            Some(Step::Element(index)) => *index += 1,
            Some(Step::Member(_)) => self.name_next = true,
            None => return false,
        }
        true
    }

    /// `true`, `false`, `null`, and what some write beside them.
    fn literal(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(known) = KNOWN.into_iter().find(|known| rest.starts_with(known) || known.starts_with(rest)) else {
            return false;
        };
        self.at += known.len() - 1;
        true
    }

    /// A whole number that is long enough; any other is passed by.
    fn number(&mut self) -> Option<Leaf<'a>> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut whole = true;
        let len = rest.iter().take_while(|byte| match byte {
            b'0'..=b'9' => true,
            b'.' | b'e' | b'E' | b'+' | b'-' => {
                whole = false;
                true
            }
            _ => false,
        });
        let raw = self.at..self.at + len.count();
        self.at = raw.end;
        let value = self.text.get(raw.clone())?;
        (whole && value.len() >= NUMBER).then(|| Leaf { raw, value: value.into(), kind: LeafKind::Number })
    }

    fn string(&mut self) -> Next<'a> {
        let start = self.at + 1;
        let (mut end, mut escaped) = (start, false);
        loop {
            let rest = self.text.get(end..).unwrap_or_default();
            match memchr2(b'"', b'\\', rest) {
                Some(offset) if rest.get(offset) == Some(&b'\\') => {
                    escaped = true;
                    end = (end + offset + 2).min(self.text.len());
                }
                Some(offset) => {
                    end += offset;
                    break;
                }
                None => {
                    end = self.text.len();
                    break;
                }
            }
        }
        let raw = start..end;
        self.at = (end + 1).min(self.text.len());
        let bytes = self.text.get(raw.clone()).unwrap_or_default();
        let value = if escaped { unescape(bytes).into() } else { bytes.into() };
        let mut kind = LeafKind::String;
        if self.name_next {
            self.name_next = false;
            kind = LeafKind::Name;
            if let Some(step) = self.way.last_mut() {
                *step = Step::Member(raw.clone());
            }
        }
        Next::Leaf(Leaf { raw, value, kind })
    }

    /// The name that the value just given is under: the innermost one.
    pub(super) fn name(&self) -> Cow<'a, str> {
        let innermost = self.way.iter().rev().find_map(|step| match step {
            Step::Member(raw) => Some(raw.clone()),
            Step::Element(_) => None,
        });
        self.member(innermost.unwrap_or_default())
    }

    fn member(&self, raw: Range<usize>) -> Cow<'a, str> {
        String::from_utf8_lossy(self.text.get(raw).unwrap_or_default())
    }

    /// The normalised path (RFC 9535 section 2.7) of the value just given; names are written as `shown` gives them.
    pub(super) fn path(&self, shown: impl Fn(&str) -> String) -> String {
        let mut path = "$".to_owned();
        for step in &self.way {
            match step {
                Step::Element(index) => {
                    let _ = write!(path, "[{index}]");
                }
                Step::Member(raw) => push_member(&mut path, &shown(&self.unescaped(raw.clone()))),
            }
        }
        path
    }

    fn unescaped(&self, raw: Range<usize>) -> String {
        let bytes = self.text.get(raw).unwrap_or_default();
        let bytes = if bytes.contains(&b'\\') { unescape(bytes) } else { bytes.to_vec() };
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Escapes undone (RFC 8259 section 7); what is none stays as it is.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (plain, escape) = rest.split_at(at);
        out.extend_from_slice(plain);
        let (value, len) = escaped(escape);
        out.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(len..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

/// The character that an escape stands for, and the escape's bytes.
fn escaped(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = str::from_utf8(escape.get(at..at + 4)?).ok()?;
        u16::from_str_radix(digits, 16).ok()
    };
    match escape.get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => {
            let Some(first) = unit(2) else { return ('\\', 1) };
            let second = (escape.get(6..8) == Some(b"\\u")).then(|| unit(8)).flatten();
            let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
            match pair {
                Some(letter) if letter.len_utf16() == 2 => (letter, 12),
                _ => (char::decode_utf16([first]).next().and_then(Result::ok).unwrap_or('\u{fffd}'), 6),
            }
        }
        Some(other) if other.is_ascii() => (char::from(*other), 2),
        _ => ('\\', 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str) -> (Vec<String>, Next<'_>) {
        let mut walk = Walk::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            match walk.next() {
                Next::Leaf(leaf) if leaf.kind == LeafKind::Name => {}
                Next::Leaf(leaf) => {
                    found.push(format!("{}={}", walk.path(str::to_owned), String::from_utf8_lossy(&leaf.value)));
                }
                Next::Pause => walk.go_on_to(walk.at() + 1),
                end => return (found, end),
            }
        }
    }

    #[test]
    fn values_have_paths() {
        let text =
            r#"{"a":{"b":["x",1234567,{"c'd":"y\n\u00e9\ud83d\ude00"}]},"e":1.5,"f":[true,null,"z"],"g":[[],["w"]]}"#;
        let expected = [
            "$['a']['b'][0]=x",
            "$['a']['b'][1]=1234567",
            "$['a']['b'][2]['c\\'d']=y\né😀",
            "$['f'][2]=z",
            "$['g'][1][0]=w",
        ];
        assert_eq!(leaves(text), (expected.map(str::to_owned).to_vec(), Next::End));
        assert_eq!(leaves("\"top\"").0, ["$=top"]);
    }

    #[test]
    fn what_is_cut_or_no_json() {
        assert_eq!(leaves(r#"{"a":"xy"#), (vec!["$['a']=xy".to_owned()], Next::End));
        assert_eq!(leaves(r#"{"a":"x\"#).0.len(), 1);
        for (text, at) in [("hello", 0), ("{]", 1), ("[1,2]]", 5), ("{\"a\":<", 5)] {
            assert_eq!(leaves(text).1, Next::Malformed(at), "{text}");
        }
        assert!(matches!(leaves(&"[".repeat(10_000)).1, Next::Malformed(_)));
    }

    #[test]
    fn paths_are_those_of_another_reader() {
        let text = r#"{"o\u0001'":[{"k\\":"v"}]}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let path = leaves(text).0.remove(0).strip_suffix("=v").unwrap().to_owned();
        let parsed = serde_json_path::JsonPath::parse(&path).unwrap();
        assert_eq!(parsed.query(&value).exactly_one().unwrap(), "v");
    }
}
