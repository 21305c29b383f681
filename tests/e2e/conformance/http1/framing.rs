//! Where a request's content ends (RFC 9112 sections 6 and 7): what all read alike passes, all else is refused.

use super::{
    Row,
    Wants::{self, Arrives, Broken, Refused},
    asks,
};

/// What a smuggler hides in a content.
const NEXT: &str = "GET /never HTTP/1.1\r\nHost: model\r\n\r\n";

pub(super) fn rows() -> Vec<Row> {
    [lengths(), codings(), chunks(), trailers()].into_iter().flatten().collect()
}

fn post(path: &str, fields: &str, content: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: model\r\n{fields}Connection: close\r\n\r\n{content}")
}

/// Refused as soon as its head is there.
fn bad(section: &'static str, what: &'static str, fields: &str, content: &str) -> Row {
    asks(section, what, post("/never", fields, content), Refused(400))
}

fn arrives(fields: &str, content: &str) -> Wants {
    Arrives(format!("POST /a HTTP/1.1\r\nHost: model\r\n{fields}\r\n{content}"))
}

/// RFC 9112 sections 6.2 and 6.3.
fn lengths() -> Vec<Row> {
    let of = |what, length: &str| bad("9112 6.3", what, &format!("Content-Length: {length}\r\n"), &format!("x{NEXT}"));
    let same = |what, fields: &str, content: &str| {
        asks("9112 6.2", what, post("/a", fields, content), arrives(fields, content))
    };
    vec![
        same("a length", "Content-Length: 5\r\n", "hello"),
        same("a length of nothing", "Content-Length: 0\r\n", ""),
        same("no length: no content", "", ""),
        asks(
            "9112 6.2",
            "a content of GET",
            "GET /a HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
            Arrives("GET /a HTTP/1.1\r\nHost: model\r\nContent-Length: 2\r\n\r\nhi".to_owned()),
        ),
        of("a length with a plus", "+1"),
        of("a length below nothing", "-1"),
        of("a length in hexadecimals", "0x1"),
        of("a length with a fraction", "1.0"),
        of("a length with a space", "1 0"),
        of("a length beyond 2^64", "18446744073709551617"),
        of("an empty length", ""),
        of("a list of two lengths", "1, 2"),
        of("letters behind a length", "1x"),
        bad("9112 6.3", "two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n", &format!("x{NEXT}")),
        bad(
            "9112 6.3",
            "two lengths, the longer one first",
            "Content-Length: 40\r\nContent-Length: 1\r\n",
            &format!("x{NEXT}"),
        ),
        bad(
            "9112 6.1",
            "a length and a coding",
            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
            &format!("0\r\n\r\n{NEXT}"),
        ),
        bad(
            "9112 6.1",
            "a coding and a length",
            "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
            &format!("0\r\n\r\n{NEXT}"),
        ),
        bad("9112 5.1", "a length with a space before its colon", "Content-Length : 1\r\n", &format!("x{NEXT}")),
        bad("9112 5.2", "a folded length", "Content-Length:\r\n 1\r\n", &format!("x{NEXT}")),
    ]
}

/// RFC 9112 section 6.1.
fn codings() -> Vec<Row> {
    let of = |what, coding: &str| {
        bad("9112 6.1", what, &format!("Transfer-Encoding: {coding}\r\n"), &format!("0\r\n\r\n{NEXT}"))
    };
    let same = |what, coding: &str| {
        let says = post("/a", &format!("{coding}\r\n"), "5\r\nhello\r\n0\r\n\r\n");
        asks("9112 6.1", what, says, arrives("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"))
    };
    let unknown = |what, coding: &str| {
        let fields = format!("Transfer-Encoding: {coding}\r\n");
        asks("9112 6.1", what, post("/never", &fields, &format!("0\r\n\r\n{NEXT}")), Refused(501))
    };
    let old = format!("POST /never HTTP/1.0\r\nHost: model\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{NEXT}");
    vec![
        same("chunked", "Transfer-Encoding: chunked"),
        same("chunked in capitals", "Transfer-Encoding: CHUNKED"),
        same("chunked with white space", "Transfer-Encoding: \t chunked \t"),
        of("a coding that nobody knows", "xchunked"),
        of("gzip alone", "gzip"),
        of("identity", "identity"),
        of("chunked, and then something", "chunked, gzip"),
        of("chunked twice", "chunked, chunked"),
        unknown("something, and then chunked", "gzip, chunked"),
        unknown("identity, and then chunked", "identity, chunked"),
        of("chunked with a parameter", "chunked;q=1"),
        of("chunked in quotes", "\"chunked\""),
        of("a vertical tab before chunked", "\x0bchunked"),
        of("an empty coding", ""),
        bad(
            "9112 6.1",
            "chunked in two fields",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            &format!("0\r\n\r\n{NEXT}"),
        ),
        bad(
            "9112 6.1",
            "another coding in a second field",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            &format!("0\r\n\r\n{NEXT}"),
        ),
        bad(
            "9112 5.1",
            "a coding with a space before its colon",
            "Transfer-Encoding : chunked\r\n",
            &format!("0\r\n\r\n{NEXT}"),
        ),
        asks("9112 6.1", "chunked in HTTP/1.0", old, Refused(400)),
    ]
}

