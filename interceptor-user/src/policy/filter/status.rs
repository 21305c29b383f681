use std::str::FromStr;

use super::Invalid;

/// Status codes from `first` to `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl FromStr for StatusRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        parse(text).ok_or_else(|| {
            Invalid("allowed are a code (200), a class (4xx), a range (500-599), several with commas between them; codes are 100 to 999".to_owned())
        })
    }
}

fn parse(text: &str) -> Option<StatusRange> {
    if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
        let class: u16 = class.parse().ok().filter(|class| (1..=9).contains(class))?;
        return Some(StatusRange { first: class * 100, last: class * 100 + 99 });
    }
    let code = |text: &str| text.parse().ok().filter(|code| (100..=999).contains(code));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (code(first)?, code(last)?);
    (first <= last).then_some(StatusRange { first, last })
}

impl StatusRange {
    pub(super) const fn contains(self, status: u16) -> bool {
        self.first <= status && status <= self.last
    }
}
