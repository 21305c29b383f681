//! Words near a value that speak of it, as Presidio's context enhancer has them: each recogniser names some, and one of
//! them among the words before the value, or in the name under which it is sent, raises the score.

use crate::model::Entity;

/// What a word adds to a score.
pub(super) const RAISE: f32 = 0.35;
/// What a score is at least where there is one.
pub(super) const LEAST: f32 = 0.4;
/// Words that are looked at: before a value, and after it.
const BEFORE: usize = 5;
const AFTER: usize = 2;
/// Bytes that are looked at for them.
const WINDOW: usize = 64;

/// Words that speak of values of this kind, in small letters.
pub(super) const fn words(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::CreditCard => &[
            "credit",
            "card",
            "visa",
            "mastercard",
            "cc",
            "amex",
            "discover",
            "jcb",
            "diners",
            "debit",
            "pan",
            "charge",
        ],
        Entity::IbanCode => &["iban", "bank", "transaction", "account", "konto"],
        Entity::UsSsn => &["social", "security", "ssn", "ssns", "ssid"],
        Entity::UsItin => &["itin", "taxpayer", "tax id", "individual", "tin"],
        Entity::PhoneNumber => &[
            "phone",
            "telephone",
            "cell",
            "cellphone",
            "mobile",
            "call",
            "tel",
            "telefon",
            "téléphone",
            "telefono",
            "teléfono",
            "fax",
            "whatsapp",
            "sms",
            "contact",
            "reach",
            "dial",
            "msisdn",
        ],
        Entity::IpAddress => &["ip", "ipv4", "ipv6"],
        Entity::MacAddress => &["mac", "ethernet", "hwaddr"],
        Entity::Crypto => &["wallet", "btc", "bitcoin", "crypto"],
        Entity::UsPassport => &["passport", "travel document"],
        Entity::UsDriverLicense => &["driver", "license", "licence", "permit", "dl", "driving", "dmv"],
        Entity::UsBankNumber => {
            &["bank", "checking", "savings", "account", "acct", "acc", "debit", "deposit", "account number"]
        }
        Entity::UsNpi => &["npi", "national provider", "provider"],
        Entity::MedicalLicense => &["medical", "certificate", "dea", "prescriber"],
        Entity::AwsSecretKey => &["aws", "secret access"],
        Entity::AzureStorageKey => &["accountkey", "account key", "azure", "storage"],
        _ => national(entity),
    }
}

/// The same for numbers that states issue, but for the United States. What says by itself what it is has no words.
const fn national(entity: Entity) -> &'static [&'static str] {
    match entity {
        Entity::UkNhs => &["nhs", "national health", "health service", "health authority", "patient"],
        Entity::UkNino => &["national insurance", "ni", "nino"],
        Entity::EsNif => &["dni", "nif", "documento nacional", "identificación"],
        Entity::EsNie => &["nie", "extranjero", "número de identificación"],
        Entity::ItFiscalCode => &["codice fiscale", "cf", "fiscal"],
        Entity::ItVatCode => &["piva", "partita iva", "iva", "p iva", "vat"],
        Entity::PlPesel => &["pesel"],
        Entity::SgNricFin => &["nric", "fin"],
        Entity::AuAbn => &["abn", "australian business"],
        Entity::AuAcn => &["acn", "australian company"],
        Entity::AuTfn => &["tfn", "tax file"],
        Entity::AuMedicare => &["medicare"],
        Entity::InAadhaar => &["aadhaar", "aadhar", "uidai"],
        Entity::InPan => &["pan", "permanent account", "income tax"],
        Entity::InGstin => &["gstin", "gst"],
        Entity::FiPersonalIdentityCode => &["hetu", "henkilötunnus", "personbeteckning", "personal identity"],
        Entity::KrRrn => &["rrn", "resident registration", "주민등록번호", "주민번호"],
        Entity::ThTnin => &["thai", "national id", "เลขประจำตัวประชาชน", "บัตรประชาชน"],
        Entity::SePersonnummer => &["personnummer", "svenskt", "personal identity", "pnr"],
        _ => &[],
    }
}

