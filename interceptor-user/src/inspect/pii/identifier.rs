//! Numbers that somebody issues: which digits and letters one has, and how sure it is that it is one.
//!
//! Scores without a word near that speaks of it. One check digit lets a tenth of all numbers pass, so what has no other
//! form than some digits stays below the threshold by itself, whatever its checksum says.

use super::{
    checksum::{codice_fiscale, digit_at, gstin, luhn, mod97, month_and_day, number, spanish, verhoeff, weighted},
    shape::Shaped,
};
use crate::model::Entity;

/// Templates of each entity: `9` a digit, `A` a letter, `X` either, `H` a hexadecimal digit, `-` a separator (in all such
/// places the same one, or in none), `?` what divides date and number in a henkilötunnus; other characters are themselves.
pub(super) const TEMPLATES: &[(Entity, &[&str])] = &[
    (
        Entity::CreditCard,
        &["9999-9999-9999-9999", "9999-999999-99999", "9999-999999-9999", "9999999999999", "9999999999999999999"],
    ),
    (Entity::UsSsn, &["999-99-9999"]),
    (Entity::UsItin, &["999-99-9999"]),
    (Entity::PhoneNumber, &["999-999-9999", "9-999-999-9999"]),
    (Entity::MacAddress, &["HH-HH-HH-HH-HH-HH", "HHHH.HHHH.HHHH"]),
    (Entity::UsPassport, &["999999999", "A99999999"]),
    (Entity::UsDriverLicense, &["A9999999", "A999999999999", "99999999", "A999-9999-9999", "999-999-999"]),
    (
        Entity::UsBankNumber,
        &[
            "99999999",
            "999999999",
            "9999999999",
            "99999999999",
            "999999999999",
            "9999999999999",
            "99999999999999",
            "999999999999999",
            "9999999999999999",
            "99999999999999999",
        ],
    ),
    (Entity::UsNpi, &["9999999999"]),
    (Entity::MedicalLicense, &["AA9999999"]),
    (Entity::UkNhs, &["999-999-9999"]),
    (Entity::UkNino, &["AA-99-99-99-A"]),
    (Entity::EsNif, &["99999999-A", "99.999.999-A"]),
    (Entity::EsNie, &["A-9999999-A", "A9999999-A", "A-9999999A"]),
    (Entity::ItFiscalCode, &["AAA-AAA-99A99-A999A"]),
    (Entity::ItVatCode, &["99999999999", "IT99999999999"]),
    (Entity::PlPesel, &["99999999999"]),
    (Entity::SgNricFin, &["A9999999A"]),
    (Entity::AuAbn, &["99-999-999-999"]),
    (Entity::AuAcn, &["999-999-999"]),
    (Entity::AuTfn, &["999-999-999"]),
    (Entity::AuMedicare, &["9999-99999-9"]),
    (Entity::InAadhaar, &["9999-9999-9999"]),
    (Entity::InPan, &["AAAAA9999A"]),
    (Entity::InGstin, &["99AAAAA9999AXAX"]),
    (Entity::FiPersonalIdentityCode, &["999999?999X"]),
    (Entity::KrRrn, &["999999-9999999"]),
    (Entity::ThTnin, &["9-9999-99999-99-9"]),
    (Entity::SePersonnummer, &["999999-9999", "99999999-9999", "999999+9999", "99999999+9999"]),
];

/// How sure it is that this is one; None where it is none.
pub(super) fn score(entity: Entity, shaped: &Shaped) -> Option<f32> {
    let code = shaped.code();
    if code.first().is_some_and(|first| code.iter().all(|byte| byte == first)) {
        return None;
    }
    // Round numbers are amounts.
    if code.iter().all(u8::is_ascii_digit) && code.ends_with(b"000000") {
        return None;
    }
    let separated = shaped.separator.is_some();
    let by_form = |with, without| if separated { with } else { without };
    match entity {
        Entity::CreditCard => (issuer(code) && luhn(code.iter().copied())).then_some(match code.len() {
            15 | 16 => by_form(1.0, 0.7),
            14 => by_form(0.6, 0.4),
            _ => 0.3,
        }),
        Entity::UsSsn => social_security(code).then_some(if shaped.separator == Some(b'-') { 0.6 } else { 0.25 }),
        Entity::UsItin => taxpayer(code).then_some(if shaped.separator == Some(b'-') { 0.5 } else { 0.25 }),
        Entity::PhoneNumber => north_american(code).then_some(match shaped.separator {
            Some(b'-' | b'.') => 0.55,
            Some(_) => 0.35,
            None => 0.2,
        }),
        Entity::MacAddress => matches!(shaped.separator, Some(b'-')).then_some(0.7).or_else(|| {
            let dotted = shaped.separator.is_none() && shaped.literal;
            dotted.then_some(0.7)
        }),
        Entity::UsPassport | Entity::UsDriverLicense | Entity::UsBankNumber => Some(0.2),
        _ => national(entity, code, separated),
    }
}

