//! Gaps, joining in the middle, and flows that end early.

use super::*;

#[test]
fn gap_in_content_of_known_length() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab";
    check(
        "stays in step",
        &[client(GET), server(head), Step::ServerGap(5), server("cde"), get("/b"), answer(200)],
        &["GET / 0 > 200 5-5 [gap]", "GET /b 0 > 200 2 []"],
    );
    check(
        "up to its end",
        &[client(GET), server(head), Step::ServerGap(8), get("/b"), answer(200)],
        &["GET / 0 > 200 2-8 [gap]", "GET /b 0 > 200 2 []"],
    );
    check(
        "beyond its end: the next response begins in the gap",
        &[client(GET), get("/b"), get("/c"), server(head), Step::ServerGap(20), answer(200)],
        &["GET / 0 > 200 2-8 [gap]", "GET /b 0 > - [gap no_response]", "GET /c 0 > 200 2 []"],
    );
    check(
        "until close",
        &[client(GET), server("HTTP/1.1 200 OK\r\n\r\nab"), Step::ServerGap(7), server("c"), Step::ServerFin],
        &["GET / 0 > 200 3-7 [gap]"],
    );
}

#[test]
fn gap_in_chunked_content() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab";
    check(
        "within a chunk: in step",
        &[client(GET), server(head), Step::ServerGap(5), server("c\r\n0\r\n\r\n"), get("/b"), answer(200)],
        &["GET / 0 > 200 3-5 [gap]", "GET /b 0 > 200 2 []"],
    );
    check(
        "to its end",
        &[client(GET), server(head), Step::ServerGap(6), server("\r\n0\r\n\r\n"), get("/b"), answer(200)],
        &["GET / 0 > 200 2-6 [gap]", "GET /b 0 > 200 2 []"],
    );
    check(
        "beyond: lost",
        &[client(GET), server(head), Step::ServerGap(7), server("\n0\r\n\r\n"), get("/b"), answer(200)],
        &["GET / 0 > 200 2-6 cut [gap]", "GET /b 0 > 200 2 []"],
    );
}

#[test]
fn gap_where_a_head_should_be() {
    check(
        "request",
        &[client(GET), server(OK), Step::ClientGap(30), answer(201), get("/c"), answer(202)],
        &["GET / 0 > 200 2 []", "- > 201 2 [gap no_request]", "GET /c 0 > 202 2 []"],
    );
    check(
        "request's rest",
        &[
            client(GET),
            server(OK),
            client("POST /b HT"),
            Step::ClientGap(9),
            client("junk"),
            answer(201),
            get("/c"),
            answer(202),
        ],
        &["GET / 0 > 200 2 []", "- > 201 2 [gap no_request]", "GET /c 0 > 202 2 []"],
    );
    check(
        "the first bytes of a flow",
        &[Step::ClientGap(10), client("x: y\r\n\r\n"), answer(200), get("/b"), answer(201)],
        &["- > 200 2 [gap no_request]", "GET /b 0 > 201 2 []"],
    );
    check(
        "response",
        &[client(GET), Step::ServerGap(30), get("/b"), answer(201)],
        &["GET / 0 > - [gap no_response]", "GET /b 0 > 201 2 []"],
    );
    check(
        "response's rest",
        &[client(GET), server("HTTP/1.1 200 "), Step::ServerGap(3), server("x"), get("/b"), answer(201)],
        &["GET / 0 > - [gap no_response]", "GET /b 0 > 201 2 []"],
    );
    check(
        "an interim response",
        &[client(GET), Step::ServerGap(25), answer(200), get("/b"), answer(201)],
        &["GET / 0 > 200 2 [gap]", "GET /b 0 > 201 2 []"],
    );
    check(
        "one of pipelined requests",
        &[get("/a"), Step::ClientGap(20), get("/c"), answer(200), answer(201), answer(202)],
        &["GET /a 0 > 200 2 []", "- > 201 2 [gap no_request]", "GET /c 0 > 202 2 []"],
    );
    check(
        "a request and its response",
        &[client(GET), server(OK), Step::ClientGap(30), Step::ServerGap(40), get("/c"), answer(200)],
        &["GET / 0 > 200 2 []", "GET /c 0 > 200 2 []"],
    );
}

