//! Secrets do not leave: what sensitive header fields and query parameters carry is masked unless asked for by name.

use std::{borrow::Cow, str::FromStr};

/// What is shown in place of a secret.
pub const MASKED: &str = "[masked]";

/// The last word of names whose value is a secret: `authorization`, `x-vault-token`, `set-cookie`.
const LAST: [&str; 8] = ["pwd", "jwt", "dpop", "assertion", "passcode", "passphrase", "sid", "credentials"];

/// How that word may also end, since not everybody divides words: `refreshtoken`, `phpsessid`.
const LAST_ENDS: [&str; 11] = [
    "authorization",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "apikey",
    "credential",
    "signature",
    "sessionid",
    "sessid",
];

/// The word before a last word `key`, where the two name a secret: `x-api-key`, `ocp-apim-subscription-key`.
const BEFORE_KEY: [&str; 9] =
    ["api", "access", "secret", "subscription", "functions", "auth", "private", "master", "account"];

/// The word before a last word `id`, where the two name a secret.
const BEFORE_ID: [&str; 2] = ["session", "sess"];

/// Named like secrets and none: a flag of CORS.
const HARMLESS: [&str; 1] = ["access-control-allow-credentials"];

/// Query parameters beside those: signatures of pre-signed addresses, keys of web APIs.
const PARAMETERS: [&str; 3] = ["sig", "key", "awsaccesskeyid"];

/// Header fields whose values are addresses, with queries of their own.
const ADDRESSES: [&str; 8] = [
    "location",
    "content-location",
    "referer",
    "refresh",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-forwarded-uri",
];

/// What divides parameters within what `&` divides: old queries (`a;b`), parameters of paths (`/a;jsessionid=`),
/// addresses in addresses (`?next=/a?b#c`).
const WITHIN: [char; 3] = [';', '?', '#'];

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
        match self.field_bytes(name, value) {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => String::from_utf8_lossy(&bytes).into_owned().into(),
        }
    }

    /// The same, for those who deal themselves with what is not UTF-8.
    pub fn field_bytes<'a>(&self, name: &str, value: &'a [u8]) -> Cow<'a, [u8]> {
        if self.hides(name) {
            return MASKED.as_bytes().into();
        }
        if !ADDRESSES.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return value.into();
        }
        let text = String::from_utf8_lossy(value);
        match self.address(&text) {
            Cow::Borrowed(_) => value.into(),
            Cow::Owned(masked) => masked.into_bytes().into(),
        }
    }

    /// An address, or a reference to one, as it may be shown: user and password are masked, and so are the values of
    /// sensitive parameters of its path, query and fragment.
    pub fn address<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let start = text.find("//").map_or(text.len(), |slashes| slashes + 2);
        let (scheme, rest) = text.split_at(start);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        match authority.rsplit_once('@') {
            Some((user, _)) => {
                let after = rest.get(user.len()..).unwrap_or_default();
                format!("{}{MASKED}{}", self.path(scheme), self.path(after)).into()
            }
            None => self.path(text),
        }
    }

    /// A path as it may be shown, with what follows it if anything does: `/a;jsessionid=1?token=2`.
    pub fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let (before, parameters) = path.split_at(path.find(WITHIN).unwrap_or(path.len()));
        match self.query(parameters) {
            Cow::Borrowed(_) => path.into(),
            Cow::Owned(masked) => format!("{before}{masked}").into(),
        }
    }

    /// A query as it may be shown: the values of sensitive parameters are masked.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        if !query.split('&').any(|pair| self.secret_from(pair).is_some()) {
            return Cow::Borrowed(query);
        }
        let mut out = String::with_capacity(query.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                out.push('&');
            }
            match self.secret_from(pair).and_then(|at| pair.get(..at)) {
                Some(shown) => out.extend([shown, MASKED]),
                None => out.push_str(pair),
            }
        }
        Cow::Owned(out)
    }

    /// Where, in what stands between two `&`, a secret begins. What follows it may be a part of it.
    fn secret_from(&self, pair: &str) -> Option<usize> {
        let mut start = 0;
        loop {
            let part = pair.get(start..)?;
            let end = part.find(WITHIN).unwrap_or(part.len());
            let equals = part.get(..end)?.find('=').filter(|equals| equals + 1 < part.len());
            if equals.and_then(|equals| part.get(..equals)).is_some_and(|name| self.hides_parameter(name)) {
                return equals.map(|equals| start + equals + 1);
            }
            if end == part.len() {
                return None;
            }
            start += end + 1;
        }
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

/// Does this name say that its value is a secret? Its words are told apart by whatever is no letter and no digit, and,
/// as a second reading, by their capitals: `refreshToken` and `APIkey` are both meant.
fn sensitive(name: &str) -> bool {
    if HARMLESS.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return false;
    }
    [last_words(name, false), last_words(name, true)].into_iter().any(|[before, last]| {
        let one_of = |word: &str, list: &[&str]| list.iter().any(|known| word.eq_ignore_ascii_case(known));
        let ends = |end: &&str| {
            last.len()
                .checked_sub(end.len())
                .and_then(|at| last.get(at..))
                .is_some_and(|it| it.eq_ignore_ascii_case(end))
        };
        one_of(last, &LAST)
            || LAST_ENDS.iter().any(ends)
            || (last.eq_ignore_ascii_case("key") && one_of(before, &BEFORE_KEY))
            || (last.eq_ignore_ascii_case("id") && one_of(before, &BEFORE_ID))
    })
}

