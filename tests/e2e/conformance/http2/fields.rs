//! HTTP in HTTP/2: fields, what makes a request malformed, and what does not (RFC 9113 section 8). Malformed ones bear the mark.

use super::{
    Row,
    client::Wants::{self, Answer, Content, Malformed},
    row,
    wire::{
        END_HEADERS, END_STREAM, Fields, HEADERS, MARK, WHOLE, block, data, frame, get, headers, literal, marked, post,
        request,
    },
};

pub(super) fn rows() -> Vec<Row> {
    let all = [exchanges(), lengths(), names(), values(), connections(), pseudo(), requests(), targets(), connects()];
    all.into_iter().flatten().collect()
}

fn exchanges() -> Vec<Row> {
    let end = |fields: Fields<'_>| headers(1, WHOLE, fields);
    let asked = || marked(1, END_HEADERS, "POST", &[]);
    vec![
        row("9113 8.1", "GET", [get(1)], Content(1, 4)),
        row("9113 8.1", "HEAD", [headers(1, WHOLE, &request("HEAD", "/"))], Content(1, 0)),
        row("9113 8.1", "POST", [post(1), data(1, END_STREAM, b"a content")], Content(1, 9)),
        row(
            "9113 8.1",
            "GET with a content",
            [headers(1, END_HEADERS, &request("GET", "/")), data(1, END_STREAM, b"x")],
            Content(1, 4),
        ),
        row("9113 8.1", "requests on one connection", [get(1)], Answer(1, 200))
            .then([get(3)], Answer(3, 200))
            .then([get(5), get(7)], Answer(7, 200)),
        row("9113 8.1", "trailers", [post(1), data(1, 0, b"x"), end(&[("x-sum", "1")])], Content(1, 1)),
        row("9113 8.1", "trailers without content", [post(1), end(&[("x-sum", "1")])], Content(1, 0)),
        row(
            "9113 8.1",
            "HEADERS behind the content that do not end it",
            [post(1), data(1, 0, b"x"), headers(1, END_HEADERS, &[("x-sum", "1")])],
            Malformed(1),
        ),
        row("9113 8.1", "a second head", [post(1), post(1)], Malformed(1)),
        row(
            "9113 8.1",
            "a pseudo-field in trailers",
            [post(1), data(1, 0, b"x"), end(&[(":method", "GET")])],
            Malformed(1),
        ),
        row(
            "9113 8.1",
            "an unknown pseudo-field in trailers",
            [post(1), data(1, 0, b"x"), end(&[(":x", "y")])],
            Malformed(1),
        ),
        row(
            "9113 8.2.1",
            "a name in capitals in trailers",
            [post(1), data(1, 0, b"x"), end(&[("X-Sum", "1")])],
            Malformed(1),
        ),
        row(
            "9113 8.2.2",
            "a field of the connection in trailers",
            [post(1), data(1, 0, b"x"), end(&[("connection", "x")])],
            Malformed(1),
        ),
        row("9113 8.1.1", "an empty block", [frame(HEADERS, WHOLE, 1, &[])], Malformed(1)),
        row("9113 8.1.1", "fields and nothing else", [headers(1, WHOLE, &[MARK])], Malformed(1)),
        row(
            "9113 8.1.1",
            "a malformed request leaves the others",
            [asked(), end(&[("connection", "b")]), get(3)],
            Answer(3, 200),
        ),
    ]
}

/// RFC 9113 section 8.1.1, RFC 9110 section 8.6.
fn lengths() -> Vec<Row> {
    let of = |what, length: &str, content: &[u8]| {
        let says = [
            headers(1, END_HEADERS, &[&request("POST", "/"), &[("content-length", length)][..]].concat()),
            data(1, END_STREAM, content),
        ];
        row("9113 8.1.1", what, says, Malformed(1))
    };
    let head =
        |what, method, fields: Fields<'_>| row("9113 8.1.1", what, [marked(1, WHOLE, method, fields)], Malformed(1));
    let sized =
        |length: &str| headers(1, END_HEADERS, &[&request("POST", "/"), &[("content-length", length)][..]].concat());
    vec![
        row(
            "9113 8.1.1",
            "as much as content-length says",
            [sized("4"), data(1, 0, b"so"), data(1, 1, b"me")],
            Content(1, 4),
        ),
        row("9113 8.1.1", "a content-length of nothing", [sized("0"), data(1, 1, b"")], Content(1, 0)),
        of("less than content-length", "5", b"some"),
        of("more than content-length", "3", b"some"),
        of("something where content-length says nothing", "0", b"some"),
        row(
            "9113 8.1.1",
            "more than content-length in several DATA",
            [sized("5"), data(1, 0, b"some"), data(1, 1, b"more")],
            Malformed(1),
        ),
        row(
            "9113 8.1.1",
            "less than content-length before trailers",
            [sized("5"), data(1, 0, b"some"), headers(1, WHOLE, &[("x-sum", "1")])],
            Malformed(1),
        ),
        head("a content-length without content", "POST", &[("content-length", "1")]),
        head("two content-lengths that differ", "POST", &[("content-length", "0"), ("content-length", "1")]),
        head("a content-length that is no number", "POST", &[("content-length", "x")]),
        head("a content-length with a sign", "POST", &[("content-length", "+0")]),
        head("a content-length with a sign, negative", "POST", &[("content-length", "-1")]),
        head("an empty content-length", "POST", &[("content-length", "")]),
        head("a content-length beyond 2^64", "POST", &[("content-length", "99999999999999999999999")]),
        head("a list of content-lengths", "POST", &[("content-length", "0, 1")]),
    ]
}