#[test]
fn heads_are_found_again_wherever_they_begin() {
    check(
        "within a segment, after binary content",
        &[client(GET), Step::ServerGap(30), server("\x00\x01binary"), get("/b"), server(format!("\x02\x03{OK}"))],
        &["GET / 0 > - [gap no_response]", "GET /b 0 > 200 2 []"],
    );
    check(
        "an unusual method, right after the gap",
        &[client(GET), server(OK), Step::ClientGap(3), client("PURGE /x HTTP/1.1\r\n\r\n"), answer(200)],
        &["GET / 0 > 200 2 []", "PURGE /x 0 > 200 2 []"],
    );
    check(
        "what looks like one and is none",
        &[
            client(GET),
            server(OK),
            Step::ClientGap(3),
            client("GET GET / HTTP/1.1 x GET /y HTTP/1.1\r\nno field\r\n\r\n POST /z HTTP/1.1\r\nA: b\r\n\r\n"),
            answer(200),
        ],
        &["GET / 0 > 200 2 []", "POST /z 0 > 200 2 []"],
    );
}

#[test]
fn joined_in_the_middle() {
    let joined = |steps: &[Step]| run_with(&LIMITS, true, steps, FlowEnd::Closed);
    let (exchanges, over) = joined(&[server("rest of a body"), get("/a"), server(OK)]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["GET /a 0 > 200 2 []"]);
    assert_eq!(over.ledger.server.reported, 14);
    let (exchanges, _) = joined(&[server(OK), get("/a"), server(OK)]);
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        ["- > 200 2 [mid_stream no_request]", "GET /a 0 > 200 2 []",]
    );
    let (exchanges, _) = joined(&[client("rest of a request"), server(OK), get("/a"), server(OK)]);
    assert_eq!(line(&exchanges[0]), "- > 200 2 [mid_stream no_request]");
    assert_eq!(line(&exchanges[1]), "GET /a 0 > 200 2 []");
    let (exchanges, over) =
        joined(&[client("\x17\x03\x03\x00\x20abc"), server("\x17\x03\x03\x00\x20HTTP/1.1 200 OK\r\n\r\n")]);
    assert!(exchanges.is_empty());
    assert_eq!(over.protocol, Protocol::Tls);
}

#[test]
fn joined_with_the_ends_guessed_wrong() {
    for steps in [
        vec![Step::Server(b"GET /a HTTP/1.1\r\n\r\n".to_vec()), Step::Client(OK.into())],
        vec![Step::Client(OK.into()), Step::Server(b"GET /a HTTP/1.1\r\n\r\n".to_vec()), Step::Client(OK.into())],
    ] {
        let (exchanges, over) = run_with(&LIMITS, true, &steps, FlowEnd::Closed);
        let last = exchanges.last().unwrap();
        assert_eq!(line(last), "GET /a 0 > 200 2 []");
        assert_eq!(last.flow.client.endpoint, flow(true).server.endpoint);
        assert_eq!(over.flow.client.endpoint, flow(true).server.endpoint);
        assert_eq!(over.ledger.client.parsed, 19);
    }
}

#[test]
fn flows_that_end_early() {
    let cases: &[(&str, &[Step], FlowEnd, &str)] = &[
        ("no response", &[client(GET), Step::ClientFin, Step::ServerFin], FlowEnd::Closed, "GET / 0 > - [no_response]"),
        ("reset", &[client(GET)], FlowEnd::Reset, "GET / 0 > - [reset no_response]"),
        ("capture ended", &[client(GET)], FlowEnd::CaptureEnded, "GET / 0 > - [truncated no_response]"),
        (
            "half a response head",
            &[client(GET), server("HTTP/1.1 20")],
            FlowEnd::Closed,
            "GET / 0 > - [truncated no_response]",
        ),
        (
            "half a body",
            &[client(GET), server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), Step::ServerFin],
            FlowEnd::Closed,
            "GET / 0 > 200 2 cut [truncated]",
        ),
        (
            "half a chunked body, reset",
            &[client(GET), server("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")],
            FlowEnd::Reset,
            "GET / 0 > 200 2 cut [reset]",
        ),
        (
            "until close, idle",
            &[client(GET), server("HTTP/1.1 200 OK\r\n\r\nab")],
            FlowEnd::Idle,
            "GET / 0 > 200 2 cut [truncated]",
        ),
    ];
    for (name, steps, end, expected) in cases {
        let (exchanges, _) = run_with(&LIMITS, false, steps, *end);
        assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), [*expected], "{name}");
        assert!(!exchanges[0].complete(), "{name}");
    }
}

