//! Header fields, queries and cookies, as pairs. Secrets in them are masked before they are taken apart.

use std::borrow::Cow;

use serde::Serialize;

use crate::{model::Fields, sink::mask::Mask};

/// A name and its value.
#[derive(Serialize)]
pub(super) struct Pair<'a> {
    name: Cow<'a, str>,
    value: Cow<'a, str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Cookie {
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    domain: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secure: Option<bool>,
}

pub(super) fn fields<'a>(fields: &'a Fields, mask: &'a Mask) -> Vec<Pair<'a>> {
    fields.iter().map(|(name, value)| Pair { name: name.into(), value: mask.field(name, value) }).collect()
}

/// As they were sent, percent-encoded.
pub(super) fn query<'a>(text: &str, mask: &Mask) -> Vec<Pair<'a>> {
    let masked = mask.query(text);
    let pairs = masked.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| Pair { name: name.to_owned().into(), value: value.to_owned().into() }).collect()
}

/// Of a request; none where they are hidden.
pub(super) fn cookies(fields: &Fields, mask: &Mask) -> Vec<Cookie> {
    let all = fields.get_all("cookie").filter(|_| !mask.hides("cookie"));
    all.flat_map(|value| {
        let text = String::from_utf8_lossy(value).into_owned();
        text.split(';').filter_map(Cookie::of).collect::<Vec<_>>()
    })
    .collect()
}

/// Of a response; none where they are hidden.
pub(super) fn set_cookies(fields: &Fields, mask: &Mask) -> Vec<Cookie> {
    let all = fields.get_all("set-cookie").filter(|_| !mask.hides("set-cookie"));
    all.filter_map(|value| {
        let text = String::from_utf8_lossy(value).into_owned();
        let mut parts = text.split(';');
        let mut cookie = Cookie::of(parts.next()?)?;
        (cookie.http_only, cookie.secure) = (Some(false), Some(false));
        for part in parts {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "path" => cookie.path = Some(value.trim().to_owned()),
                "domain" => cookie.domain = Some(value.trim().to_owned()),
                "httponly" => cookie.http_only = Some(true),
                "secure" => cookie.secure = Some(true),
                _ => {}
            }
        }
        Some(cookie)
    })
    .collect()
}

impl Cookie {
    /// `name=value`
    fn of(pair: &str) -> Option<Self> {
        let (name, value) = pair.trim().split_once('=')?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        Some(Self { name, value, path: None, domain: None, http_only: None, secure: None })
    }
}
