//! Where messages end: RFC 9112 sections 6, 7 and 9, when everyone keeps to them.

use super::*;

#[test]
fn content_length() {
    check("0", &[client(GET), server("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")], &["GET / 0 > 200 0 []"]);
    check(
        "both sides",
        &[client("PUT / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"), server(OK)],
        &["PUT / 3 > 200 2 []"],
    );
    check(
        "request without a length has no content (6.3 rule 7)",
        &[client("POST / HTTP/1.1\r\n\r\n"), server(OK)],
        &["POST / 0 > 200 2 []"],
    );
}

#[test]
fn chunked() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let cases = [
        ("plain", "5\r\nhello\r\n0\r\n\r\n", "200 5 []"),
        ("several, upper case, zeros", "A\r\n0123456789\r\n003\r\nabc\r\n000\r\n\r\n", "200 13 []"),
        ("extensions (7.1.1)", "5;a=b;c=\"d;e\"\r\nhello\r\n0;last\r\n\r\n", "200 5 []"),
        ("trailers (7.1.2)", "5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", "200 5 []"),
        ("no content", "0\r\n\r\n", "200 0 []"),
    ];
    for (name, content, expected) in cases {
        let steps = [client(GET), server(format!("{chunked}{content}")), client(GET), server(OK)];
        check(name, &steps, &[&format!("GET / 0 > {expected}"), "GET / 0 > 200 2 []"]);
    }
    let (exchanges, _) = run(&[client(GET), server(format!("{chunked}{}", cases[3].1))]);
    let response = exchanges[0].response.as_ref().unwrap();
    assert_eq!(response.trailers.iter().collect::<Vec<_>>(), [("A", &b"b"[..]), ("C", &b"d"[..])]);
    assert_eq!(response.body, "hello");

    check(
        "a coding before chunked is kept as content coding (7.2)",
        &[client("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nzz\r\n0\r\n\r\n"), server(OK)],
        &["POST / 2 > 200 2 []"],
    );
    check(
        "codings in two fields",
        &[client("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\nTE: x\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n")],
        &["POST / 0 > - [no_response]"],
    );
}

#[test]
fn until_close() {
    let steps = |last: Step| [client(GET), server("HTTP/1.1 200 OK\r\n\r\nabc"), server("HTTP/1.1 def"), last];
    check("ended by FIN (6.3 rule 8)", &steps(Step::ServerFin), &["GET / 0 > 200 15 []"]);
    let (exchanges, _) = run_with(&LIMITS, false, &steps(Step::ClientFin), FlowEnd::Reset);
    assert_eq!(line(&exchanges[0]), "GET / 0 > 200 15 cut [reset]");
    check(
        "a response's other coding (rule 4)",
        &[client(GET), server("HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"), Step::ServerFin],
        &["GET / 0 > 200 3 [bad_transfer_encoding]"], // because of HTTP/1.0 (6.1)
    );
    check(
        "the same in HTTP/1.1",
        &[client(GET), server("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc"), Step::ServerFin],
        &["GET / 0 > 200 3 []"],
    );
    check(
        "HTTP/1.0",
        &[client("GET / HTTP/1.0\r\n\r\n"), server("HTTP/1.0 200 OK\r\n\r\nabc"), Step::ServerFin],
        &["GET / 0 > 200 3 []"],
    );
}

