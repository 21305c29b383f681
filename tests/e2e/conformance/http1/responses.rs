//! Answers as clients get them, and those that none gets (RFC 9112 sections 4 to 7; RFC 9110 sections 6, 8, 9 and 15).

use super::{
    Row,
    Wants::{self, Cut, Failed, Hears, Reset},
    answers, asks, get,
};

pub(super) fn rows() -> Vec<Row> {
    [lines(), fields(), lengths(), codings(), empty(), interim(), broken()].into_iter().flatten().collect()
}

/// What the client gets.
fn comes(fields: &str, content: &str) -> Wants {
    Hears(format!("HTTP/1.1 200 OK\r\n{fields}connection: close\r\n\r\n{content}"))
}

/// RFC 9112 section 4.
fn lines() -> Vec<Row> {
    let line =
        |what, line: &str, wants| answers("9112 4", what, format!("{line}\r\nContent-Length: 2\r\n\r\nhi"), wants);
    let fine = comes("Content-Length: 2\r\n", "hi");
    let status = |line: &str| Hears(format!("{line}\r\nContent-Length: 2\r\nconnection: close\r\n\r\nhi"));
    vec![
        line("a status", "HTTP/1.1 200 OK", fine.clone()),
        line("words of its own", "HTTP/1.1 200 Quite fine", status("HTTP/1.1 200 Quite fine")),
        line("no words", "HTTP/1.1 200 ", status("HTTP/1.1 200 ")),
        line("a status that nobody knows", "HTTP/1.1 299 New", status("HTTP/1.1 299 New")),
        line("a status beyond those there are", "HTTP/1.1 799 Odd", status("HTTP/1.1 799 Odd")),
        line("a status of two digits", "HTTP/1.1 20 OK", Failed(502)),
        line("a status of four digits", "HTTP/1.1 2000 OK", Failed(502)),
        line("a status that is no number", "HTTP/1.1 abc OK", Failed(502)),
        line("a status below 100", "HTTP/1.1 099 OK", Failed(502)),
        line("HTTP/2.0", "HTTP/2.0 200 OK", Failed(502)),
        line("no HTTP", "220 ready", Failed(502)),
        answers("9112 2.3", "HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", fine),
    ]
}

