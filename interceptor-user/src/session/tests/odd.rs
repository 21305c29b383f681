//! Ambiguous framing and heads that are not as they should be: an anomaly each, and still in step.

use super::*;

/// The request is sent, answered, and followed by an ordinary exchange that has to be seen as it is.
#[track_caller]
fn in_step(name: &str, request: &str, expected: &str) {
    check(name, &[client(request), answer(400), get("/next"), answer(200)], &[expected, "GET /next 0 > 200 2 []"]);
}

#[test]
fn ambiguous_requests() {
    let chunked = "2\r\nab\r\n0\r\n\r\n";
    for (name, fields, content, expected) in [
        (
            "both: transfer coding wins (6.3 rule 3)",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            chunked,
            "2 > 400 2 [transfer_encoding_and_length]",
        ),
        (
            "the other way round",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            chunked,
            "2 > 400 2 [transfer_encoding_and_length]",
        ),
        ("repeated (RFC 9110 8.6)", "Content-Length: 2\r\nContent-Length: 2", "ab", "2 > 400 2 [repeated_length]"),
        ("a list", "Content-Length: 2, 2", "ab", "2 > 400 2 [repeated_length]"),
        ("differing: the first", "Content-Length: 2\r\nContent-Length: 3", "ab", "2 > 400 2 [repeated_length]"),
        ("empty member", "Content-Length: 2,", "ab", "2 > 400 2 [repeated_length bad_length]"),
        ("not a number", "Content-Length: two", "", "0 cut > 400 2 [bad_length]"),
        ("signed", "Content-Length: +2", "", "0 cut > 400 2 [bad_length]"),
        ("hexadecimal", "Content-Length: 0x2", "", "0 cut > 400 2 [bad_length]"),
        ("empty", "Content-Length:", "", "0 cut > 400 2 [bad_length]"),
        ("over 64 bits", "Content-Length: 18446744073709551616", "", "0 cut > 400 2 [bad_length]"),
        (
            "not ending in chunked (rule 4)",
            "Transfer-Encoding: chunked, gzip",
            "",
            "0 cut > 400 2 [bad_transfer_encoding]",
        ),
        ("identity", "Transfer-Encoding: identity", "", "0 cut > 400 2 [bad_transfer_encoding]"),
        ("unknown coding", "Transfer-Encoding: xchunked", "", "0 cut > 400 2 [bad_transfer_encoding]"),
        ("unknown coding, then chunked", "Transfer-Encoding: x, chunked", chunked, "2 > 400 2 [bad_transfer_encoding]"),
        ("chunked twice", "Transfer-Encoding: chunked, chunked", chunked, "2 > 400 2 [bad_transfer_encoding]"),
        ("vertical tab before chunked", "Transfer-Encoding: \x0bchunked", chunked, "2 > 400 2 [bad_head]"),
        ("space before the colon", "Transfer-Encoding : chunked", chunked, "2 > 400 2 [bad_head]"),
        ("folded (5.2)", "Transfer-Encoding:\r\n chunked", chunked, "2 > 400 2 [obs_fold]"),
        ("a folded line that looks like a field", "A: b\r\n Content-Length: 2", "", "0 > 400 2 [obs_fold]"),
        ("space before the first field (2.2)", " A: b", "", "0 > 400 2 [obs_fold]"),
        ("NUL in a value", "A: b\0c", "", "0 > 400 2 [nul]"),
        ("NUL in a name", "A\0B: c", "", "0 > 400 2 [nul bad_head]"),
        ("CR in a value", "A: b\rContent-Length: 2", "", "0 > 400 2 [bad_head]"),
        ("no colon", "A b", "", "0 > 400 2 [bad_head]"),
        ("no name", ": b", "", "0 > 400 2 [bad_head]"),
        ("space in a name", "A b: c", "", "0 > 400 2 [bad_head]"),
        ("bytes over 127 are allowed", "A: \u{e9}", "", "0 > 400 2 []"),
        ("bare LF (2.2)", "A: b\nB: c", "", "0 > 400 2 [bare_lf]"),
    ] {
        in_step(name, &format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n{content}"), &format!("POST / {expected}"));
    }
    in_step(
        "HTTP/1.0 has no transfer coding (6.1)",
        &format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"),
        "POST / 2 > 400 2 [bad_transfer_encoding]",
    );
}

#[test]
fn odd_start_lines() {
    for (name, line, expected) in [
        ("bare LF only", "GET / HTTP/1.1\nA: b\n\n", "GET / 0 > 400 2 [bare_lf]"),
        ("bare LF at the end", "GET / HTTP/1.1\r\nA: b\r\n\n", "GET / 0 > 400 2 [bare_lf]"),
        ("two spaces", "GET  / HTTP/1.1\r\n\r\n", "GET / 0 > 400 2 [bad_head]"),
        ("space at the end", "GET / HTTP/1.1 \r\n\r\n", "GET / 0 > 400 2 [bad_head]"),
        ("space in the target", "GET /a b HTTP/1.1\r\n\r\n", "GET /a b 0 > 400 2 [bad_head]"),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\n\r\n", "GET /\0 0 > 400 2 [nul bad_head]"),
        ("a version to come (RFC 9110 2.5)", "GET / HTTP/1.9\r\n\r\n", "GET / 0 > 400 2 []"),
    ] {
        in_step(name, line, expected);
        check(
            name,
            &[client(GET), server(OK), client(line), answer(400), get("/next"), answer(200)],
            &["GET / 0 > 200 2 []", expected, "GET /next 0 > 200 2 []"],
        );
    }
}

#[test]
fn odd_responses() {
    for (name, head, expected) in [
        (
            "both lengths",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 7\r\n\r\n0\r\n\r\n",
            "200 0 [transfer_encoding_and_length]",
        ),
        ("bad length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n<html>", "200 0 cut [bad_length]"),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "200 0 []"),
        ("status below 100", "HTTP/1.1 042 X\r\nContent-Length: 0\r\n\r\n", "42 0 [bad_head]"),
        ("folded", "HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nContent-Length: 0\r\n\r\n", "200 0 [obs_fold]"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", "200 0 [bare_lf]"),
        ("control in the reason", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", "200 0 [bad_head]"),
    ] {
        check(
            name,
            &[client(GET), server(head), get("/next"), answer(200)],
            &[&format!("GET / 0 > {expected}"), "GET /next 0 > 200 2 []"],
        );
    }
}

#[test]
fn bad_chunks() {
    for (name, content, expected) in [
        ("no size", "\r\nhello\r\n", "200 0 cut [bad_chunk]"),
        ("sign", "-5\r\nhello\r\n", "200 0 cut [bad_chunk]"),
        ("0x", "0x5\r\nhello\r\n", "200 0 cut [bad_chunk]"),
        ("over 64 bits", "5\r\nhello\r\n10000000000000000\r\n", "200 5 cut [bad_chunk]"),
        ("longer than its size", "5\r\nhello!\r\n0\r\n\r\n", "200 5 cut [bad_chunk]"),
        ("bare LF", "5\nhello\n0\n\n", "200 5 [bare_lf]"),
        ("odd trailer", "0\r\nA b\r\n\r\n", "200 0 [bad_head]"),
    ] {
        let response = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{content}");
        check(
            name,
            &[client(GET), server(response), get("/next"), answer(200)],
            &[&format!("GET / 0 > {expected}"), "GET /next 0 > 200 2 []"],
        );
    }
}

#[test]
fn values_as_read() {
    let (exchanges, _) =
        run(&[client("GET / HTTP/1.1\r\nA: b \r\n\t c\r\n \r\n  d\r\nE\t: f\0g\r\nno colon\r\n folded on it\r\n\r\n")]);
    let fields = &exchanges[0].request.as_ref().unwrap().head.fields;
    assert_eq!(fields.iter().collect::<Vec<_>>(), [("A", &b"b c d"[..]), ("E", &b"f g"[..])]);
}

#[test]
fn bytes_that_begin_no_head() {
    check(
        "skipped up to the next head, and said of the next exchange",
        &[client(GET), server(OK), client(format!("junk\r\n\r\nmore junk {GET}")), server(OK)],
        &["GET / 0 > 200 2 []", "GET / 0 > 200 2 [skipped]"],
    );
    check("responses", &[client(GET), server(format!("ICY 200 OK\r\n\r\n{OK}"))], &["GET / 0 > 200 2 [skipped]"]);
    let (_, over) = run(&[client(GET), server(OK), client("junk")]);
    assert_eq!(over.ledger.client.reported, 4);
    assert_eq!(over.anomalies.iter().collect::<Vec<_>>(), [Anomaly::Truncated]);
}

#[test]
fn heads_over_the_limit() {
    let big = format!("GET /big HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(LIMITS.head));
    check(
        "request",
        &[client(GET), server(OK), client(&big), answer(431), get("/next"), answer(200)],
        &["GET / 0 > 200 2 []", "- > 431 2 [no_request head_too_large]", "GET /next 0 > 200 2 []"],
    );
    let response = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(LIMITS.head));
    check(
        "response",
        &[client(GET), server(response), get("/next"), answer(200)],
        &["GET / 0 > - [no_response head_too_large]", "GET /next 0 > 200 2 []"],
    );
    let exact = format!("GET /exact HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(LIMITS.head - 28));
    let Step::Client(bytes) = client(&exact) else { unreachable!() };
    assert_eq!(bytes.len(), LIMITS.head);
    check("at the limit", &[client(exact), server(OK)], &["GET /exact 0 > 200 2 []"]);
    let trailer =
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: {}\r\n\r\n", "x".repeat(LIMITS.head));
    check(
        "trailers",
        &[client(GET), server(trailer), get("/next"), answer(200)],
        &["GET / 0 > 200 0 cut [head_too_large]", "GET /next 0 > 200 2 []"],
    );
}