#[test]
fn responses_without_content() {
    for (name, request, response) in [
        ("HEAD (6.3 rule 1)", "HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"),
        ("HEAD, chunked", "HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("HEAD, until close", "HEAD / HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"),
        ("204", GET, "HTTP/1.1 204 No Content\r\nContent-Length: 9\r\n\r\n"),
        ("304", GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let exchanges = lines(&[client(request), server(response), client(GET), server(OK)]);
        assert!(exchanges[0].contains(" 0 []"), "{name}: {exchanges:?}");
        assert_eq!(exchanges[1..], ["GET / 0 > 200 2 []"], "{name}");
    }
}

#[test]
fn interim_responses() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 7\r\n\r\n";
    check("several (RFC 9110 15.2)", &[client(GET), server(format!("{interim}{OK}"))], &["GET / 0 > 200 2 +2 []"]);
    check(
        "Expect: 100-continue",
        &[
            client("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"),
            server("HTTP/1.1 100 Continue\r\n\r\n"),
            client("GET "), // content that begins as a request does
            server(OK),
        ],
        &["PUT / 4 > 200 2 +1 []"],
    );
}

#[test]
fn refused_expectation() {
    let put =
        |length: u32| client(format!("PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"));
    let refused = server("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    check(
        "the content is left out and the next request comes (RFC 9110 10.1.1)",
        &[put(1000), refused.clone(), client("PO"), client("ST /b HTTP/1.1\r\n\r\n"), server(OK)],
        &["PUT / 0 cut > 417 0 []", "POST /b 0 > 200 2 []"],
    );
    check(
        "the content comes all the same",
        &[put(6), refused.clone(), client("PO"), client("STED"), get("/c"), server(OK)],
        &["PUT / 6 > 417 0 []", "GET /c 0 > 200 2 []"],
    );
    check(
        "content that is no longer than a method",
        &[put(2), refused.clone(), client("PO"), get("/c"), server(OK)],
        &["PUT / 2 > 417 0 []", "GET /c 0 > 200 2 []"],
    );
    check(
        "a gap then",
        &[put(6), refused, client("PO"), Step::ClientGap(4), get("/c"), server(OK)],
        &["PUT / 2-4 > 417 0 [gap]", "GET /c 0 > 200 2 []"],
    );
}

#[test]
fn tunnels() {
    let connect = client("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n");
    let (exchanges, over) = run(&[
        connect.clone(),
        server("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n\x16\x03"),
        client("\x16\x03\x01"),
        server(OK),
        client(GET),
        Step::ServerGap(9),
    ]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["CONNECT a:1 0 > 200 0 []"], "RFC 9110 9.3.6");
    assert_eq!(over.protocol, Protocol::Tunnel);
    assert_eq!(over.ledger.client.reported, 3 + GET.len() as u64);
    assert_eq!(over.ledger.server.reported, 2 + OK.len() as u64);

    check(
        "a refused CONNECT",
        &[connect, answer(407), client(GET), server(OK)],
        &["CONNECT a:1 0 > 407 2 []", "GET / 0 > 200 2 []"],
    );
    let (exchanges, over) = run(&[
        client("GET /chat HTTP/1.1\r\nUpgrade: chat/1\r\nConnection: Upgrade\r\n\r\n"),
        server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: chat/1\r\n\r\n\x81\x05hello"),
        client(b"\x81\x85xxxxx"),
    ]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["GET /chat 0 > 101 0 []"], "RFC 9110 7.8");
    assert_eq!((over.ledger.client.reported, over.ledger.server.reported), (7, 7));
    check(
        "an upgrade that is not taken",
        &[client("GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n"), server(OK), get("/b"), server(OK)],
        &["GET /a 0 > 200 2 []", "GET /b 0 > 200 2 []"],
    );
    check(
        "101 before the request is over: the rest of it is still its own",
        &[
            client("POST / HTTP/1.1\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\nab"),
            server("HTTP/1.1 101 S\r\n\r\nxx"),
            client("cdGET / HTTP/1.1\r\n\r\n"),
        ],
        &["POST / 4 > 101 0 []"],
    );
}

#[test]
fn pipelining() {
    let requests = [get("/1"), client("HEAD /2 HTTP/1.1\r\n\r\n"), get("/3")].map(|step| match step {
        Step::Client(bytes) => bytes,
        _ => unreachable!(),
    });
    let responses = format!("{OK}HTTP/1.1 404 X\r\nContent-Length: 9\r\n\r\n{OK}");
    check(
        "all at once (9.3.2)",
        &[client(requests.concat()), server(responses)],
        &["GET /1 0 > 200 2 []", "HEAD /2 0 > 404 0 []", "GET /3 0 > 200 2 []"],
    );
}

#[test]
fn too_many_wait() {
    // The limit is 4: of the others only the number is known.
    let requests: Vec<_> = (0..6).map(|number| get(&format!("/{number}"))).collect();
    let responses = (0..6).map(|number| answer(210 + number));
    let after = [get("/last"), answer(299)];
    let (exchanges, over) = run(&[requests, responses.collect(), after.to_vec()].concat());
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        [
            "GET /0 0 > 210 2 []",
            "GET /1 0 > 211 2 []",
            "GET /2 0 > 212 2 []",
            "GET /3 0 > 213 2 []",
            "- > 214 2 [no_request pipeline_too_deep]",
            "- > 215 2 [no_request pipeline_too_deep]",
            "GET /last 0 > 299 2 []",
        ]
    );
    assert_eq!(over.anomalies.iter().collect::<Vec<_>>(), [Anomaly::PipelineTooDeep]);
}

#[test]
fn early_response() {
    check(
        "before the request's content (RFC 9110 15.5.14)",
        &[client("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), answer(413), client("cd"), get("/b"), answer(200)],
        &["POST / 4 > 413 2 []", "GET /b 0 > 200 2 []"],
    );
    let steps = [client("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"), answer(413), Step::ServerFin];
    let (exchanges, _) = run_with(&LIMITS, false, &steps, FlowEnd::Reset);
    assert_eq!(line(&exchanges[0]), "POST / 2 cut > 413 2 [reset]");
}

#[test]
fn empty_lines_before_a_head() {
    check(
        "ignored (2.2)",
        &[client(format!("\r\n\n{GET}\r\n{GET}")), server(OK), server(OK)],
        &["GET / 0 > 200 2 []", "GET / 0 > 200 2 []"],
    );
}

#[test]
fn times_and_bodies() {
    let limits = Limits { body: 4, ..LIMITS };
    let (exchanges, _) = run_with(
        &limits,
        false,
        &[
            client("POST / HTTP/1.1\r\nCon"),
            client("tent-Length: 6\r\n\r\nab"),
            client("cdef"),
            server("HTTP/1.1 200 OK\r\n"),
            server("\r\nab"),
            server("c"),
            Step::ServerFin,
        ],
        FlowEnd::Closed,
    );
    let at = Timestamp::from_nanos;
    let (request, response) = (exchanges[0].request.as_ref().unwrap(), exchanges[0].response.as_ref().unwrap());
    assert_eq!((request.first_byte, request.last_byte), (at(1), at(3)));
    assert_eq!((response.first_byte, response.last_byte), (at(4), at(6)), "a FIN is no byte");
    assert_eq!((&request.body[..], request.body_size), (&b"abcd"[..], 6));
    assert_eq!((&response.body[..], response.body_size), (&b"abc"[..], 3));
    assert!(exchanges[0].complete());
    assert_eq!(exchanges[0].number, 1);

    let none = Limits { body: 0, ..LIMITS };
    let (exchanges, _) = run_with(&none, false, &[client(GET), server(OK)], FlowEnd::Closed);
    let response = exchanges[0].response.as_ref().unwrap();
    assert_eq!((response.body.len(), response.body_size), (0, 2));
}
