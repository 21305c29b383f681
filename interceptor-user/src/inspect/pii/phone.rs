//! Telephone numbers that have a form of their own: international ones, and national ones with an area in brackets or a
//! zero in front. (Those of North America without brackets are templates.)

use std::ops::Range;

use super::shape::ends;

/// Digits of an international number (E.164), without the prefix.
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Bytes of one, with what divides it.
const LONGEST: usize = 32;

/// A number with a run of digits that begins at `at`, which begins at `floor` at the earliest, and how sure it is.
pub(super) fn phone(text: &[u8], at: usize, floor: usize) -> Option<(Range<usize>, f32)> {
    let before = text.get(floor..at)?;
    let bracket = usize::from(before.last() == Some(&b'('));
    let plus = before.get(..before.len() - bracket)?.last() == Some(&b'+');
    let start = at - bracket - usize::from(plus);
    let joined =
        start > 0 && text.get(start - 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(byte));
    let zero = text.get(at) == Some(&b'0');
    if joined || !(plus || bracket == 1 || zero) {
        return None;
    }
    let (end, digits, groups) = extent(text, start, plus)?;
    let number = start..end;
    if !ends(text, end) {
        return None;
    }
    let count = digits.len();
    match (plus, bracket) {
        (true, _) => (DIGITS.contains(&count) && country(&digits)).then_some((number, 0.75)),
        // `(212) 555-0142`
        (false, 1) => {
            let plain = count == 10 && matches!(digits.as_slice(), [b'2'..=b'9', _, _, b'2'..=b'9', ..]);
            let area = text.get(at + 3) == Some(&b')') || (zero && (9..=12).contains(&count) && groups > 1);
            (plain || zero).then_some(())?;
            area.then_some((number, if plain { 0.65 } else { 0.4 }))
        }
        _ if digits.starts_with(b"00") => {
            let rest = digits.get(2..)?;
            (groups > 1 && DIGITS.contains(&rest.len()) && country(rest)).then_some((number, 0.4))
        }
        _ => {
            let plain = (9..=12).contains(&count) && (2..=6).contains(&groups) && digits.get(1) != Some(&b'0');
            plain.then_some((number, 0.3))
        }
    }
}

/// Where it ends, its digits, and their groups.
fn extent(text: &[u8], start: usize, plus: bool) -> Option<(usize, Vec<u8>, usize)> {
    let (mut digits, mut groups, mut end, mut gap) = (Vec::new(), 0, start, true);
    for (index, byte) in text.get(start..text.len().min(start + LONGEST))?.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                groups += usize::from(gap);
                gap = false;
                digits.push(*byte);
                end = start + index + 1;
            }
            b'+' if index == 0 && plus => {}
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if start + index < end + 2 => gap = true,
            _ => break,
        }
    }
    (end > start).then_some((end, digits, groups))
}

/// Does it begin with a country's code (ITU-T E.164, annex)? None begins with zero, and some are not given out.
fn country(digits: &[u8]) -> bool {
    let code = digits.get(..3).unwrap_or_default();
    !matches!(
        code,
        [b'0', ..] | [b'2', b'1', b'0' | b'4' | b'5' | b'7' | b'9'] | [b'2', b'8', _] | [b'8', b'3' | b'9', _]
    ) && code != b"999"
}
