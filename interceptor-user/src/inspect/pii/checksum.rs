//! Check digits and letters. All take upper-case letters and digits, and say no to anything else.

/// The value of a decimal digit.
fn digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(10)
}

/// The digits' products with the weights, as far as there are both.
pub(super) fn weighted(digits: &[u8], weights: &[u32]) -> Option<u32> {
    digits.iter().zip(weights).try_fold(0, |sum, (byte, weight)| Some(sum + digit(*byte)? * weight))
}

/// The value of digit `at`.
pub(super) fn digit_at(digits: &[u8], at: usize) -> Option<u32> {
    digits.get(at).copied().and_then(digit)
}

/// A number of these digits.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| number.checked_mul(10)?.checked_add(digit(*byte)?.into()))
}

/// Luhn's algorithm (ISO/IEC 7812-1, annex B).
pub(super) fn luhn(digits: impl DoubleEndedIterator<Item = u8>) -> bool {
    let mut sum = 0;
    for (position, byte) in digits.rev().enumerate() {
        let Some(value) = digit(byte) else { return false };
        let value = if position % 2 == 1 { value * 2 } else { value };
        sum += if value > 9 { value - 9 } else { value };
    }
    sum % 10 == 0
}

/// ISO/IEC 7064, MOD 97-10, of an IBAN: its first four characters count last.
pub(super) fn mod97(iban: &[u8]) -> bool {
    let (head, rest) = iban.split_at(iban.len().min(4));
    let rest = rest.iter().chain(head).try_fold(0_u32, |rest, byte| {
        let value = char::from(*byte).to_digit(36)?;
        Some((rest * if value > 9 { 100 } else { 10 } + value) % 97)
    });
    rest == Some(1)
}

/// Verhoeff's algorithm, in the dihedral group of order ten.
pub(super) fn verhoeff(digits: &[u8]) -> bool {
    const PERMUTED: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let product = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => 5 + (a + b) % 5,
        (false, true) => 5 + (a - b) % 5,
        (false, false) => (a + 5 - b) % 5,
    };
    let check = digits.iter().rev().enumerate().try_fold(0, |check, (position, byte)| {
        let mut value = digit(*byte)?;
        for _ in 0..position % 8 {
            value = PERMUTED.get(value as usize).copied()?;
        }
        Some(product(check, value))
    });
    check == Some(0)
}

/// Month and day of a date can be such.
pub(super) fn month_and_day(month: &[u8], day: &[u8]) -> bool {
    let within = |digits, most| number(digits).is_some_and(|number| (1..=most).contains(&number));
    within(month, 12) && within(day, 31)
}

/// The letter of a Spanish DNI or NIE: the number modulo 23.
pub(super) fn spanish(number: u64) -> Option<u8> {
    b"TRWAGMYFPDXBNJZSQVHLCKE".get((number % 23) as usize).copied()
}

/// The last character of a codice fiscale (D.M. 23 December 1976): characters in odd places have values of their own.
pub(super) fn codice_fiscale(code: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Some((last, body)) = code.split_last() else { return false };
    let sum = body.iter().enumerate().try_fold(0, |sum, (index, byte)| {
        let value = char::from(*byte).to_digit(36)?;
        let value = if value > 9 { value - 10 } else { value };
        Some(sum + if index % 2 == 0 { ODD.get(value as usize).copied()? } else { value })
    });
    sum.is_some_and(|sum| u32::from(*last) == u32::from(b'A') + sum % 26)
}

/// The last character of a GSTIN: Luhn's algorithm in base 36.
pub(super) fn gstin(code: &[u8]) -> bool {
    let Some((last, body)) = code.split_last() else { return false };
    let sum = body.iter().enumerate().try_fold(0, |sum, (index, byte)| {
        let product = char::from(*byte).to_digit(36)? * (index as u32 % 2 + 1);
        Some(sum + product / 36 + product % 36)
    });
    sum.is_some_and(|sum| char::from(*last).to_digit(36) == Some((36 - sum % 36) % 36))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples() {
        assert!(luhn(b"4111111111111111".iter().copied()) && !luhn(b"4111111111111112".iter().copied()));
        assert!(mod97(b"GB82WEST12345698765432") && !mod97(b"GB82WEST12345698765433"));
        assert!(verhoeff(b"2363") && !verhoeff(b"2364"));
        assert!(codice_fiscale(b"RSSMRA85T10A562S") && !codice_fiscale(b"RSSMRA85T10A562T"));
        assert!(gstin(b"27AAPFU0939F1ZV") && !gstin(b"27AAPFU0939F1ZW"));
        assert_eq!(spanish(12_345_678), Some(b'Z'));
    }

    #[test]
    fn each_digit_of_verhoeff_counts() {
        for wrong in [b"2373", b"2263", b"3263", b"6323"] {
            assert!(!verhoeff(wrong));
        }
    }

    #[test]
    fn what_is_no_digit_fails() {
        assert!(!luhn(b"41a".iter().copied()));
        assert!(!mod97("GB82é".as_bytes()) && !verhoeff(b"x") && !codice_fiscale(b"") && !gstin(b"-"));
    }
}