/// RFC 9112 section 7.1. The head may be at the server before a chunk is seen not to be one; then the request is never whole.
fn chunks() -> Vec<Row> {
    let coded = |path: &str, content: &str| post(path, "Transfer-Encoding: chunked\r\n", content);
    let same = |what, content: &str, whole: &str| {
        asks("9112 7.1", what, coded("/a", content), arrives("Transfer-Encoding: chunked\r\n", whole))
    };
    let one = "5\r\nhello\r\n0\r\n\r\n";
    let bad = |what, content: &str| asks("9112 7.1", what, coded("/a", &format!("{content}{NEXT}")), Broken);
    vec![
        same("a chunk", one, one),
        same("no chunk", "0\r\n\r\n", "0\r\n\r\n"),
        same("a size in capitals", "A\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
        same("a size in small letters", "a\r\n0123456789\r\n0\r\n\r\n", "A\r\n0123456789\r\n0\r\n\r\n"),
        same("a size with zeros before it", "0005\r\nhello\r\n0000\r\n\r\n", one),
        same("an extension", "5;a=b\r\nhello\r\n0;c\r\n\r\n", one),
        same("an extension in quotes", "5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n", one),
        bad("a size that is none", "x\r\nhello\r\n0\r\n\r\n"),
        bad("an empty size", "\r\nhello\r\n0\r\n\r\n"),
        bad("a size with a sign", "+5\r\nhello\r\n0\r\n\r\n"),
        bad("a size with 0x", "0x5\r\nhello\r\n0\r\n\r\n"),
        bad("a size below nothing", "-1\r\nhello\r\n0\r\n\r\n"),
        bad("a size beyond 2^64", "10000000000000005\r\nhello\r\n0\r\n\r\n"),
        bad("a size with a space before it", " 5\r\nhello\r\n0\r\n\r\n"),
        bad("a size that ends with LF alone", "5\nhello\r\n0\r\n\r\n"),
        bad("a chunk that ends with LF alone", "5\r\nhello\n0\r\n\r\n"),
        bad("a chunk that is longer than its size", "5\r\nhello there\r\n0\r\n\r\n"),
        bad("a chunk that is shorter than its size", "6\r\nhello\r\n0\r\n\r\n"),
        bad("a last chunk that ends with LF alone", "5\r\nhello\r\n0\n\r\n"),
        bad("CR in an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
        bad("LF in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        bad("an extension of 100 KB", &format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(100_000))),
    ]
}

/// RFC 9112 section 7.1.2.
fn trailers() -> Vec<Row> {
    let coded = |content: &str| post("/a", "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n", content);
    let head = "Trailer: X-Sum\r\nTransfer-Encoding: chunked\r\n";
    let with = |trailers: &str| format!("5\r\nhello\r\n0\r\n{trailers}\r\n");
    let bad = |what, trailers: &str| asks("9112 7.1.2", what, coded(&format!("{}{NEXT}", with(trailers))), Broken);
    vec![
        asks("9112 7.1.2", "trailers", coded(&with("X-Sum: 1\r\n")), arrives(head, &with("x-sum: 1\r\n"))),
        asks(
            "9110 6.5.1",
            "trailers that say how long it is",
            coded(&with("Content-Length: 3\r\n")),
            arrives(head, &with("")),
        ),
        asks(
            "9110 6.5.1",
            "trailers that say for whom it is",
            coded(&with("Host: other\r\n")),
            arrives(head, &with("")),
        ),
        bad("a line without a colon", "nonsense\r\n"),
        bad("a folded trailer", "X-Sum: 1\r\n 2\r\n"),
        bad("a trailer with a space before its colon", "X-Sum : 1\r\n"),
        bad("trailers of 100 KB", &format!("X-Sum: {}\r\n", "x".repeat(100_000))),
        bad("a thousand trailers", &"X-Sum: 1\r\n".repeat(1000)),
    ]
}
