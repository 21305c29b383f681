use std::fmt;

use super::{Head, Part};

/// What a request is for, taken apart by the form of its target (RFC 9112 section 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// Whom it is for: the target's own authority, else `:authority` (RFC 9113 section 8.3.1), else the `Host` field (RFC
    /// 9112 section 3.3). Without user and password.
    pub authority: Option<Authority<'a>>,
    /// Path, without the query. None in `CONNECT host:port` and `OPTIONS *`.
    pub path: Option<&'a str>,
    /// What follows the first `?`.
    pub query: Option<&'a str>,
}

/// A host, and a port if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// Name or address; an IPv6 address is without its brackets.
    pub host: &'a str,
    /// Port.
    pub port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// From `[user@]host[:port]` (RFC 3986 section 3.2). None if there is no host or it cannot be one.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        let text = text.rsplit_once('@').map_or(text, |(_, after)| after);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                (host, after.strip_prefix(':'))
            }
            None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) => Some(digits.parse().ok()?),
        };
        let possible =
            !host.is_empty() && !host.bytes().any(|byte| byte.is_ascii_control() || b" /?#\"<>".contains(&byte));
        possible.then_some(Self { host, port })
    }
}

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            f.write_str(host)?;
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl<'a> Target<'a> {
    /// Of this request; empty for a response's head.
    pub fn of(head: &'a Head) -> Self {
        let named =
            |name| head.fields.get(name).and_then(|value| str::from_utf8(value).ok()).and_then(Authority::parse);
        let host = || named(":authority").or_else(|| named("host"));
        let Some(target) = head.target() else {
            return Self { authority: host().filter(|_| head.is_request()), path: None, query: None };
        };
        if head.method() == Some("CONNECT") && !target.starts_with('/') {
            return Self { authority: Authority::parse(target).or_else(host), path: None, query: None };
        }
        if target.starts_with('/') {
            return Self { authority: host(), ..Self::path_and_query(target) };
        }
        let Some((_scheme, rest)) = target.split_once("://") else {
            // `*`, or something no form allows: it says nothing of a path.
            return Self { authority: host(), path: None, query: None };
        };
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let rest = if rest.is_empty() { "/" } else { rest };
        Self { authority: Authority::parse(authority).or_else(host), ..Self::path_and_query(rest) }
    }

    fn path_and_query(text: &'a str) -> Self {
        let (path, query) = text.split_once('?').map_or((text, None), |(path, query)| (path, Some(query)));
        Self { authority: None, path: Some(if path.is_empty() { "/" } else { path }), query }
    }
}

impl Part {
    /// What it is for; empty for a response.
    pub fn target(&self) -> Target<'_> {
        Target::of(&self.head)
    }

    /// Content bytes that TCP carried: those seen, those known to be missing, and those that nobody wanted.
    pub const fn content_size(&self) -> u64 {
        self.body_size.saturating_add(self.body_missing).saturating_add(self.body_skipped)
    }

    /// Bytes that `body` holds if it holds all: of what is in the content's coding and frames, where there are such.
    pub const fn whole_body(&self) -> u64 {
        let read = self.decoded.is_some() || self.pieces.is_some();
        if read { self.decoded_size.saturating_add(self.body_missing) } else { self.content_size() }
    }

    /// Is `body` less than that?
    pub fn body_cut(&self) -> bool {
        self.undecoded || (!self.redacted && (self.body.len() as u64) < self.whole_body())
    }

    /// `body` as text, if it is text. Where the limit cut a character in two, what is before it.
    pub fn body_text(&self) -> Option<&str> {
        match str::from_utf8(&self.body) {
            Ok(text) => Some(text),
            Err(error) if self.body_cut() && error.error_len().is_none() => {
                self.body.get(..error.valid_up_to()).and_then(|whole| str::from_utf8(whole).ok())
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fields, Version};

    fn head(method: &str, target: &str, host: Option<&str>) -> Head {
        let mut fields = Fields::default();
        if let Some(host) = host {
            fields.push(b"Host", host.as_bytes());
        }
        Head::request(method, target, Version::Http11, fields)
    }

    #[test]
    fn an_authority_is_written_as_it_is_read() {
        for text in ["model", "model:8080", "[::1]", "[2001:db8::1]:80"] {
            assert_eq!(Authority::parse(text).map(|authority| authority.to_string()).as_deref(), Some(text));
        }
        assert_eq!(
            Authority::parse("user:secret@model").map(|authority| authority.to_string()).as_deref(),
            Some("model")
        );
    }

    #[test]
    fn every_form_of_a_target_is_taken_apart() {
        type Case = (
            &'static str,
            &'static str,
            Option<&'static str>,
            Option<(&'static str, Option<u16>)>,
            Option<&'static str>,
            Option<&'static str>,
        );
        let cases: [Case; 11] = [
            ("GET", "/a/b?x=1?2", Some("model:8080"), Some(("model", Some(8080))), Some("/a/b"), Some("x=1?2")),
            ("GET", "/a", None, None, Some("/a"), None),
            ("GET", "/?", Some("[::1]:80"), Some(("::1", Some(80))), Some("/"), Some("")),
            ("GET", "http://u:p@other/x?y", Some("model"), Some(("other", None)), Some("/x"), Some("y")),
            ("GET", "http://other", None, Some(("other", None)), Some("/"), None),
            ("GET", "http://other?q", None, Some(("other", None)), Some("/"), Some("q")),
            ("CONNECT", "db.example:5432", Some("proxy"), Some(("db.example", Some(5432))), None, None),
            ("OPTIONS", "*", Some("model"), Some(("model", None)), None, None),
            ("GET", "/a", Some("bad host"), None, Some("/a"), None),
            ("GET", "/a", Some("model:99999"), None, Some("/a"), None),
            ("GET", "/a", Some(""), None, Some("/a"), None),
        ];
        for (method, target, host, authority, path, query) in cases {
            let head = head(method, target, host);
            let authority = authority.map(|(host, port)| Authority { host, port });
            assert_eq!(Target::of(&head), Target { authority, path, query }, "{method} {target} {host:?}");
        }
    }
}