#[test]
fn nothing_of_ours() {
    for (first, second, protocol) in [
        (client("\x16\x03\x01\x00\x05hello"), server("\x16\x03\x03\x00\x05hello"), Protocol::Tls),
        (client("PRI * HTTP/2.0\r\n\r\nSMTP\r\n"), server("\0\0\0\x04\0\0\0\0\x01"), Protocol::Unknown),
        (server("220 mail.example ESMTP\r\n"), client("EHLO x\r\n"), Protocol::Smtp),
        (client("GE"), client("T"), Protocol::Unknown),
        (client("G"), client("ARBAGE"), Protocol::Unknown),
        (client("get"), client(" a\r\n"), Protocol::Memcached),
    ] {
        let (exchanges, over) = run(&[first, second]);
        assert!(exchanges.is_empty());
        assert_eq!(over.protocol, protocol);
        assert_eq!(over.ledger.client.parsed + over.ledger.server.parsed, 0);
    }
}

#[test]
fn what_is_not_ours_is_guessed_although_we_came_late() {
    let steps = [client("*1\r\n$4\r\nPI"), client("NG\r\n"), server("+PONG\r\n")];
    let (exchanges, over) = run_with(&LIMITS, true, &steps, FlowEnd::Idle);
    assert_eq!((exchanges.len(), over.protocol), (0, Protocol::Redis));
    // Content that looks like it is not it.
    let (exchanges, over) = run_with(&LIMITS, true, &[steps[0].clone(), get("/"), server(OK)], FlowEnd::Idle);
    assert_eq!((exchanges.len(), over.protocol), (1, Protocol::Http1));
}

#[test]
fn a_response_nobody_asked_for() {
    check(
        "a time-out that the server says (RFC 9110 15.5.9)",
        &[server("HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")],
        &["- > 408 0 [no_request]"],
    );
    check(
        "while the request is not even begun",
        &[client("GE"), answer(408), client("T / HTTP/1.1\r\n\r\n"), answer(200)],
        &["- > 408 2 [no_request]", "GET / 0 > 200 2 []"],
    );
}

#[test]
fn retransmission_with_other_bytes() {
    let flow = flow(false);
    let (mut session, mut lines) = (Session::default(), Vec::new());
    let mut emit = |record: Record| {
        if let Record::Exchange(exchange) = record {
            lines.push(line(&exchange));
        }
    };
    let time = Timestamp::from_nanos(1);
    let chunk =
        |side, bytes: &'static str| FlowEvent::Chunk { side, time, next: 0, chunk: Chunk::Data(bytes.as_bytes()) };
    session.event(&flow, chunk(Side::Client, GET), &LIMITS, &mut emit);
    session.event(&flow, FlowEvent::RetransmissionDiffers { side: Side::Server }, &LIMITS, &mut emit);
    session.event(&flow, chunk(Side::Server, OK), &LIMITS, &mut emit);
    session.event(&flow, FlowEvent::RetransmissionDiffers { side: Side::Client }, &LIMITS, &mut emit);
    session.event(&flow, chunk(Side::Client, GET), &LIMITS, &mut emit);
    session.event(&flow, chunk(Side::Server, OK), &LIMITS, &mut emit);
    assert_eq!(lines, ["GET / 0 > 200 2 [retransmission_differs]", "GET / 0 > 200 2 [retransmission_differs]"]);
}
