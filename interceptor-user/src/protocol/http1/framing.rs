//! Where a message's content ends: RFC 9112 section 6.3, and what we do where it is ambiguous.

use super::line::is_token;
use crate::model::{Anomalies, Anomaly, Expects, Version};

/// How content is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// The head is the whole message.
    None,
    /// That many bytes.
    Length(u64),
    /// RFC 9112 section 7.1.
    Chunked,
    /// All that the sender sends until it closes.
    UntilClose,
    /// Another head follows this (interim) one.
    Interim,
    /// The message is over and the connection belongs to another protocol.
    Tunnel,
    /// It cannot be told: look for the next head.
    Lost,
}

/// What the fields say of a length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Given(u64),
    Bad,
}

/// What the fields say of transfer coding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    Absent,
    /// `chunked` is the final coding.
    Chunked,
    /// It is not.
    Other,
}

/// What framing needs of the fields, gathered field by field.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FieldFacts {
    length: Length,
    coding: Coding,
    odd: Anomalies,
}

impl FieldFacts {
    /// Looks at the next field.
    #[inline]
    pub(super) fn note(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_coding(value),
            _ => {}
        }
    }

    fn note_length(&mut self, value: &[u8]) {
        if self.length == Length::Absent
            && let Some(length) = decimal(value)
        {
            self.length = Length::Given(length);
            return;
        }
        for member in value.split(|byte| *byte == b',') {
            let member = decimal(member.trim_ascii()).map_or(Length::Bad, Length::Given);
            if member == Length::Bad {
                self.odd.insert(Anomaly::BadLength);
            }
            if self.length == Length::Absent {
                self.length = member;
            } else {
                self.odd.insert(Anomaly::RepeatedLength);
            }
        }
    }

    fn note_coding(&mut self, value: &[u8]) {
        for member in value.split(|byte| *byte == b',') {
            let member = member.trim_ascii();
            let coding = member.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if coding.is_empty() {
                continue; // Empty list members are to be ignored (RFC 9110 section 5.6.1).
            }
            if self.coding == Coding::Chunked {
                self.odd.insert(Anomaly::BadTransferEncoding); // `chunked` was not the final one, or is there twice.
            }
            self.coding = if coding.eq_ignore_ascii_case(b"chunked") {
                Coding::Chunked
            } else {
                if !is_known_coding(coding) {
                    self.odd.insert(Anomaly::BadTransferEncoding);
                }
                Coding::Other
            };
        }
    }
}

/// The codings of RFC 9112 section 7, and `identity` of RFC 2616, which means none.
fn is_known_coding(coding: &[u8]) -> bool {
    const KNOWN: [&[u8]; 6] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress", b"identity"];
    coding.iter().all(|byte| is_token(*byte)) && KNOWN.iter().any(|known| coding.eq_ignore_ascii_case(known))
}

/// Digits only: no sign, no space within, no overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Framing of a request's content.
pub(super) fn request(facts: &FieldFacts, version: Version, anomalies: &mut Anomalies) -> Framing {
    anomalies.merge(facts.odd);
    note_both(facts, version, anomalies);
    match (facts.coding, facts.length) {
        (Coding::Chunked, _) => Framing::Chunked,
        (Coding::Other, _) => {
            anomalies.insert(Anomaly::BadTransferEncoding);
            Framing::Lost
        }
        (Coding::Absent, Length::Bad) => Framing::Lost,
        (Coding::Absent, Length::Absent) => Framing::None,
        (Coding::Absent, Length::Given(length)) => of_length(length),
    }
}

/// Framing of a response's content.
pub(super) fn response(
    status: u16,
    facts: &FieldFacts,
    version: Version,
    expects: Expects,
    anomalies: &mut Anomalies,
) -> Framing {
    match status {
        101 => return Framing::Tunnel,
        100..=199 => return Framing::Interim,
        200..=299 if expects == Expects::Tunnel => return Framing::Tunnel,
        204 | 304 => return Framing::None,
        _ if expects == Expects::NoContent => return Framing::None,
        _ => {}
    }
    anomalies.merge(facts.odd);
    note_both(facts, version, anomalies);
    match (facts.coding, facts.length) {
        (Coding::Chunked, _) => Framing::Chunked,
        (Coding::Other, _) | (Coding::Absent, Length::Absent) => Framing::UntilClose,
        (Coding::Absent, Length::Bad) => Framing::Lost,
        (Coding::Absent, Length::Given(length)) => of_length(length),
    }
}

const fn of_length(length: u64) -> Framing {
    if length == 0 { Framing::None } else { Framing::Length(length) }
}

fn note_both(facts: &FieldFacts, version: Version, anomalies: &mut Anomalies) {
    if facts.coding == Coding::Absent {
        return;
    }
    if facts.length != Length::Absent {
        anomalies.insert(Anomaly::TransferEncodingAndLength);
    }
    if version == Version::Http10 {
        anomalies.insert(Anomaly::BadTransferEncoding); // RFC 9112 section 6.1: the framing is to be taken as faulty.
    }
}
