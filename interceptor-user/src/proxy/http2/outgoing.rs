//! A request's head, as the server gets it.

use std::net::SocketAddr;

use hyper::{
    Method, Request, Uri,
    header::{HOST, HeaderValue},
    http::{
        request::Parts,
        uri::{Authority, Scheme},
    },
};

use crate::{
    policy::{Enforcement, document::Rewrite},
    proxy::{fields, rewrite},
};

/// The client's head, changed as the policy says.
pub(super) fn request(head: Parts, enforcement: &Enforcement, destination: SocketAddr) -> Request<()> {
    let mut request = Request::from_parts(head, ());
    address(&mut request, destination);
    for rewrite in &enforcement.rewrites {
        apply(rewrite, &mut request);
    }
    if let Some(context) = &enforcement.traceparent {
        fields::trace(request.headers_mut(), context);
    }
    // What a policy sets for one connection would make the request malformed (RFC 9113 section 8.2.2).
    fields::end_to_end(request.headers_mut(), false);
    request
}

/// A client may name the host in `Host` only; who forwards has to say it in `:authority` (RFC 9113 section 8.3.1).
fn address(request: &mut Request<()>, destination: SocketAddr) {
    if request.uri().authority().is_some() || request.method() == Method::CONNECT {
        return;
    }
    let host = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = host.or_else(|| Authority::try_from(destination.to_string()).ok());
    change(request, authority);
}

fn change(request: &mut Request<()>, authority: Option<Authority>) {
    let mut parts = request.uri().clone().into_parts();
    parts.authority = authority;
    if request.method() != Method::CONNECT {
        parts.scheme.get_or_insert(Scheme::HTTP);
    }
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

fn apply(rewrite: &Rewrite, request: &mut Request<()>) {
    if let Some(url) = &rewrite.url_rewrite {
        if let Some(name) = &url.hostname
            && let (Ok(authority), Ok(value)) = (Authority::try_from(name.as_str()), HeaderValue::from_str(name))
        {
            change(request, Some(authority));
            // Both say the same, where there are both.
            if let Some(host) = request.headers_mut().get_mut(HOST) {
                *host = value;
            }
        }
        if let Some(uri) = url.path.as_ref().and_then(|path| rewrite::path(path, request.uri())) {
            *request.uri_mut() = uri;
        }
    }
    if let Some(modifier) = &rewrite.request_header_modifier {
        fields::modify(request.headers_mut(), modifier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::{HeaderModifier, UrlRewrite};

    fn sent(uri: &str, host: Option<&str>, rewrites: Vec<Rewrite>) -> (String, Option<String>) {
        let mut request = Request::builder().method("POST").uri(uri);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let enforcement = Enforcement { rewrites, ..Enforcement::default() };
        let request = super::request(head, &enforcement, "10.0.0.1:8080".parse().unwrap());
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap().to_owned());
        (request.uri().to_string(), host)
    }

    #[test]
    fn whom_it_is_for_is_said_once_in_the_authority() {
        let host = |name: &str| Some(name.to_owned());
        assert_eq!(sent("http://model/a?b", None, vec![]), ("http://model/a?b".to_owned(), None));
        assert_eq!(sent("/a?b", Some("model:1"), vec![]), ("http://model:1/a?b".to_owned(), host("model:1")));
        assert_eq!(sent("/a", None, vec![]).0, "http://10.0.0.1:8080/a");
        let url = UrlRewrite { hostname: Some("other".to_owned()), path: None };
        let rewrite = || vec![Rewrite { url_rewrite: Some(url.clone()), ..Rewrite::default() }];
        assert_eq!(sent("https://model/a?b", None, rewrite()), ("https://other/a?b".to_owned(), None));
        assert_eq!(sent("/a?b", Some("model"), rewrite()), ("http://other/a?b".to_owned(), host("other")));
    }

    #[test]
    fn a_policy_makes_no_request_malformed() {
        let field = |name: &str| crate::policy::document::Header { name: name.to_owned(), value: "x".to_owned() };
        let modifier = HeaderModifier { set: vec![field("connection"), field("x-mine")], ..HeaderModifier::default() };
        let rewrite = Rewrite { request_header_modifier: Some(modifier), ..Rewrite::default() };
        let (head, ()) = Request::builder().uri("http://model/").body(()).unwrap().into_parts();
        let enforcement = Enforcement { rewrites: vec![rewrite], ..Enforcement::default() };
        let request = super::request(head, &enforcement, "10.0.0.1:8080".parse().unwrap());
        let names: Vec<&str> = request.headers().keys().map(hyper::header::HeaderName::as_str).collect();
        assert_eq!(names, ["x-mine"]);
    }
}