/// The part of a code from `start` to `end`.
fn part(code: &[u8], start: usize, end: usize) -> &[u8] {
    code.get(start..end).unwrap_or_default()
}

/// Leading digits that the card schemes use.
fn issuer(code: &[u8]) -> bool {
    let lead = |len| number(part(code, 0, len)).unwrap_or_default();
    match code.len() {
        13 | 19 if lead(1) == 4 => true,
        14 => matches!(lead(2), 36 | 38 | 39) || matches!(lead(3), 300..=305),
        15 => matches!(lead(2), 34 | 37),
        16 => {
            lead(1) == 4
                || matches!(lead(2), 51..=55 | 65 | 81 | 82 | 62)
                || matches!(lead(3), 644..=649)
                || matches!(lead(4), 2221..=2720 | 3528..=3589 | 6011)
        }
        19 => lead(2) == 62,
        _ => false,
    }
}

/// <https://www.ssa.gov/employer/randomization.html>: areas, groups and serials that are not given out.
fn social_security(code: &[u8]) -> bool {
    let area = number(part(code, 0, 3)).unwrap_or_default();
    !matches!(area, 0 | 666 | 900..) && part(code, 3, 5) != b"00" && part(code, 5, 9) != b"0000"
}

/// <https://www.irs.gov/individuals/international-taxpayers/itin>: nine, and groups that are given out.
fn taxpayer(code: &[u8]) -> bool {
    let group = number(part(code, 3, 5)).unwrap_or_default();
    code.first() == Some(&b'9') && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// North American Numbering Plan: area and exchange begin with 2 to 9, and are no service codes.
fn north_american(code: &[u8]) -> bool {
    let code = if code.len() == 11 { code.strip_prefix(b"1").unwrap_or_default() } else { code };
    let plain = |group: &[u8]| matches!(group, [b'2'..=b'9', rest @ ..] if rest != b"11");
    code.len() == 10 && plain(part(code, 0, 3)) && plain(part(code, 3, 6))
}

fn national(entity: Entity, code: &[u8], separated: bool) -> Option<f32> {
    let by_form = |with, without| if separated { with } else { without };
    let last = || digit_at(code, code.len().checked_sub(1)?);
    let sum = |weights: &[u32]| weighted(code, weights);
    let (good, score) = match entity {
        Entity::UsNpi => {
            let starts = matches!(code.first(), Some(b'1' | b'2'));
            (starts && luhn(b"80840".iter().chain(code).copied()), 0.3)
        }
        Entity::MedicalLicense => (dea(code)?, 0.45),
        Entity::UkNhs => ((sum(&[10, 9, 8, 7, 6, 5, 4, 3, 2, 1])?) % 11 == 0, by_form(0.45, 0.3)),
        Entity::UkNino => (nino(code), by_form(0.6, 0.55)),
        Entity::EsNif => (spanish(number(part(code, 0, 8))?).as_ref() == code.last(), by_form(0.7, 0.6)),
        Entity::EsNie => (nie(code)?, 0.7),
        Entity::ItFiscalCode => (codice_fiscale(code), 1.0),
        Entity::ItVatCode => {
            let digits = code.strip_prefix(b"IT");
            (luhn(digits.unwrap_or(code).iter().copied()), if digits.is_some() { 0.6 } else { 0.25 })
        }
        Entity::PlPesel => {
            let month = number(part(code, 2, 4))? % 20;
            let date = (1..=12).contains(&month) && (1..=31).contains(&number(part(code, 4, 6))?);
            (date && sum(&[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1])? % 10 == 0, 0.4)
        }
        Entity::SgNricFin => (nric(code)?, 0.6),
        Entity::AuAbn => {
            let check = sum(&[10, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19])?.checked_sub(10)?;
            (check % 89 == 0 && code.first() != Some(&b'0'), by_form(0.6, 0.4))
        }
        Entity::AuAcn => ((sum(&[8, 7, 6, 5, 4, 3, 2, 1])? + last()?) % 10 == 0, by_form(0.3, 0.2)),
        Entity::AuTfn => (sum(&[1, 4, 3, 7, 5, 8, 6, 9, 10])? % 11 == 0, by_form(0.3, 0.2)),
        Entity::AuMedicare => {
            let check = digit_at(code, 8)? == sum(&[1, 3, 7, 9, 1, 3, 7, 9])? % 10;
            (check && matches!(code.first(), Some(b'2'..=b'6')), by_form(0.45, 0.25))
        }
        Entity::InAadhaar => (matches!(code.first(), Some(b'2'..=b'9')) && verhoeff(code), by_form(0.45, 0.3)),
        Entity::InPan => (code.get(3).is_some_and(|kind| b"PCHFATBLJG".contains(kind)), 0.45),
        Entity::InGstin => (code.get(13) == Some(&b'Z') && gstin(code), 0.9),
        _ => return dated(entity, code, separated),
    };
    good.then_some(score)
}

/// Numbers that begin with a date of birth.
fn dated(entity: Entity, code: &[u8], separated: bool) -> Option<f32> {
    let (good, score) = match entity {
        Entity::FiPersonalIdentityCode => {
            let serial = number(&[part(code, 0, 6), part(code, 7, 10)].concat())?;
            let check = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get((serial % 31) as usize);
            (month_and_day(part(code, 2, 4), part(code, 0, 2)) && check == code.last(), 0.8)
        }
        Entity::KrRrn => {
            let rest = weighted(code, &[2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5])? % 11;
            let date = month_and_day(part(code, 2, 4), part(code, 4, 6));
            (date && (11 - rest) % 10 == digit_at(code, 12)?, if separated { 0.7 } else { 0.4 })
        }
        Entity::ThTnin => {
            let rest = weighted(code, &[13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2])? % 11;
            (code.first() != Some(&b'0') && (11 - rest) % 10 == digit_at(code, 12)?, if separated { 0.7 } else { 0.3 })
        }
        Entity::SePersonnummer => {
            let code: Vec<u8> = code.iter().copied().filter(u8::is_ascii_digit).collect();
            let code = part(&code, code.len().checked_sub(10)?, code.len());
            // Of a coordination number the day is 60 more.
            let day = number(part(code, 4, 6))? % 60;
            let date = month_and_day(part(code, 2, 4), b"01") && (1..=31).contains(&day);
            (date && luhn(code.iter().copied()), if separated { 0.5 } else { 0.3 })
        }
        _ => return None,
    };
    good.then_some(score)
}

fn dea(code: &[u8]) -> Option<bool> {
    let digits = part(code, 2, 9);
    let sum = weighted(digits, &[1, 2, 1, 2, 1, 2])?;
    let registrant = code.first().is_some_and(|first| b"ABCDEFGHJKLMPRSTUX".contains(first));
    Some(registrant && sum % 10 == digit_at(digits, 6)?)
}

/// <https://www.gov.uk/hmrc-internal-manuals/national-insurance-manual/nim39110>.
fn nino(code: &[u8]) -> bool {
    let [first, second, .., suffix] = code else { return false };
    let unused = [b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"].contains(&&[*first, *second]);
    !unused && !b"DFIQUV".contains(first) && !b"DFIOQUV".contains(second) && (b'A'..=b'D').contains(suffix)
}

fn nie(code: &[u8]) -> Option<bool> {
    let first = match code.first()? {
        b'X' => 0,
        b'Y' => 10_000_000,
        b'Z' => 20_000_000,
        _ => return None,
    };
    Some(spanish(first + number(part(code, 1, 8))?).as_ref() == code.last())
}

fn nric(code: &[u8]) -> Option<bool> {
    let sum = weighted(part(code, 1, 8), &[2, 7, 6, 5, 4, 3, 2])?;
    let (letters, offset): (&[u8; 11], u32) = match code.first()? {
        b'S' => (b"JZIHGFEDCBA", 0),
        b'T' => (b"JZIHGFEDCBA", 4),
        b'F' => (b"XWUTRQPNMLK", 0),
        b'G' => (b"XWUTRQPNMLK", 4),
        b'M' => (b"XWUTRQPNJLK", 3),
        _ => return None,
    };
    Some(letters.get(((sum + offset) % 11) as usize) == code.last())
}

/// Length of an IBAN by its country (SWIFT's IBAN registry).
pub(super) fn iban_len(country: [u8; 2]) -> Option<usize> {
    const LENGTHS: &[(usize, &[u8])] = &[
        (15, b"NO"),
        (16, b"BE"),
        (18, b"DKFIFKFONLGLSD"),
        (19, b"MKSI"),
        (20, b"ATBAEEKZLTLUXKMN"),
        (21, b"CHHRLILV"),
        (22, b"BHBGCRDEGBGEIEMERSVA"),
        (23, b"AEGIILIQOMTLSO"),
        (24, b"ADCZESMDPKROSASESKTNVG"),
        (25, b"LYPTST"),
        (26, b"ISTR"),
        (27, b"FRGRITMCMRSMBI"),
        (28, b"ALAZBYCYDOGTHULBPLSVNI"),
        (29, b"BRQAUAEG"),
        (30, b"JOKWMUYE"),
        (31, b"MTSC"),
        (32, b"LC"),
        (33, b"RU"),
    ];
    let has = |countries: &[u8]| countries.chunks_exact(2).any(|known| known == country);
    match &country {
        b"DJ" => Some(27),
        b"PS" => Some(29),
        _ => LENGTHS.iter().find(|(_, countries)| has(countries)).map(|(len, _)| *len),
    }
}

/// Is this an account's number?
pub(super) fn is_iban(code: &[u8]) -> bool {
    // Check digits are 02 to 98 (ISO 7064).
    mod97(code) && number(part(code, 2, 4)).is_some_and(|check| (2..=98).contains(&check))
}