fn odd(section: &'static str, what: &'static str, name: &[u8], value: &[u8]) -> Row {
    let fields = [block(&request("GET", "/")), block(&[MARK]), literal(name, value)].concat();
    row(section, what, [frame(HEADERS, WHOLE, 1, &fields)], Malformed(1))
}

fn names() -> Vec<Row> {
    let bad = |what, name: &[u8]| odd("9113 8.2.1", what, name, b"x");
    vec![
        bad("a name in capitals", b"X-Name"),
        bad("a name with one capital", b"x-namE"),
        bad("an empty name", b""),
        bad("a space in a name", b"x name"),
        bad("a space behind a name", b"x-name "),
        bad("a colon in a name", b"x:name"),
        bad("a colon behind a name", b"x-name:"),
        bad("a NUL in a name", b"x\0name"),
        bad("a line's end in a name", b"x\r\nname"),
        bad("a tab in a name", b"x\tname"),
        bad("DEL in a name", b"x\x7fname"),
        bad("a byte beyond ASCII in a name", b"x\xfcname"),
        bad("a byte beyond ASCII alone", b"\xff"),
    ]
}

fn values() -> Vec<Row> {
    let bad = |what, value: &[u8]| odd("9113 8.2.1", what, b"x-value", value);
    let good = |what, value: &[u8]| {
        let fields = [block(&request("GET", "/")), literal(b"x-value", value)].concat();
        row("9113 8.2.1", what, [frame(HEADERS, WHOLE, 1, &fields)], Answer(1, 200))
    };
    let cookies: Fields<'_> = &[&request("GET", "/")[..], &[("cookie", "a=b"), ("cookie", "c=d")]].concat();
    vec![
        bad("a NUL in a value", b"a\0b"),
        bad("CR in a value", b"a\rb"),
        bad("LF in a value", b"a\nb"),
        bad("a line's end in a value", b"a\r\nhost: other"),
        bad("a space before a value", b" a"),
        bad("a space behind a value", b"a "),
        bad("a tab before a value", b"\ta"),
        bad("a tab behind a value", b"a\t"),
        good("an empty value", b""),
        good("a space within a value", b"a b"),
        good("bytes beyond ASCII in a value", b"\xfcber"),
        row("9113 8.2.3", "a cookie in two fields", [headers(1, WHOLE, cookies)], Answer(1, 200)),
    ]
}

fn connections() -> Vec<Row> {
    let bad = |what, name: &str, value: &str| odd("9113 8.2.2", what, name.as_bytes(), value.as_bytes());
    vec![
        bad("connection", "connection", "keep-alive"),
        bad("connection: close", "connection", "close"),
        bad("keep-alive", "keep-alive", "timeout=5"),
        bad("proxy-connection", "proxy-connection", "keep-alive"),
        bad("transfer-encoding", "transfer-encoding", "chunked"),
        bad("upgrade", "upgrade", "websocket"),
        bad("te that is not trailers", "te", "gzip"),
        bad("te with more than trailers", "te", "trailers, deflate"),
        row(
            "9113 8.2.2",
            "te: trailers",
            [headers(1, WHOLE, &[&request("GET", "/")[..], &[("te", "trailers")]].concat())],
            Answer(1, 200),
        ),
    ]
}

fn bad(section: &'static str, what: &'static str, fields: Fields<'_>) -> Row {
    row(section, what, [headers(1, WHOLE, &[fields, &[MARK]].concat())], Malformed(1))
}

