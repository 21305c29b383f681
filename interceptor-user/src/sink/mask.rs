//! Secrets do not leave: what sensitive header fields and query parameters carry is masked unless asked for by name.
//! Parameters are also found in addresses within addresses (`?next=https%3A%2F%2Fh%2F%3Ftoken%3Dx`), however often they
//! are percent-encoded; what follows a secret there is masked with it, up to the next `&` that is not encoded.

mod decoded;
mod names;

use std::{borrow::Cow, str::FromStr};

use self::{
    decoded::Decoded,
    names::{holds_address, sensitive, sensitive_parameter},
};

/// What is shown in place of a secret.
pub const MASKED: &str = "[masked]";

/// What divides parameters beside `&`: old queries (`a;b`), parameters of paths (`/a;jsessionid=`), addresses in
/// addresses (`?next=/a?b#c`).
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
        // A name that is not known may be any.
        (sensitive(field) || field.starts_with('?')) && !self.shows(field)
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
        // Of an entry that is not known as a whole there is nothing to hide.
        if self.hides(name) && value != b"?" {
            return MASKED.as_bytes().into();
        }
        let text = String::from_utf8_lossy(value);
        let shown = if name.eq_ignore_ascii_case("link") {
            self.link(&text)
        } else if name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host") {
            // `user:password@host`
            text.rsplit_once('@').map_or(text.clone(), |(_, host)| format!("{MASKED}@{host}").into())
        } else if holds_address(name) {
            self.address(&text)
        } else if name.eq_ignore_ascii_case("sec-websocket-protocol") && !self.shows(name) {
            self.subprotocols(&text)
        } else {
            return value.into();
        };
        match shown {
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

    /// The value of `Link` (RFC 8288 section 3): addresses in angle brackets, and parameters that may hold more.
    fn link<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut out = String::new();
        let mut rest = text;
        for close in ['<', '>'].into_iter().cycle() {
            let (part, after) = rest.split_at(rest.find(close).unwrap_or(rest.len()));
            out.push_str(&self.address(part));
            let Some(after) = after.strip_prefix(close) else { break };
            out.push(close);
            rest = after;
        }
        if out == text { text.into() } else { out.into() }
    }

    /// The value of `Sec-WebSocket-Protocol`. Browsers can set no other field, so clients put secrets there, after a name
    /// that says so: `openai-insecure-api-key.SECRET`, `base64url.bearer.authorization.k8s.io.SECRET`.
    fn subprotocols<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let shown = |protocol: &'a str| -> Cow<'a, str> {
            let secret = protocol.match_indices('.').map(|(at, _)| at).find(|at| {
                let name = protocol.get(..*at).unwrap_or_default();
                self.hides(name.trim())
            });
            secret.and_then(|at| protocol.get(..=at)).map_or(protocol.into(), |name| format!("{name}{MASKED}").into())
        };
        let parts: Vec<Cow<'a, str>> = text.split(',').map(shown).collect();
        if parts.iter().all(|part| matches!(part, Cow::Borrowed(_))) { text.into() } else { parts.join(",").into() }
    }

    /// A path as it may be shown, with what follows it if anything does: `/a;jsessionid=1?token=2`.
    pub fn path<'a>(&self, path: &'a str) -> Cow<'a, str> {
        let (before, parameters) = path.split_at(path.find(WITHIN).unwrap_or(path.len()));
        // What looks like a parameter in a path is none, but for one in an address that it holds encoded.
        let secret = self.secret_from(before, |text| text.iter().position(|byte| divides(*byte)).unwrap_or(text.len()));
        match (secret.map(|at| before.get(..at).unwrap_or_default()), self.query(parameters)) {
            (None, Cow::Borrowed(_)) => path.into(),
            (None, Cow::Owned(masked)) => format!("{before}{masked}").into(),
            (Some(shown), masked) => format!("{shown}{MASKED}{masked}").into(),
        }
    }

    /// A query as it may be shown: the values of sensitive parameters are masked.
    pub fn query<'a>(&self, query: &'a str) -> Cow<'a, str> {
        let secret = |pair| self.secret_from(pair, |_| 0);
        if !query.split('&').any(|pair| secret(pair).is_some()) {
            return Cow::Borrowed(query);
        }
        let mut out = String::with_capacity(query.len());
        for (index, pair) in query.split('&').enumerate() {
            if index > 0 {
                out.push('&');
            }
            match secret(pair) {
                Some(at) => out.extend([pair.get(..at).unwrap_or_default(), MASKED]),
                None => out.push_str(pair),
            }
        }
        Cow::Owned(out)
    }

    /// Where a secret begins in this part of an address, as it is or with its percent-encoding undone. What follows it
    /// may be a part of it. `parameters` says from where on there are any.
    fn secret_from(&self, part: &str, parameters: impl Fn(&[u8]) -> usize) -> Option<usize> {
        let plain = self.secret_in(part.as_bytes(), parameters(part.as_bytes()));
        if !part.contains('%') {
            return plain;
        }
        let decoded = Decoded::of(part);
        let text = decoded.bytes();
        let hidden = self.secret_in(text, parameters(text)).and_then(|at| decoded.origin(at));
        plain.into_iter().chain(hidden).min()
    }

    /// Where the first secret begins: the value of a sensitive parameter, or the user of an address.
    fn secret_in(&self, text: &[u8], parameters: usize) -> Option<usize> {
        let mut name = 0;
        for (at, byte) in text.iter().enumerate() {
            let after = text.get(at + 1..).unwrap_or_default();
            if *byte == b'/' && after.first() == Some(&b'/') && has_user(after.get(1..).unwrap_or_default()) {
                return Some(at + 2);
            }
            if divides(*byte) {
                name = at + 1;
            } else if *byte == b'=' && at >= parameters {
                let has_value = after.first().is_some_and(|next| !divides(*next));
                if has_value && text.get(name..at).is_some_and(|name| self.hides_parameter(name)) {
                    return Some(at + 1);
                }
                // `state=token=x`: the value may hold a query.
                name = at + 1;
            }
        }
        None
    }

    fn hides_parameter(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name);
        sensitive_parameter(&name) && !self.shows(&name)
    }

    fn shows(&self, name: &str) -> bool {
        self.shown.iter().any(|shown| shown.0.eq_ignore_ascii_case(name))
    }
}

/// Does this byte divide parameters?
fn divides(byte: u8) -> bool {
    byte == b'&' || WITHIN.contains(&char::from(byte))
}

/// Does an authority with a user begin here? (RFC 3986 section 3.2)
fn has_user(text: &[u8]) -> bool {
    let in_authority = |byte: &&u8| !matches!(byte, b'/' | b'?' | b'#' | b'&' | b';' | b'"' | b'<' | b'>' | b' ');
    text.iter().take_while(in_authority).any(|byte| *byte == b'@')
}

#[cfg(test)]
mod tests;
