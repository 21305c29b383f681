//! Requests as servers get them, and those that none gets (RFC 9112 sections 2, 3, 5 and 9; RFC 9110 sections 5, 7, 9 and 10).

use super::{
    Row,
    Wants::{self, Arrives, Refused},
    arrives, asks, get,
};

pub(super) fn rows() -> Vec<Row> {
    let all = [lines(), targets(), hosts(), fields(), connections(), persistence(), limits()];
    all.into_iter().flatten().collect()
}

fn line(section: &'static str, what: &'static str, line: &str, wants: Wants) -> Row {
    asks(section, what, format!("{line}\r\nHost: model\r\nConnection: close\r\n\r\n"), wants)
}

/// RFC 9112 sections 2 and 3.
fn lines() -> Vec<Row> {
    let method = |name: &str| Arrives(format!("{name} /a HTTP/1.1\r\nHost: model\r\n\r\n"));
    vec![
        asks("9112 2.1", "a request", get("/a", ""), arrives("/a", "")),
        asks("9112 2.2", "an empty line before the request", format!("\r\n{}", get("/a", "")), arrives("/a", "")),
        asks("9112 2.2", "lines that end with LF alone", get("/never", "").replace("\r\n", "\n"), Refused(400)),
        asks("9112 2.2", "a line that ends with LF alone", "GET /never HTTP/1.1\nHost: model\r\n\r\n", Refused(400)),
        asks("9112 2.2", "CR within a field", get("/never", "A: b\rc\r\n"), Refused(400)),
        asks("9112 2.2", "CR before a line's end", get("/never", "A: b\r\r\n"), Refused(400)),
        asks(
            "9112 2.2",
            "white space before the first field",
            "GET /never HTTP/1.1\r\n Host: model\r\n\r\n",
            Refused(400),
        ),
        line("9112 2.3", "HTTP/1.2", "GET /never HTTP/1.2", Refused(400)),
        line("9112 2.3", "HTTP/1.10", "GET /never HTTP/1.10", Refused(400)),
        line("9112 2.3", "the version of what is forwarded is ours", "GET /a HTTP/1.0", arrives("/a", "")),
        line("9112 3", "two spaces before the target", "GET  /never HTTP/1.1", Refused(400)),
        line("9112 3", "two spaces behind the target", "GET /never  HTTP/1.1", Refused(400)),
        line("9112 3", "a tab behind the target", "GET /never\tHTTP/1.1", Refused(400)),
        line("9112 3", "a space behind the version", "GET /never HTTP/1.1 ", Refused(400)),
        line("9112 3", "a space in the target", "GET /never b HTTP/1.1", Refused(400)),
        line("9112 3.1", "a method that nobody knows", "WHAT /a HTTP/1.1", method("WHAT")),
        line("9112 3.1", "a method in small letters", "get /a HTTP/1.1", method("get")),
        line("9112 3.1", "DELETE without content", "DELETE /a HTTP/1.1", method("DELETE")),
        line("9112 3.1", "TRACE", "TRACE /a HTTP/1.1", method("TRACE")),
    ]
}