fn pseudo() -> Vec<Row> {
    let all = request("GET", "/");
    let [method, scheme, path, authority] = all;
    vec![
        bad("9113 8.3", "an unknown pseudo-field", &[method, scheme, path, authority, (":what", "x")]),
        bad("9113 8.3", "an empty pseudo-field's name", &[method, scheme, path, authority, (":", "x")]),
        bad("9113 8.3", "a response's pseudo-field", &[method, scheme, path, authority, (":status", "200")]),
        bad("9113 8.3", "a pseudo-field behind a field", &[method, scheme, authority, ("x-name", "x"), path]),
        bad("9113 8.3", "a pseudo-field in capitals", &[(":Method", "GET"), scheme, path, authority]),
        bad("9113 8.3.1", "two :method", &[method, method, scheme, path, authority]),
        bad("9113 8.3.1", "two :scheme", &[method, scheme, scheme, path, authority]),
        bad("9113 8.3.1", "two :path", &[method, scheme, path, path, authority]),
        bad("9113 8.3.1", "two :authority", &[method, scheme, path, authority, authority]),
        bad("9113 8.3.1", "no :method", &[scheme, path, authority]),
        bad("9113 8.3.1", "no :scheme", &[method, path, authority]),
        bad("9113 8.3.1", "no :path", &[method, scheme, authority]),
        bad(
            "8441 4",
            "a :protocol that was not offered",
            &[(":method", "CONNECT"), scheme, path, authority, (":protocol", "websocket")],
        ),
    ]
}

fn requests() -> Vec<Row> {
    let [method, scheme, path, authority] = request("GET", "/");
    let is = |what, fields: Fields<'_>, wants: Wants| row("9113 8.3.1", what, [headers(1, WHOLE, fields)], wants);
    vec![
        is("pseudo-fields in another order", &[authority, path, scheme, method], Answer(1, 200)),
        is("host in place of :authority", &[method, scheme, path, ("host", "model")], Answer(1, 200)),
        is("neither host nor :authority", &[method, scheme, path], Answer(1, 200)),
        is("host that says the same", &[method, scheme, path, authority, ("host", "model")], Answer(1, 200)),
        is("another scheme", &[method, (":scheme", "https"), path, authority], Answer(1, 200)),
        bad("9113 8.3.1", "host that says something else", &[method, scheme, path, authority, ("host", "other")]),
        bad("9113 8.3.1", "two hosts", &[method, scheme, path, ("host", "model"), ("host", "other")]),
        bad("9113 8.3.1", "a user in :authority", &[method, scheme, path, (":authority", "me@model")]),
        bad("9113 8.3.1", "a path in :authority", &[method, scheme, path, (":authority", "model/path")]),
        bad("9113 8.3.1", "a space in :authority", &[method, scheme, path, (":authority", "mo del")]),
        bad("9113 8.3.1", "a port that is none", &[method, scheme, path, (":authority", "model:port")]),
        bad("9113 8.3.1", "a :method that is no token", &[(":method", "GE T"), scheme, path, authority]),
        bad("9113 8.3.1", "an empty :method", &[(":method", ""), scheme, path, authority]),
        bad("9113 8.3.1", "an empty :scheme", &[method, (":scheme", ""), path, authority]),
        bad("9113 8.3.1", "a :scheme that is none", &[method, (":scheme", "ht tp"), path, authority]),
    ]
}

fn targets() -> Vec<Row> {
    let to = |what, path: &str| bad("9113 8.3.1", what, &request("GET", path));
    vec![
        to("an empty :path", ""),
        to("a :path without a slash", "path"),
        to("a :path that is a URL", "http://model/"),
        to("a space in :path", "/a b"),
        to("a line's end in :path", "/ HTTP/1.1\r\nhost: other"),
        to("a NUL in :path", "/a\0b"),
        to("a fragment in :path", "/a#b"),
        to("* of GET", "*"),
        row("9113 8.3.1", "a :path that is a query", [headers(1, WHOLE, &request("GET", "/?a=b"))], Answer(1, 200)),
    ]
}

fn connects() -> Vec<Row> {
    let (connect, authority) = ((":method", "CONNECT"), (":authority", "model:80"));
    vec![
        bad("9113 8.5", "CONNECT with :scheme", &[connect, (":scheme", "http"), authority]),
        bad("9113 8.5", "CONNECT with :path", &[connect, (":path", "/"), authority]),
        bad("9113 8.5", "CONNECT with both", &[connect, (":scheme", "http"), (":path", "/"), authority]),
        bad("9113 8.5", "CONNECT without :authority", &[connect]),
    ]
}