/// What is said around a value: words in small letters, each with a space before and after it.
#[derive(Debug, Default)]
pub(super) struct Context {
    said: String,
}

impl Context {
    /// Around this part of a text that is sent under this name.
    pub(super) fn around(text: &[u8], start: usize, end: usize, name: &str) -> Self {
        let mut context = Self { said: " ".to_owned() };
        context.say(name);
        let before = text.get(start.saturating_sub(WINDOW)..start).unwrap_or_default();
        // Line ends of JSON in text.
        let before = String::from_utf8_lossy(before).replace("\\n", " ").replace("\\t", " ");
        let mut words: Vec<&str> = divided(&before).rev().take(BEFORE).collect();
        words.reverse();
        for word in words {
            context.say(word);
        }
        let after = text.get(end..text.len().min(end + WINDOW / 2)).unwrap_or_default();
        let after = String::from_utf8_lossy(after);
        // Words of another sentence or field speak of something else.
        let after = after.split(['.', ',', ';', ':', '\n', '=', '"', '|', '?', '!']).next().unwrap_or_default();
        divided(after).take(AFTER).for_each(|word| context.say(word));
        context
    }

    /// Adds a name or word: `userPhone_number` is three words.
    fn say(&mut self, name: &str) {
        let mut lower = false;
        for letter in name.chars() {
            if letter.is_alphanumeric() {
                if letter.is_uppercase() && lower {
                    self.space();
                }
                lower = letter.is_lowercase();
                self.said.extend(letter.to_lowercase());
            } else if is_mark(letter) {
                self.said.push(letter);
            } else {
                self.space();
            }
        }
        self.space();
    }

    fn space(&mut self) {
        if !self.said.ends_with(' ') {
            self.said.push(' ');
        }
    }

    /// Is one of these words said? Longer ones may go on: `phones`, `creditcard`.
    pub(super) fn says<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> bool {
        words.into_iter().any(|word| {
            self.said.match_indices(word).any(|(at, _)| {
                let begins = at > 0 && self.said.as_bytes().get(at - 1) == Some(&b' ');
                let ends = self.said.as_bytes().get(at + word.len()) == Some(&b' ');
                // A script without spaces between words.
                let joined = !word.is_ascii() && !word.chars().any(char::is_lowercase);
                joined || (begins && (ends || word.len() > 3))
            })
        })
    }
}

/// Vowel signs that go with a letter, as Thai has them.
fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{e31}'..='\u{e4e}')
}

fn divided(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '_' | '\'') && !is_mark(letter))
        .filter(|word| !word.is_empty())
}

/// The score where such a word is near.
pub(super) fn raised(score: f32) -> f32 {
    (score + RAISE).clamp(LEAST, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(text: &str, name: &str, entity: Entity) -> bool {
        let at = text.find('#').unwrap();
        Context::around(text.as_bytes(), at, at + 1, name).says(words(entity).iter().copied())
    }

    #[test]
    fn words_before_and_after_and_in_names() {
        assert!(says("my SSN is #", "", Entity::UsSsn));
        assert!(says("#", "employeeSsn", Entity::UsSsn));
        assert!(says("#", "credit_card_number", Entity::CreditCard));
        assert!(says("# (her phone)", "", Entity::PhoneNumber) && !says("#. Phone", "", Entity::PhoneNumber));
        assert!(says("เลขประจำตัวประชาชน #", "", Entity::ThTnin) && says("주민등록번호 #", "", Entity::KrRrn));
        assert!(!says("the ssn which I told you of was #", "", Entity::UsSsn));
        assert!(!says("finish #", "", Entity::SgNricFin) && !says("classes of # mission", "", Entity::UsSsn));
    }

    #[test]
    fn scores() {
        assert!((raised(0.01) - LEAST).abs() < 1e-6 && (raised(0.9) - 1.0).abs() < 1e-6);
    }
}