/// RFC 9112 section 3.2.
fn targets() -> Vec<Row> {
    let to = |what, target: &str, wants| line("9112 3.2", what, &format!("GET {target} HTTP/1.1"), wants);
    let close = "Connection: close\r\n\r\n";
    let of = |line: &str, host: &str| Arrives(format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    vec![
        to("a path and a query", "/a/b?c=d&e", arrives("/a/b?c=d&e", "")),
        to("a path as it is", "/a//b/../c/%7e;x=1", arrives("/a//b/../c/%7e;x=1", "")),
        to("a query and no path", "?never", Refused(400)),
        to("a path without a slash", "never/a", Refused(400)),
        to("a fragment", "/never#a", Refused(400)),
        to("a byte beyond ASCII", "/\u{fc}", Refused(400)),
        to("a NUL", "/never\0", Refused(400)),
        to("a host alone", "never", Refused(400)),
        to("* of GET", "*", Refused(400)),
        line("9112 3.2.4", "* of OPTIONS", "OPTIONS * HTTP/1.1", of("OPTIONS *", "model")),
        line("9112 3.2.2", "a whole address", "GET http://model/a?b HTTP/1.1", of("GET http://model/a?b", "model")),
        asks(
            "9112 3.2.2",
            "a whole address, and another host: the address counts",
            format!("GET http://model/a HTTP/1.1\r\nHost: other\r\n{close}"),
            of("GET http://model/a", "model"),
        ),
        asks(
            "9112 3.2.2",
            "a whole address without Host in HTTP/1.0",
            "GET http://model/a HTTP/1.0\r\n\r\n",
            Arrives("GET http://model/a HTTP/1.1\r\nhost: model\r\n\r\n".to_owned()),
        ),
        line("9112 3.2.2", "a whole address with a user", "GET http://me@never/a HTTP/1.1", Refused(400)),
        line("9112 3.2.3", "CONNECT with a path", "CONNECT /never HTTP/1.1", Refused(400)),
        line("9112 3.2.3", "CONNECT without a port", "CONNECT never HTTP/1.1", Refused(400)),
    ]
}

/// RFC 9112 section 3.2, RFC 9110 section 7.2.
fn hosts() -> Vec<Row> {
    let with = |hosts: &str| format!("GET /never HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
    let bad = |what, hosts: &str| asks("9112 3.2", what, with(hosts), Refused(400));
    let fine = |what, host: &str| {
        let text = format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n");
        asks("9112 3.2", what, text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"), Arrives(text))
    };
    vec![
        bad("no Host", ""),
        bad("two Hosts", "Host: model\r\nHost: other\r\n"),
        bad("two Hosts that say the same", "Host: model\r\nHost: model\r\n"),
        bad("a Host with a path", "Host: model/a\r\n"),
        bad("a Host with a user", "Host: me@model\r\n"),
        bad("a Host with a space", "Host: mo del\r\n"),
        bad("a Host with a port that is none", "Host: model:port\r\n"),
        bad("two in one Host", "Host: model, other\r\n"),
        fine("a Host with a port", "model:8077"),
        fine("a Host that is an address", "[::1]:8077"),
        asks(
            "9112 3.2",
            "HTTP/1.0 without Host: it gets that of the connection",
            "GET /a HTTP/1.0\r\n\r\n",
            Arrives("GET /a HTTP/1.1\r\nhost: 10.70.0.1:8077\r\n\r\n".to_owned()),
        ),
    ]
}

/// RFC 9112 section 5, RFC 9110 section 5.
fn fields() -> Vec<Row> {
    let bad = |section, what, field: &str| asks(section, what, get("/never", &format!("{field}\r\n")), Refused(400));
    let same = |section, what, field: &str| {
        let bytes: Vec<u8> = get("/a", &format!("{field}\r\n")).chars().map(|byte| byte as u8).collect();
        asks(section, what, bytes, arrives("/a", &format!("{field}\r\n")))
    };
    vec![
        bad("9112 5.1", "a space before the colon", "A : b"),
        bad("9112 5.1", "a tab before the colon", "A\t: b"),
        bad("9112 5.2", "a folded field", "A: b\r\n c"),
        bad("9112 5.2", "a field folded by a tab", "A: b\r\n\tc"),
        bad("9112 5.2", "a field folded to nothing", "A: b\r\n "),
        bad("9110 5.1", "a line without a colon", "nonsense"),
        bad("9110 5.1", "a field without a name", ": b"),
        bad("9110 5.1", "a name that is no token", "A(b): c"),
        bad("9110 5.1", "a name beyond ASCII", "\u{fc}: b"),
        bad("9110 5.5", "a NUL in a value", "A: b\0c"),
        bad("9110 5.5", "DEL in a value", "A: b\x7fc"),
        same("9110 5.5", "an empty value", "A:"),
        same("9110 5.5", "bytes beyond ASCII in a value", "A: \u{fc}ber"),
        same("9110 5.5", "a tab in a value", "A: b\tc"),
        same("9110 5.3", "fields of one name keep their order", "A: 1\r\na: 2\r\nA: 3"),
        same("9110 5.1", "the case of names", "x-LOWER-Upper: 1"),
        asks("9112 5.1", "white space around a value", get("/a", "A: \t b \t\r\n"), arrives("/a", "A: b\r\n")),
        asks("9112 5.1", "no white space before a value", get("/a", "A:b\r\n"), arrives("/a", "A: b\r\n")),
    ]
}

/// What is for this connection only (RFC 9110 sections 7.6.1, 7.8, 10.1.4).
fn connections() -> Vec<Row> {
    let gone = |section, what, fields: &str| asks(section, what, get("/a", fields), arrives("/a", ""));
    let named = "GET /a HTTP/1.1\r\nHost: model\r\nX-Mine: 1\r\nX-Yours: 2\r\nConnection: x-mine, close\r\n\r\n";
    vec![
        asks("9110 7.6.1", "what Connection names", named, arrives("/a", "X-Yours: 2\r\n")),
        gone("9110 7.6.1", "Keep-Alive", "Keep-Alive: timeout=5\r\n"),
        gone("9110 7.6.1", "Proxy-Connection", "Proxy-Connection: keep-alive\r\n"),
        gone("9110 7.8", "Upgrade that Connection does not name", "Upgrade: websocket\r\n"),
        gone(
            "9113 3.1",
            "an upgrade to HTTP/2",
            "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, HTTP2-Settings\r\n",
        ),
        gone("9110 10.1.4", "TE that is not trailers", "TE: gzip\r\nConnection: TE\r\n"),
        asks("9110 10.1.4", "TE: trailers", get("/a", "TE: trailers\r\n"), arrives("/a", "TE: trailers\r\n")),
        asks(
            "9110 11.7",
            "credentials for a proxy",
            get("/a", "Proxy-Authorization: x\r\n"),
            arrives("/a", "Proxy-Authorization: x\r\n"),
        ),
        asks("9110 7.6.3", "Via", get("/a", ""), arrives("/a", "Via: 1.1 interceptor\r\n")),
        asks(
            "9110 7.6.2",
            "Max-Forwards of nothing: whom it reaches answers",
            "TRACE /a HTTP/1.1\r\nHost: model\r\nMax-Forwards: 0\r\nConnection: close\r\n\r\n",
            Refused(200),
        ),
    ]
}

/// RFC 9112 section 9.
fn persistence() -> Vec<Row> {
    let plain = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: model\r\n\r\n");
    let all = |paths: &[&str]| Arrives(paths.iter().map(|path| plain(path)).collect());
    let old = |path: &str, fields: &str| format!("GET {path} HTTP/1.0\r\nHost: model\r\n{fields}\r\n");
    vec![
        asks(
            "9112 9.3",
            "several requests, one by one",
            [plain("/1"), plain("/2"), get("/3", "")].concat(),
            all(&["/1", "/2", "/3"]),
        ),
        asks(
            "9112 9.3.2",
            "sixty requests at once",
            [plain("/a").repeat(60), get("/b", "")].concat(),
            Arrives([plain("/a").repeat(60), plain("/b")].concat()),
        ),
        asks(
            "9112 9.3",
            "nothing counts behind Connection: close",
            [get("/1", ""), get("/never", "")].concat(),
            all(&["/1"]),
        ),
        asks(
            "9112 9.3",
            "nothing counts behind CLOSE",
            [get("/1", "").replace("close", "CLOSE"), get("/never", "")].concat(),
            all(&["/1"]),
        ),
        asks("9112 9.3", "HTTP/1.0 ends by itself", [old("/1", ""), get("/never", "")].concat(), all(&["/1"])),
        asks(
            "9112 9.3",
            "HTTP/1.0 that goes on",
            [old("/1", "Connection: keep-alive\r\n"), old("/2", "")].concat(),
            all(&["/1", "/2"]),
        ),
        asks(
            "9112 9.3",
            "a content between requests",
            ["POST /1 HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\nhi", &get("/2", "")].concat(),
            Arrives(["POST /1 HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\nhi", &plain("/2")].concat()),
        ),
        asks(
            "9112 2.2",
            "an empty line behind a content",
            ["POST /1 HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\nhi\r\n", &get("/2", "")].concat(),
            Arrives(["POST /1 HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\nhi", &plain("/2")].concat()),
        ),
    ]
}

/// RFC 9112 section 3, RFC 6585 section 5.
fn limits() -> Vec<Row> {
    let (target, value) = ("x".repeat(8000), "x".repeat(50_000));
    let many = |count: usize| "A: b\r\n".repeat(count);
    vec![
        asks("9112 3", "a target of 8,000 bytes", get(&format!("/{target}"), ""), arrives(&format!("/{target}"), "")),
        asks("9110 15.5.15", "a target of 70 KB", get(&format!("/never{}", "x".repeat(70_000)), ""), Refused(414)),
        asks(
            "9110 5.4",
            "a field of 50 KB",
            get("/a", &format!("A: {value}\r\n")),
            arrives("/a", &format!("A: {value}\r\n")),
        ),
        asks("6585 5", "fields of 500 KB", get("/never", &format!("A: {value}\r\n").repeat(10)), Refused(431)),
        // `Host` and `Connection` are some, too.
        asks("9110 5.4", "a hundred fields", get("/a", &many(98)), arrives("/a", &many(98))),
        asks("6585 5", "more fields", get("/never", &many(99)), Refused(431)),
    ]
}
