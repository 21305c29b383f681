//! Secrets do not leave: what sensitive header fields and query parameters carry is masked unless asked for by name.

use std::{borrow::Cow, str::FromStr};

/// What is shown in place of a secret.
pub const MASKED: &str = "[masked]";

/// The last word of names whose value is a secret: `authorization`, `x-vault-token`, `set-cookie`.
const LAST: [&str; 17] = [
    "authorization",
    "cookie",
    "cookie2",
    "token",
    "accesstoken",
    "secret",
    "password",
    "passwd",
    "pwd",
    "apikey",
    "jwt",
    "credential",
    "credentials",
    "dpop",
    "assertion",
    "passcode",
    "signature",
];

/// The word before a last word `key`, where the two name a secret: `x-api-key`, `ocp-apim-subscription-key`.
const BEFORE_KEY: [&str; 9] =
    ["api", "access", "secret", "subscription", "functions", "auth", "private", "master", "account"];

/// Query parameters beside those: signatures of pre-signed addresses, keys of web APIs.
const PARAMETERS: [&str; 3] = ["sig", "key", "awsaccesskeyid"];

/// Knows which values are secrets and which of them the user asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    shown: Vec<Name>,
}

/// The name of a header field or query parameter, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let possible = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.is_empty() || !text.bytes().all(possible) {
            return Err("allowed is the full name of one header or query parameter, such as 'authorization'".to_owned());
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl Mask {
    /// One that lets the values of these names pass.
    pub const fn showing(shown: Vec<Name>) -> Self {
        Self { shown }
    }

    /// Is the value of this header field hidden?
    pub fn hides(&self, field: &str) -> bool {
        sensitive(field) && !self.shows(field)
    }

    /// A field's value as it may be shown.
    pub fn field<'a>(&self, name: &str, value: &'a [u8]) -> Cow<'a, str> {
        if self.hides(name) { MASKED.into() } else { String::from_utf8_lossy(value) }
    }

    /// A query as it may be shown: the values of sensitive parameters are masked.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        let hidden = |pair: &str| {
            pair.split_once('=').is_some_and(|(name, value)| !value.is_empty() && self.hides_parameter(name))
        };
        if !query.split('&').any(hidden) {
            return Cow::Borrowed(query);
        }
        let mut out = String::with_capacity(query.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                out.push('&');
            }
            match pair.split_once('=') {
                Some((name, _)) if hidden(pair) => out.extend([name, "=", MASKED]),
                _ => out.push_str(pair),
            }
        }
        Cow::Owned(out)
    }

    fn hides_parameter(&self, name: &str) -> bool {
        let name = percent_decoded(name);
        (PARAMETERS.iter().any(|known| name.eq_ignore_ascii_case(known)) || sensitive(&name)) && !self.shows(&name)
    }

    fn shows(&self, name: &str) -> bool {
        self.shown.iter().any(|shown| shown.0.eq_ignore_ascii_case(name))
    }
}

/// `user%5Ftoken` is `user_token` to the server.
fn percent_decoded(name: &str) -> Cow<'_, str> {
    if !name.contains('%') {
        return Cow::Borrowed(name);
    }
    let mut out = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let hex =
            after.get(..2).and_then(|hex| str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(decoded) if *byte == b'%' => {
                out.push(decoded);
                rest = &after[2..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned().into()
}

/// Does this name say that its value is a secret?
fn sensitive(name: &str) -> bool {
    let mut words = name.rsplit(['-', '_', '.']);
    let is_one_of = |word: &str, list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known));
    match words.next() {
        Some(last) if last.eq_ignore_ascii_case("key") => words.next().is_some_and(|word| is_one_of(word, &BEFORE_KEY)),
        Some(last) => is_one_of(last, &LAST),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn showing(names: &[&str]) -> Mask {
        Mask::showing(names.iter().map(|name| name.parse().expect("a name")).collect())
    }

    #[test]
    fn secrets_by_name_and_nothing_else() {
        let mask = Mask::default();
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "set-cookie",
            "X-Api-Key",
            "api-key",
            "apikey",
            "x-goog-api-key",
            "x-auth-token",
            "X-Vault-Token",
            "x-amz-security-token",
            "x-csrf-token",
            "Ocp-Apim-Subscription-Key",
            "x-forwarded-authorization",
            "x-functions-key",
            "client_secret",
            "x-forwarded-access-token",
        ] {
            assert!(mask.hides(name), "{name} carries a secret");
        }
        for name in [
            "content-type",
            "idempotency-key",
            "sec-websocket-key",
            "x-ratelimit-remaining-tokens",
            "www-authenticate",
            "host",
            "surrogate-key",
            "key",
            "x-request-id",
            "",
            "-",
            "accept",
        ] {
            assert!(!mask.hides(name), "{name} does not");
        }
    }

    #[test]
    fn shown_only_by_its_own_name() {
        let mask = showing(&["Authorization"]);
        assert_eq!(mask.field("authorization", b"Bearer x"), "Bearer x");
        assert_eq!(mask.field("proxy-authorization", b"Basic x"), MASKED);
        assert_eq!(mask.field("Cookie", b"a=b"), MASKED);
        assert_eq!(mask.field("accept", b"\xff"), "\u{fffd}");
    }

    #[test]
    fn queries_keep_everything_but_secrets() {
        let mask = Mask::default();
        for (query, expected) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("a=1&api_key=x&b", "a=1&api_key=[masked]&b"),
            ("key=AIza&key=2", "key=[masked]&key=[masked]"),
            ("access_token=x=y", "access_token=[masked]"),
            ("access%5Ftoken=x", "access%5Ftoken=[masked]"),
            ("%74oken=x&%=1&%zz=2", "%74oken=[masked]&%=1&%zz=2"),
            ("token", "token"),
            ("token=", "token="),
            ("X-Amz-Signature=f00&max_tokens=5", "X-Amz-Signature=[masked]&max_tokens=5"),
        ] {
            assert_eq!(mask.query(query), expected);
        }
        assert_eq!(showing(&["key"]).query("key=1&sig=2"), "key=1&sig=[masked]");
    }

    #[test]
    fn names_are_checked() {
        for text in ["", "*", "a b", "authorization: x"] {
            assert!(text.parse::<Name>().expect_err(text).contains("full name"));
        }
    }
}
