//! Header fields on their way: those that are for one connection only, those that policies change, trace context.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use hyper::{
    HeaderMap,
    header::{self, HeaderName, HeaderValue},
};

use crate::{
    model::traceparent,
    policy::document::{Header, HeaderModifier},
};

/// For the connection that they came on, whether `Connection` names them or not (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 7] =
    ["connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade", "http2-settings"];

/// W3C Trace Context section 3.2.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Leaves those out that are for this connection only. With `upgrade` those stay by which the connection changes its protocol.
pub(super) fn end_to_end(fields: &mut HeaderMap, upgrade: bool) {
    let options: Vec<HeaderValue> = fields.get_all(header::CONNECTION).iter().cloned().collect();
    let is_named = |name: &str| {
        let mut named = options.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        named.any(|option| option.trim_ascii().eq_ignore_ascii_case(name.as_bytes()))
    };
    let wants_trailers = fields.get(header::TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    let stays = |name: &HeaderName| {
        let name = name.as_str();
        if upgrade && (name == "connection" || name == "upgrade") {
            return true;
        }
        (name == "te" && wants_trailers) || !(HOP_BY_HOP.contains(&name) || is_named(name))
    };
    if fields.keys().all(stays) {
        return;
    }
    keep(fields, stays);
}

/// Is chunked its only transfer coding, if there is one? Others would be lost with the field that tells of them (RFC 9112 section 6.1).
/// Then a length means nothing, and is left out (section 6.3).
pub(super) fn is_framed(fields: &mut HeaderMap) -> bool {
    let mut codings = fields.get_all(header::TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => {
            fields.remove(header::CONTENT_LENGTH);
            true
        }
        _ => false,
    }
}

/// Does the connection become another protocol's, by `Upgrade`? (Not HTTP/2's, RFC 9113 section 3.1: that is negotiated with us.)
pub(super) fn upgrades(fields: &HeaderMap) -> bool {
    let named = |value: &HeaderValue| {
        value.to_str().is_ok_and(|text| text.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")))
    };
    fields.get_all(header::CONNECTION).iter().any(named)
        && fields.get(header::UPGRADE).is_some_and(|to| !to.as_bytes().eq_ignore_ascii_case(b"h2c"))
}

/// As the Gateway API's `RequestHeaderModifier` says.
pub(super) fn modify(fields: &mut HeaderMap, modifier: &HeaderModifier) {
    let named = |name: &str| HeaderName::from_bytes(name.as_bytes()).ok();
    let gone: Vec<HeaderName> = modifier.remove.iter().filter_map(|name| named(name)).collect();
    if fields.keys().any(|name| gone.contains(name)) {
        keep(fields, |name| !gone.contains(name));
    }
    let pair = |field: &Header| Some((named(&field.name)?, HeaderValue::from_str(&field.value).ok()?));
    for (name, value) in modifier.set.iter().filter_map(pair) {
        fields.insert(name, value);
    }
    for (name, value) in modifier.add.iter().filter_map(pair) {
        fields.append(name, value);
    }
}

/// Keeps the order of what stays, which removing one by one would not.
fn keep(fields: &mut HeaderMap, stays: impl Fn(&HeaderName) -> bool) {
    let mut last = None;
    // The map keeps its memory, which is more than a few fields need.
    let all: Vec<_> = fields.drain().collect();
    for (name, value) in all {
        // Of several with one name only the first comes with it.
        last = name.or(last);
        if let Some(name) = last.as_ref().filter(|name| stays(name)) {
            fields.append(name, value);
        }
    }
}

/// Gives the request this trace context, if it has none.
pub(super) fn trace(fields: &mut HeaderMap, context: &str) {
    let mut given = fields.get_all(TRACEPARENT).iter();
    if let (Some(only), None) = (given.next(), given.next())
        && traceparent(only.as_bytes()).is_some()
    {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(context) {
        fields.insert(TRACEPARENT, value);
    }
}

/// Random enough to choose backends by: not for secrets.
pub(super) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut map = HeaderMap::new();
        fields.iter().map(pair).for_each(|(name, value)| {
            map.append(name, value);
        });
        map
    }

    fn pairs(map: &HeaderMap) -> Vec<(&str, &str)> {
        map.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect()
    }

    #[test]
    fn what_is_for_one_connection_stays_there_and_the_rest_keeps_its_order() {
        let mut fields = map(&[
            ("host", "a"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("b", "2"),
            ("transfer-encoding", "chunked"),
            ("a", "1"),
            ("b", "3"),
        ]);
        end_to_end(&mut fields, false);
        assert_eq!(pairs(&fields), [("host", "a"), ("te", "trailers"), ("b", "2"), ("b", "3"), ("a", "1")]);
        let mut fields = map(&[("connection", "Upgrade"), ("upgrade", "websocket"), ("te", "gzip")]);
        assert!(upgrades(&fields));
        end_to_end(&mut fields, true);
        assert_eq!(pairs(&fields), [("connection", "Upgrade"), ("upgrade", "websocket")]);
        assert!(!upgrades(&map(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")])));
    }

    #[test]
    fn a_coding_ends_with_its_connection_or_is_chunked() {
        let (chunked, gzip) = (("transfer-encoding", "Chunked"), ("transfer-encoding", "gzip, chunked"));
        let length = ("content-length", "1");
        for (before, after) in [
            (&[length][..], Some(&[length][..])),
            (&[length, chunked], Some(&[chunked])),
            (&[gzip], None),
            (&[chunked, chunked], None),
        ] {
            let mut fields = map(before);
            let is = is_framed(&mut fields);
            assert_eq!(is.then(|| pairs(&fields)).as_deref(), after, "{before:?}");
        }
    }

    #[test]
    fn trace_contexts_go_on_and_begin() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
        let cases = [
            (valid, true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more", false),
            ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-00", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-00", false),
            ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-00", false),
            ("", false),
        ];
        for (value, goes_on) in cases {
            let mut fields = map(&[("traceparent", value)]);
            trace(&mut fields, valid);
            let now = fields.get(TRACEPARENT).unwrap().to_str().unwrap();
            assert_eq!(now, if goes_on { value } else { valid }, "{value}");
        }
        let mut none = HeaderMap::new();
        trace(&mut none, valid);
        assert_eq!(none.get(TRACEPARENT).unwrap(), valid);
    }
}
