//! For whom a request is: its target and its `Host` (RFC 9110 section 7, RFC 9112 section 3.2, RFC 9113 section 8.3.1).

use std::net::SocketAddr;

use hyper::{
    HeaderMap, Method, Request, Uri, Version,
    header::{HOST, HeaderValue},
    http::uri::{Authority, Scheme},
};

/// What its client is told.
pub(super) fn malformed(why: &str) -> String {
    format!("the request is malformed: {why}")
}

/// Why that can be read in more than one way, if it can.
pub(super) fn unclear(method: &Method, uri: &Uri, fields: &HeaderMap) -> Option<&'static str> {
    if uri.path() == "*" && *method != Method::OPTIONS {
        return Some("its target is that of OPTIONS");
    }
    let mut hosts = fields.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Some("it has more than one Host");
    }
    let host = match host.map(|host| Authority::try_from(host.as_bytes())) {
        Some(Err(_)) => return Some("its Host is none"),
        Some(Ok(host)) => Some(host),
        None => None,
    };
    let authority = uri.authority();
    if authority.into_iter().chain(&host).any(|authority| !is_plain(authority)) {
        return Some("it is for more than a host and its port");
    }
    if *method == Method::CONNECT {
        let to = authority.filter(|authority| authority.port_u16().is_some() && uri.scheme().is_none());
        return to.is_none().then_some("it is to connect to no port");
    }
    None
}

/// That, and what HTTP/1 has to say beside.
pub(super) fn unclear_in_http1<B>(request: &Request<B>) -> Option<&'static str> {
    let (method, uri, fields) = (request.method(), request.uri(), request.headers());
    if uri.authority().is_some() && uri.scheme().is_none() && *method != Method::CONNECT {
        return Some("its target is neither a path nor an address");
    }
    if request.version() == Version::HTTP_11 && !fields.contains_key(HOST) {
        return Some("it has no Host");
    }
    unclear(method, uri, fields)
}

/// Does `Host` say something else than the address?
pub(super) fn differs(uri: &Uri, fields: &HeaderMap) -> bool {
    let host = fields.get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    uri.authority().zip(host).is_some_and(|(authority, host)| normal(authority, uri) != normal(&host, uri))
}

/// What is sent on as HTTP/1.1 has a `Host`: that of a whole address counts (RFC 9112 section 3.2.2), and HTTP/1.0 may have none.
pub(super) fn complete<B>(request: &mut Request<B>, destination: SocketAddr) {
    *request.version_mut() = Version::HTTP_11;
    let authority = request.uri().authority().map(Authority::as_str).map(HeaderValue::from_str);
    let host = match authority {
        Some(authority) if request.method() != Method::CONNECT => authority,
        _ if request.headers().contains_key(HOST) => return,
        Some(authority) => authority,
        None => HeaderValue::from_str(&destination.to_string()),
    };
    if let Ok(host) = host {
        request.headers_mut().insert(HOST, host);
    }
}

/// A host, and a port if there is a colon: no user.
fn is_plain(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("" | ":") => !authority.host().is_empty(),
        Some(_) => authority.port_u16().is_some() && !authority.host().is_empty(),
        None => false,
    }
}

/// Host and port, so that what means the same is the same (RFC 9110 section 4.2.3).
fn normal(authority: &Authority, uri: &Uri) -> (String, Option<u16>) {
    let default = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Some(443),
        Some(_) => Some(80),
        None => None,
    };
    (authority.host().to_ascii_lowercase(), authority.port_u16().or(default))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, version: Version, uri: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::builder().method(method).version(version).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn whom_a_request_is_for_is_said_in_one_way() {
        let cases: [(&str, &str, &[&str], bool); 18] = [
            ("GET", "http://model/", &[], true),
            ("GET", "/", &["model:1"], true),
            ("GET", "/", &[], true),
            ("GET", "http://[::1]:8080/", &["[::1]:8080"], true),
            ("GET", "http://model:/", &["model"], true),
            ("CONNECT", "model:80", &[], true),
            ("OPTIONS", "*", &["model"], true),
            ("GET", "*", &["model"], false),
            ("CONNECT", "model", &[], false),
            ("CONNECT", "http://model:80/", &[], false),
            ("GET", "/", &["model", "model"], false),
            ("GET", "/", &["mo del"], false),
            ("GET", "/", &[""], false),
            ("GET", "/", &["me@model"], false),
            ("GET", "/", &["model:port"], false),
            ("GET", "http://me@model/", &[], false),
            ("GET", "http://model:99999/", &[], false),
            ("CONNECT", "/", &["model"], false),
        ];
        for (method, uri, hosts, is_clear) in cases {
            let request = request(method, Version::HTTP_2, uri, hosts);
            let why = unclear(request.method(), request.uri(), request.headers());
            assert_eq!(why.is_none(), is_clear, "{method} {uri} {hosts:?}: {why:?}");
        }
        for (version, uri, hosts, is_clear) in [
            (Version::HTTP_11, "/", &["model"][..], true),
            (Version::HTTP_11, "/", &[], false),
            (Version::HTTP_11, "http://model/", &[], false),
            (Version::HTTP_10, "/", &[], true),
            (Version::HTTP_11, "model", &["model"], false),
        ] {
            let why = unclear_in_http1(&request("GET", version, uri, hosts));
            assert_eq!(why.is_none(), is_clear, "{version:?} {uri} {hosts:?}: {why:?}");
        }
    }

    #[test]
    fn names_of_one_host_are_the_same() {
        for (uri, host, is_other) in [
            ("http://Model/", "model:80", false),
            ("https://model:443/", "model", false),
            ("/", "model", false),
            ("http://model/", "other", true),
            ("http://model:81/", "model", true),
        ] {
            let request = request("GET", Version::HTTP_2, uri, &[host]);
            assert_eq!(differs(request.uri(), request.headers()), is_other, "{uri} {host}");
        }
    }

    #[test]
    fn what_is_sent_on_says_whom_it_is_for() {
        for (method, uri, hosts, host) in [
            ("GET", "/", &["model"][..], "model"),
            ("GET", "/", &[], "10.0.0.1:8080"),
            ("GET", "http://model/", &["other"], "model"),
            ("GET", "http://model/", &[], "model"),
            ("CONNECT", "model:80", &["other"], "other"),
            ("CONNECT", "model:80", &[], "model:80"),
        ] {
            let mut request = request(method, Version::HTTP_10, uri, hosts);
            complete(&mut request, "10.0.0.1:8080".parse().unwrap());
            assert_eq!(
                (request.version(), &request.headers()[HOST]),
                (Version::HTTP_11, &HeaderValue::from_static(host))
            );
        }
    }
}