/// RFC 9112 section 5, RFC 9110 section 7.6.1.
fn fields() -> Vec<Row> {
    let with = |section, what, field: &str, wants| {
        answers(section, what, format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\n\r\nhi"), wants)
    };
    let comes = |field: &str| comes(&format!("{field}Content-Length: 2\r\n"), "hi");
    let same = |section, what, field: &'static str| with(section, what, field, comes(field));
    vec![
        same("9110 5.3", "fields of one name keep their order", "Set-Cookie: a\r\nSet-Cookie: b\r\n"),
        same("9110 5.1", "the case of names", "x-LOWER-Upper: 1\r\n"),
        same("9110 5.5", "an empty value", "X-Empty: \r\n"),
        same("9110 8.8.3", "a date and a server of its own", "Date: x\r\nServer: y\r\n"),
        with(
            "9110 7.6.1",
            "what Connection names",
            "X-Mine: 1\r\nX-Yours: 2\r\nConnection: x-mine\r\n",
            comes("X-Yours: 2\r\n"),
        ),
        with("9110 7.6.1", "Keep-Alive", "Keep-Alive: timeout=5\r\nConnection: keep-alive\r\n", comes("")),
        with("9110 7.6.1", "Proxy-Connection", "Proxy-Connection: close\r\n", comes("")),
        with("9110 7.8", "protocols that it would take", "Upgrade: h2c\r\nConnection: Upgrade\r\n", comes("")),
        with("9112 5.1", "a space before the colon", "A : b\r\n", comes("A: b\r\n")),
        with("9112 5.2", "a folded field", "A: b\r\n c\r\n", Failed(502)),
        with("9110 5.5", "a NUL in a value", "A: b\0c\r\n", Failed(502)),
        with("9110 5.1", "a line without a colon", "nonsense\r\n", Failed(502)),
        with("9112 2.2", "CR within a field", "A: b\rc\r\n", Failed(502)),
        with("6585 5", "fields of 1 MB", &format!("A: {}\r\n", "x".repeat(1_000_000)), Failed(502)),
    ]
}

/// RFC 9112 section 6.3.
fn lengths() -> Vec<Row> {
    let of = |what, fields: &str, wants| answers("9112 6.3", what, format!("HTTP/1.1 200 OK\r\n{fields}\r\nhi"), wants);
    vec![
        of("a length", "Content-Length: 2\r\n", comes("Content-Length: 2\r\n", "hi")),
        of("less than it has", "Content-Length: 1\r\n", comes("Content-Length: 1\r\n", "h")),
        of(
            "more than it has",
            "Content-Length: 3\r\n",
            Cut("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nconnection: close\r\n\r\nhi".to_owned()),
        ),
        of("a length that is none", "Content-Length: x\r\n", Failed(502)),
        of("a length below nothing", "Content-Length: -1\r\n", Failed(502)),
        of("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n", Failed(502)),
        of(
            "two lengths that say the same",
            "Content-Length: 2\r\nContent-Length: 2\r\n",
            comes("Content-Length: 2\r\n", "hi"),
        ),
        of("a list of lengths", "Content-Length: 1, 2\r\n", Failed(502)),
        of("no length: to the end", "", comes("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n")),
        answers(
            "9112 6.3",
            "no length in HTTP/1.0: to the end",
            "HTTP/1.0 200 OK\r\n\r\nhi",
            comes("transfer-encoding: chunked\r\n", "2\r\nhi\r\n0\r\n\r\n"),
        ),
        asks(
            "9112 6.3",
            "no length to a client of HTTP/1.0",
            "GET ROW HTTP/1.0\r\nHost: model\r\n\r\n",
            Hears("HTTP/1.0 200 OK\r\n\r\nhi".to_owned()),
        )
        .answered("HTTP/1.1 200 OK\r\n\r\nhi"),
    ]
}

/// RFC 9112 sections 6.1 and 7.
fn codings() -> Vec<Row> {
    let chunked = |what, content: &str, wants| {
        answers("9112 7.1", what, format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{content}"), wants)
    };
    let comes = |content: &str| comes("transfer-encoding: chunked\r\n", content);
    let cut = |content: &str| {
        Cut(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n{content}"))
    };
    let coded = |what, coding: &str, wants| {
        answers("9112 6.1", what, format!("HTTP/1.1 200 OK\r\n{coding}\r\n2\r\nhi\r\n0\r\n\r\n"), wants)
    };
    let hi = "2\r\nhi\r\n0\r\n\r\n";
    vec![
        chunked("chunks", hi, comes(hi)),
        chunked("an extension", "2;a=b\r\nhi\r\n0\r\n\r\n", comes(hi)),
        chunked("no chunk", "0\r\n\r\n", comes("0\r\n\r\n")),
        chunked("the end within a chunk", "5\r\nhi", cut("2\r\nhi\r\n")),
        chunked("the end before the last chunk", "2\r\nhi\r\n", cut("2\r\nhi\r\n")),
        chunked("a size that is none", "2\r\nhi\r\nx\r\n", cut("2\r\nhi\r\n")),
        chunked("a chunk longer than its size", "2\r\nhi there\r\n0\r\n\r\n", cut("2\r\nhi\r\n")),
        coded("chunked in capitals", "Transfer-Encoding: Chunked\r\n", comes(hi)),
        coded("a coding and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", comes(hi)),
        coded("a length and a coding", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", comes(hi)),
        coded("a coding that nobody knows", "Transfer-Encoding: xchunked\r\n", Failed(502)),
        coded("something, and then chunked", "Transfer-Encoding: gzip, chunked\r\n", Failed(502)),
        asks("9112 6.1", "chunked to a client of HTTP/1.0", "GET ROW HTTP/1.0\r\nHost: model\r\n\r\n", Hears("HTTP/1.0 200 OK\r\n\r\nhi".to_owned()))
            .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        asks("9112 7.1", "chunked to a client of HTTP/1.0, cut", "GET ROW HTTP/1.0\r\nHost: model\r\n\r\n", Reset("HTTP/1.0 200 OK\r\n\r\nhi".to_owned()))
            .answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"),
        asks("9112 7.1.2", "trailers", get("ROW", "TE: trailers\r\n"),
            Hears("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n".to_owned()))
            .answered("HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"),
    ]
}

/// Answers that have no content, whatever they say (RFC 9112 section 6.3).
fn empty() -> Vec<Row> {
    let close = "connection: close\r\n\r\n";
    let head = |what, answer: &str, fields: &str| {
        let says = "HEAD ROW HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n";
        asks("9110 9.3.2", what, says, Hears(format!("HTTP/1.1 200 OK\r\n{fields}{close}"))).answered(answer)
    };
    let same = |section, what, answer: &str| {
        answers(section, what, format!("{answer}\r\n"), Hears(format!("{answer}{close}")))
    };
    vec![
        head("HEAD: a length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "Content-Length: 5\r\n"),
        head("HEAD: no length", "HTTP/1.1 200 OK\r\n\r\n", ""),
        head("HEAD: chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
        head(
            "HEAD: a content that ought not to be",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            "Content-Length: 2\r\n",
        ),
        same("9110 15.3.5", "204", "HTTP/1.1 204 No Content\r\n"),
        same("9110 15.4.5", "304", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n"),
        same("9110 15.4.5", "304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n"),
        same("9110 15.3.6", "205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n"),
        answers(
            "9110 15.3.5",
            "204 with a content that ought not to be",
            "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nhi",
            Hears(format!("HTTP/1.1 204 No Content\r\n{close}")),
        ),
    ]
}

/// RFC 9110 section 15.2.
fn interim() -> Vec<Row> {
    let with = |what, interim: &str, wants| {
        answers("9110 15.2", what, format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), wants)
    };
    let before =
        |interim: &str| Hears(format!("{interim}HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: close\r\n\r\nhi"));
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    vec![
        with("103", hints, before(hints)),
        with("102", "HTTP/1.1 102 Processing\r\n\r\n", before("HTTP/1.1 102 Processing\r\n\r\n")),
        with("two of them", &hints.repeat(2), before(&hints.repeat(2))),
        with("100 that nobody waits for", "HTTP/1.1 100 Continue\r\n\r\n", before("HTTP/1.1 100 Continue\r\n\r\n")),
        answers(
            "9110 15.2.2",
            "101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
            Failed(502),
        ),
    ]
}

/// RFC 9112 section 8.
fn broken() -> Vec<Row> {
    vec![
        answers("9112 8", "nothing", "", Failed(502)),
        answers("9112 8", "the end within the status line", "HTTP/1.1 2", Failed(502)),
        answers("9112 8", "the end within the fields", "HTTP/1.1 200 OK\r\nContent-Le", Failed(502)),
        answers(
            "9112 9.2",
            "bytes behind the answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi there",
            comes("Content-Length: 2\r\n", "hi"),
        ),
        answers(
            "9112 9.2",
            "an answer behind the answer",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 500 Bad\r\n\r\n",
            comes("Content-Length: 2\r\n", "hi"),
        ),
    ]
}
