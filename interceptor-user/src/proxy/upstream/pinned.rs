//! A server's connection that is one client's own.

use std::cell::RefCell;

use hyper::{
    HeaderMap, StatusCode,
    header::{AUTHORIZATION, HeaderName, WWW_AUTHENTICATE},
};

use super::{Target, http1::Lease};

/// Schemes that log in a connection and not a request (RFC 4559 section 6).
const BOUND: [&[u8]; 2] = [b"ntlm", b"negotiate"];

/// Where a server may have logged in a client's connection, that connection is kept apart.
#[derive(Default)]
pub(in crate::proxy) struct Pinned(RefCell<Option<(Target, Option<Lease>)>>);

impl Pinned {
    /// As the request says: it goes on logging in.
    pub(super) fn asked(&self, target: &Target, fields: &HeaderMap) {
        if names_bound(fields, &AUTHORIZATION) {
            self.pin(target);
        }
    }

    /// As the server says: it wants that.
    pub(super) fn answered(&self, target: &Target, status: StatusCode, fields: &HeaderMap) {
        if status == StatusCode::UNAUTHORIZED && names_bound(fields, &WWW_AUTHENTICATE) {
            self.pin(target);
        }
    }

    fn pin(&self, target: &Target) {
        let mut pinned = self.0.borrow_mut();
        if pinned.as_ref().is_none_or(|(known, _)| known != target) {
            *pinned = Some((target.clone(), None));
        }
    }

    /// The connection, if there is one that can be used.
    pub(super) fn take(&self, target: &Target) -> Option<Lease> {
        let mut pinned = self.0.borrow_mut();
        let (_, lease) = pinned.as_mut().filter(|(known, _)| known == target)?;
        lease.take().filter(Lease::is_usable)
    }

    /// Keeps it for this client; gives it back where that is not needed.
    pub(super) fn keep(&self, target: &Target, lease: Lease) -> Option<Lease> {
        match self.0.borrow_mut().as_mut() {
            Some((known, kept)) if known == target => {
                *kept = Some(lease);
                None
            }
            _ => Some(lease),
        }
    }
}

fn names_bound(fields: &HeaderMap, name: &HeaderName) -> bool {
    fields.get_all(name).iter().any(|value| {
        let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
        BOUND.iter().any(|bound| scheme.eq_ignore_ascii_case(bound))
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn schemes_that_log_in_connections_are_known() {
        let of = |value: &'static str| HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
        for (value, expected) in [("NTLM", true), ("Negotiate YII=", true), ("Basic bnRsbQ==", false), ("", false)] {
            assert_eq!(names_bound(&of(value), &AUTHORIZATION), expected, "{value}");
        }
    }
}
