//! What is told of a value: a hash under a key, and what of it cannot identify it.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{Kind, Match, Scanner};
use crate::model::{Concealed, Entity};

/// Asterisks at the most.
const STARS: usize = 32;

/// The key that hashes of values are made with: who does not have it cannot try values.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// From these bytes; the same ones give the same hashes.
    pub fn new(key: &[u8]) -> Self {
        // A key longer than a block is hashed first (RFC 2104 section 2), which `new_from_slice` does.
        Self(Hmac::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&[0; 64].into())))
    }

    fn hash(&self, value: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(value);
        let digest = mac.finalize().into_bytes();
        digest.iter().take(16).fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    /// A value, made unreadable.
    pub(super) fn conceal(&self, kind: Kind, value: &[u8]) -> Concealed {
        Concealed { hash: self.hash(value), masked: masked(kind, &String::from_utf8_lossy(value)) }
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// The value with all but what cannot identify it replaced by asterisks.
pub(super) fn masked(kind: Kind, value: &str) -> String {
    let count = value.chars().count();
    let stars = |kept: usize| "*".repeat(count.saturating_sub(kept).clamp(3, STARS));
    let Kind::Known(entity) = kind else { return stars(0) };
    match entity {
        // Its host, which many share.
        Entity::EmailAddress => match value.rsplit_once('@') {
            Some((_, domain)) => format!("***@{domain}"),
            None => stars(0),
        },
        // What receipts show (PCI DSS 3.4).
        Entity::CreditCard => {
            let last: Vec<char> = value.chars().filter(char::is_ascii_digit).rev().take(4).collect();
            format!("{}{}", stars(4), last.iter().rev().collect::<String>())
        }
        Entity::IbanCode => format!("{}{}", value.get(..2).unwrap_or_default(), stars(2)),
        // What kind of key it is.
        Entity::AwsAccessKey | Entity::GcpApiKey | Entity::GithubToken | Entity::SlackToken => {
            format!("{}{}", value.get(..4).unwrap_or_default(), stars(4))
        }
        Entity::StripeKey => format!("{}{}", value.get(..8).unwrap_or_default(), stars(8)),
        Entity::OpenaiApiKey | Entity::HuggingfaceToken => {
            format!("{}{}", value.get(..3).unwrap_or_default(), stars(3))
        }
        _ => stars(0),
    }
}

/// A name as it may be told: what is found in it is masked.
pub(in crate::inspect) fn shown(scanner: &Scanner, name: &str) -> String {
    let found = scanner.scan(name.as_bytes(), "");
    replaced(name.as_bytes(), &found, |found, value| masked(found.kind, value))
        .map_or_else(|| name.to_owned(), |name| String::from_utf8_lossy(&name).into_owned())
}

/// The text with what was found in it replaced; None where nothing was.
pub(super) fn replaced(text: &[u8], found: &[Match], with: impl Fn(&Match, &str) -> String) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    for one in found {
        out.extend_from_slice(text.get(at..one.range.start)?);
        let value = String::from_utf8_lossy(text.get(one.range.clone())?);
        out.extend_from_slice(with(one, &value).as_bytes());
        at = one.range.end;
    }
    out.extend_from_slice(text.get(at..)?);
    (at > 0).then_some(out)
}
