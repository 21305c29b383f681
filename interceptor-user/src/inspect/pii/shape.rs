//! Digits and letters in a certain order: what most identifiers are. Templates are found by the length of the first run of
//! letters and digits, so that text full of other numbers costs a look into a table.

use smallvec::SmallVec;

use super::identifier::TEMPLATES;
use crate::model::Entity;

/// The longest run that a template begins with, and the longest template without separators.
const LONGEST: usize = 24;
/// A no-break space in UTF-8.
const NO_BREAK: &[u8] = "\u{a0}".as_bytes();

/// Text that fits a template.
#[derive(Debug)]
pub(super) struct Shaped {
    code: SmallVec<[u8; LONGEST]>,
    /// Its first separator, if it has some.
    pub(super) separator: Option<u8>,
    /// The template has a character of its own that is neither letter nor digit.
    pub(super) literal: bool,
    /// It has small letters.
    pub(super) lower: bool,
    /// Where it ends in the text.
    pub(super) end: usize,
}

impl Shaped {
    /// Its letters, upper case, and digits, without separators.
    pub(super) fn code(&self) -> &[u8] {
        &self.code
    }
}

/// Templates by the length of the run that they begin with.
#[derive(Debug)]
pub(super) struct Index {
    by_length: Vec<Vec<(Entity, &'static [u8])>>,
}

impl Index {
    /// Those of these entities.
    pub(super) fn of(enabled: impl Fn(Entity) -> bool) -> Self {
        let mut by_length = vec![Vec::new(); LONGEST + 1];
        let enabled = TEMPLATES.iter().filter(|(entity, _)| enabled(*entity));
        for (entity, template) in enabled.flat_map(|(entity, all)| all.iter().map(move |one| (*entity, one.as_bytes())))
        {
            let run = |stops: &[u8]| template.iter().take_while(|class| !stops.contains(class)).count();
            let joined = |stops| run(stops) - hyphens(template.get(..run(stops)).unwrap_or_default());
            // Up to a separator; where there is none, up to what can be no letter. `?` may be one.
            let mut lengths = [run(b"-.+?"), joined(b".+?"), joined(b".+")];
            lengths.sort_unstable();
            let mut last = 0;
            for length in lengths {
                if length != last
                    && let Some(slot) = by_length.get_mut(length)
                {
                    slot.push((entity, template));
                }
                last = length;
            }
        }
        Self { by_length }
    }

    /// No template is looked for.
    pub(super) fn is_empty(&self) -> bool {
        self.by_length.iter().all(Vec::is_empty)
    }

    /// Those that begin with a run of this length.
    pub(super) fn beginning(&self, length: usize) -> &[(Entity, &'static [u8])] {
        self.by_length.get(length).map_or(&[], Vec::as_slice)
    }
}

fn hyphens(template: &[u8]) -> usize {
    memchr::memchr_iter(b'-', template).count()
}

/// The text from `at` on, if it begins with what fits the template and does not go on like it.
pub(super) fn fit(template: &[u8], text: &[u8], mut at: usize) -> Option<Shaped> {
    let mut shaped = Shaped { code: SmallVec::new(), separator: None, literal: false, lower: false, end: at };
    let mut first = true;
    for class in template {
        if *class == b'-' {
            let (separator, len) = separator(text, at).unzip();
            if first {
                shaped.separator = separator;
                first = false;
            } else if separator != shaped.separator {
                return None;
            }
            at += len.unwrap_or_default();
            continue;
        }
        let byte = *text.get(at)?;
        let fits = match class {
            b'9' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_alphabetic(),
            b'X' => byte.is_ascii_alphanumeric(),
            b'H' => byte.is_ascii_hexdigit(),
            b'?' => b"+-ABCDEFUVWXY".contains(&byte),
            b'+' => b"+-".contains(&byte),
            other => byte.eq_ignore_ascii_case(other),
        };
        if !fits {
            return None;
        }
        shaped.literal |= *class == b'.';
        shaped.lower |= byte.is_ascii_lowercase();
        if *class != b'.' {
            shaped.code.push(byte.to_ascii_uppercase());
        }
        if *class == b'+' {
            shaped.separator = Some(byte);
        }
        at += 1;
    }
    shaped.end = at;
    ends(text, at).then_some(shaped)
}

/// A separator, and its bytes.
fn separator(text: &[u8], at: usize) -> Option<(u8, usize)> {
    match text.get(at)? {
        byte @ (b' ' | b'-' | b'.') => Some((*byte, 1)),
        _ => text.get(at..)?.starts_with(NO_BREAK).then_some((b' ', NO_BREAK.len())),
    }
}

/// No number or word goes on here.
pub(super) fn ends(text: &[u8], at: usize) -> bool {
    let digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    match text.get(at) {
        None => true,
        Some(b'.' | b',') => !digit(at + 1),
        Some(byte) => !byte.is_ascii_alphanumeric() && *byte != b'_',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn code(template: &str, text: &str) -> Option<String> {
        let shaped = fit(template.as_bytes(), text.as_bytes(), 0)?;
        Some(String::from_utf8(shaped.code().to_vec()).unwrap())
    }

    #[test]
    fn separators_are_all_there_or_none() {
        for (text, fits) in [
            ("123-45-6789", true),
            ("123456789", true),
            ("123 45 6789,", true),
            ("123\u{a0}45\u{a0}6789", true),
            ("123-45 6789", false),
            ("12345-6789", false),
            ("123-45-67890", false),
            ("123-45-6789.5", false),
            ("123-45-678", false),
        ] {
            assert_eq!(code("999-99-9999", text), fits.then(|| "123456789".to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_found_is_in_capitals() {
        assert_eq!(code("AA-99-99-99-A", "ab 12 34 56 c").as_deref(), Some("AB123456C"));
    }

    #[test]
    fn templates_are_found_by_any_of_their_beginnings() {
        let index = Index::of(|_| true);
        for (length, entity) in [
            (3, Entity::UsSsn),
            (9, Entity::UsSsn),
            (2, Entity::UkNino),
            (9, Entity::UkNino),
            (8, Entity::EsNif),
            (9, Entity::EsNif),
            (6, Entity::FiPersonalIdentityCode),
            (11, Entity::FiPersonalIdentityCode),
            (4, Entity::CreditCard),
            (16, Entity::CreditCard),
            (19, Entity::CreditCard),
            (6, Entity::SePersonnummer),
        ] {
            assert!(index.beginning(length).iter().any(|(known, _)| *known == entity), "{length} {entity:?}");
        }
        assert!(index.beginning(1000).is_empty() && Index::of(|_| false).is_empty());
    }
}