/// The last two words of a name, without numbers: of `user[new_password1][0]`, `new` and `password`.
fn last_words(name: &str, capitals: bool) -> [&str; 2] {
    let (rest, last) = last_word(name, capitals);
    [last_word(rest, capitals).1, last]
}

/// The last word, and what is before it.
fn last_word(name: &str, capitals: bool) -> (&str, &str) {
    let name = name.trim_end_matches(|c: char| !c.is_ascii_alphabetic());
    let bytes = name.as_bytes();
    let begins = |at: usize| {
        let (Some(before), Some(first)) = (bytes.get(at.wrapping_sub(1)), bytes.get(at)) else { return true };
        let next_is_small = bytes.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        !before.is_ascii_alphanumeric()
            || (capitals && first.is_ascii_uppercase() && (!before.is_ascii_uppercase() || next_is_small))
    };
    let start = (0..bytes.len()).rev().find(|at| begins(*at)).unwrap_or(0);
    (name.get(..start).unwrap_or_default(), name.get(start..).unwrap_or_default())
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
            "Authorization\u{b}",
            "X Authorization",
            "X\tAuthorization",
            "Authorization:",
            "Set-Cookie2",
            "X-ApiKey",
            "X-APIkey",
            "aUTHORIZATION",
            "X-Session-Id",
            "signature",
            "x-hub-signature-256",
            "X-Credential",
            "x-credentials",
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
            "access-control-allow-credentials",
            "signature-input",
            "monkey",
            "keyword",
            "tokens",
            "max_tokens",
            "maxTokens",
            "tokenizer",
            "x-tokenizer-id",
            "apikeys-count",
            "secretary",
            "side",
            "inside",
            "residence",
            "id",
            "user-id",
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
            (
                "refreshToken=x&clientSecret=y&sessionToken=z",
                "refreshToken=[masked]&clientSecret=[masked]&sessionToken=[masked]",
            ),
            (
                "user[password]=x&user%5Bpassword%5D=y&a[token][]=z",
                "user[password]=[masked]&user%5Bpassword%5D=[masked]&a[token][]=[masked]",
            ),
            ("accessKey=x&APIKey=y&keys=z", "accessKey=[masked]&APIKey=[masked]&keys=z"),
            (
                "sid=1&sessionid=2&PHPSESSID=3&session_id=4&x",
                "sid=[masked]&sessionid=[masked]&PHPSESSID=[masked]&session_id=[masked]&x",
            ),
            ("password1=x&new_password_2=y", "password1=[masked]&new_password_2=[masked]"),
            ("maxTokens=5&tokens=1&keyword=a&monkey=b&sidebar=c", "maxTokens=5&tokens=1&keyword=a&monkey=b&sidebar=c"),
            ("a=1;token=x;y&b=2", "a=1;token=[masked]&b=2"),
            ("next=/a?token=x#y&b=2", "next=/a?token=[masked]&b=2"),
            ("X-Amz-Signature=f00&max_tokens=5", "X-Amz-Signature=[masked]&max_tokens=5"),
        ] {
            assert_eq!(mask.query(query), expected);
        }
        assert_eq!(showing(&["key"]).query("key=1&sig=2"), "key=1&sig=[masked]");
    }

    #[test]
    fn addresses_keep_everything_but_secrets() {
        let mask = Mask::default();
        for (address, expected) in [
            ("/a/b?x=1#y", "/a/b?x=1#y"),
            ("https://h/cb?code=1&access_token=x", "https://h/cb?code=1&access_token=[masked]"),
            ("https://h/cb#access_token=x&state=1", "https://h/cb#access_token=[masked]&state=1"),
            ("https://u:p@h:1/a@b?x", "https://[masked]@h:1/a@b?x"),
            ("//u:p@q@h", "//[masked]@h"),
            ("/login;jsessionid=1?x=1", "/login;jsessionid=[masked]"),
            ("0; url=http://u:p@h/?token=x", "0; url=http://[masked]@h/?token=[masked]"),
            ("/mail/a@b", "/mail/a@b"),
            ("", ""),
        ] {
            assert_eq!(mask.address(address), expected);
            for name in ["Location", "content-location", "REFERER", "Refresh"] {
                assert_eq!(mask.field(name, address.as_bytes()), expected);
                assert_eq!(*mask.field_bytes(name, address.as_bytes()), *expected.as_bytes());
            }
            assert_eq!(mask.field("x-other", address.as_bytes()), address);
        }
        assert_eq!(showing(&["access_token"]).address("/?access_token=x"), "/?access_token=x");
        assert_eq!(*mask.field_bytes("Location", b"/\xff?a"), *b"/\xff?a");
    }

    #[test]
    fn names_are_checked() {
        for text in ["", "*", "a b", "authorization: x"] {
            assert!(text.parse::<Name>().expect_err(text).contains("full name"));
        }
    }
}
