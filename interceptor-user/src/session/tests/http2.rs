//! HTTP/2, from the first byte on, from the middle, and with frames missing.

mod cancelled;
mod contents;
mod order;

use super::*;
use crate::{
    model::{Kind, Role},
    protocol::http2::PREFACE,
};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END: u8 = 1;
const ACK: u8 = 1;
const WHOLE: u8 = 4;
const PADDED: u8 = 8;

/// `POST http://h/a` and `200`, without a look at the dynamic table.
const POST_A: &[u8] = b"\x83\x86\x04\x02/a\x01\x01h";
const OK_200: &[u8] = b"\x88";

fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client begins with, and then sends.
fn preface(frames: &[Vec<u8>]) -> Step {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, []));
    bytes.extend(frames.concat());
    client(bytes)
}

fn settings() -> Step {
    server(frame(SETTINGS, 0, 0, []))
}

fn request(stream: u32) -> Vec<u8> {
    frame(HEADERS, WHOLE | END, stream, POST_A)
}

fn response(stream: u32, content: &[u8]) -> Vec<u8> {
    [frame(HEADERS, WHOLE, stream, OK_200), frame(DATA, END, stream, content)].concat()
}

#[test]
fn a_full_window_stalls_all_open_streams() {
    let (exchanges, _) = run(&[
        preface(&[request(1), request(3), request(5)]),
        settings(),
        server([response(5, b"5"), frame(HEADERS, WHOLE, 1, OK_200)].concat()),
        Step::Full(Side::Client),
        Step::Full(Side::Server),
        server([frame(DATA, END, 1, "1"), frame(HEADERS, WHOLE, 3, OK_200)].concat()),
        Step::Full(Side::Client),
        server(frame(DATA, END, 3, "3")),
    ]);
    let stalled =
        |exchange: &Exchange| (exchange.stream, exchange.response.as_ref().unwrap().delays.stalled.as_nanos());
    assert_eq!(exchanges.iter().map(stalled).collect::<Vec<_>>(), [(Some(5), 0), (Some(1), 2), (Some(3), 1)]);
    assert!(exchanges.iter().all(|exchange| exchange.request.as_ref().unwrap().delays == Delays::default()));
}

#[test]
fn each_stream_is_an_exchange_however_they_interleave() {
    let (exchanges, over) = run(&[
        preface(&[request(1), frame(HEADERS, WHOLE, 3, POST_A), request(5)]),
        settings(),
        client(frame(DATA, 0, 3, "ab")),
        server([frame(HEADERS, WHOLE, 5, OK_200), frame(HEADERS, WHOLE, 1, OK_200), frame(DATA, 0, 5, "5")].concat()),
        client(frame(DATA, END, 3, "c")),
        server([response(3, b"three"), frame(DATA, END, 1, "one"), frame(DATA, END, 5, "five")].concat()),
    ]);
    let stream = |exchange: &Exchange| (exchange.stream.unwrap(), exchange.number, line(exchange));
    assert_eq!(
        exchanges.iter().map(stream).collect::<Vec<_>>(),
        [
            (3, 2, "POST /a 3 > 200 5 []".to_owned()),
            (1, 1, "POST /a 0 > 200 3 []".to_owned()),
            (5, 3, "POST /a 0 > 200 5 []".to_owned()),
        ]
    );
    assert!(exchanges.iter().all(|exchange| exchange.complete() && exchange.protocol == Protocol::Http2));
    assert_eq!(exchanges[0].response.as_ref().unwrap().body, "three");
    assert_eq!(exchanges[0].request.as_ref().unwrap().target().authority.unwrap().host, "h");
    assert_eq!((over.protocol, over.anomalies), (Protocol::Http2, Anomalies::NONE));
    assert_eq!((over.ledger.client.reported, over.ledger.server.reported), (0, 0));
}

#[test]
fn every_frame_type_padding_and_priority() {
    let headers = [&[2, 0, 0, 0, 3, 7][..], POST_A, &[0, 0]].concat();
    let trailers = b"\x00\x04tail\x01x";
    check(
        "one stream",
        &[
            preface(&[
                frame(PRIORITY, 0, 1, [0, 0, 0, 0, 9]),
                frame(HEADERS, PADDED | 0x20, 1, &headers[..]),
                frame(CONTINUATION, 0, 1, b""),
                frame(CONTINUATION, WHOLE, 1, b"\x0f\x0d\x015"),
                frame(DATA, PADDED, 1, b"\x03abc000"),
                frame(WINDOW_UPDATE, 0, 0, [0, 0, 1, 0]),
                frame(PING, 0, 0, [0; 8]),
                frame(0xbe, 0xff, 77, "an extension"),
                frame(DATA, PADDED, 1, b"\x00de"),
                frame(DATA, END | PADDED, 1, b"\x02\0\0"),
            ]),
            settings(),
            server(
                [
                    frame(SETTINGS, ACK, 0, []),
                    frame(PING, ACK, 0, [0; 8]),
                    frame(HEADERS, WHOLE, 1, b"\x08\x03103"),
                    frame(PUSH_PROMISE, WHOLE, 1, [&[0, 0, 0, 2][..], b"\x82\x84"].concat()),
                    frame(HEADERS, WHOLE, 1, OK_200),
                    frame(DATA, 0, 1, "hello"),
                    frame(HEADERS, WHOLE | END, 1, trailers),
                    frame(HEADERS, WHOLE | END, 2, b"\x8d"),
                    frame(GOAWAY, 0, 0, [&[0, 0, 0, 1, 0, 0, 0, 0][..], &vec![b'x'; 30_000]].concat()),
                ]
                .concat(),
            ),
        ],
        &["POST /a 5 > 200 5 +1 []", "GET / 0 > 404 0 []"],
    );
    let (exchanges, _) = run(&[
        preface(&[request(1)]),
        settings(),
        server([frame(HEADERS, WHOLE, 1, OK_200), frame(HEADERS, WHOLE | END, 1, trailers)].concat()),
    ]);
    assert_eq!(exchanges[0].response.as_ref().unwrap().trailers.get("tail"), Some(&b"x"[..]));
}

#[test]
fn who_aborts_a_stream_is_told() {
    let cancel = [0, 0, 0, 8];
    let (exchanges, _) = run(&[
        preface(&[request(1), frame(HEADERS, WHOLE, 3, POST_A), request(5), request(7)]),
        settings(),
        client(frame(RST_STREAM, 0, 1, cancel)),
        server([response(3, b"early"), frame(RST_STREAM, 0, 3, [0; 4])].concat()),
        server(frame(GOAWAY, 0, 0, [0, 0, 0, 5, 0, 0, 0, 11])),
        server([frame(HEADERS, WHOLE, 5, OK_200), frame(RST_STREAM, 0, 5, [0, 0, 0, 2])].concat()),
    ]);
    let told = |exchange: &Exchange| {
        let abort = exchange.abort.unwrap();
        (exchange.stream.unwrap(), abort.by, abort.code_name().unwrap(), line(exchange))
    };
    assert_eq!(
        exchanges.iter().map(told).collect::<Vec<_>>(),
        [
            (1, Role::Request, "CANCEL", "POST /a 0 > - [no_response stream_reset]".to_owned()),
            (3, Role::Response, "NO_ERROR", "POST /a 0 cut > 200 5 []".to_owned()),
            (7, Role::Response, "ENHANCE_YOUR_CALM", "POST /a 0 > - [no_response refused]".to_owned()),
            (5, Role::Response, "INTERNAL_ERROR", "POST /a 0 > 200 0 cut [stream_reset]".to_owned()),
        ]
    );
}

#[test]
fn table_sizes_count_from_the_acknowledgement_on() {
    // `a: b` is inserted, and referred to; a table of size 0 has nothing to refer to.
    let insert = [POST_A, b"\x40\x01a\x01b"].concat();
    let refer = [POST_A, b"\xbe"].concat();
    let shrink = [b"\x20", POST_A, b"\xbe"].concat();
    let steps = |second: &[u8], acknowledged: bool| {
        let ack = if acknowledged { frame(SETTINGS, ACK, 0, []) } else { Vec::new() };
        vec![
            preface(&[frame(HEADERS, WHOLE | END, 1, &insert)]),
            server(frame(SETTINGS, 0, 0, [0, 1, 0, 0, 0, 0])),
            client([ack, frame(HEADERS, WHOLE | END, 3, second)].concat()),
            server([response(1, b""), response(3, b"")].concat()),
        ]
    };
    let second = |block: &[u8], acknowledged| lines(&steps(block, acknowledged))[1].clone();
    assert_eq!(second(&refer, false), "POST /a 0 > 200 0 []");
    assert_eq!(second(&shrink, true), "POST /a 0 > 200 0 [bad_header_block]");
    let grow = [b"\x3f\x81\x1f", POST_A].concat();
    assert_eq!(second(&grow, false), "POST /a 0 > 200 0 []", "4000 is less than what was agreed");
    assert_eq!(second(&grow, true), "  0 > 200 0 [bad_header_block]");
}

#[test]
fn an_upgrade_makes_the_request_stream_one() {
    let upgrade = "GET /up HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let (exchanges, over) = run(&[
        client(upgrade),
        server([switch.as_bytes(), &frame(SETTINGS, 0, 0, []), &response(1, b"upgraded")].concat()),
        preface(&[request(3)]),
        server(response(3, b"second")),
    ]);
    let told = |exchange: &Exchange| (exchange.stream, exchange.number, line(exchange));
    assert_eq!(
        exchanges.iter().map(told).collect::<Vec<_>>(),
        [(Some(1), 1, "GET /up 0 > 200 8 []".to_owned()), (Some(3), 2, "POST /a 0 > 200 6 []".to_owned()),]
    );
    assert_eq!((over.protocol, over.ledger.client.reported, over.ledger.server.reported), (Protocol::Http2, 0, 0));
}

#[test]
fn a_websocket_is_one_exchange_until_it_closes() {
    let ask = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let agree = b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n\x81\x02hi";
    let (exchanges, over) =
        run(&[client(ask), server(agree), client(b"\x81\x82\0\0\0\0yo"), Step::ServerFin, Step::ClientFin]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["GET /ws 8 > 101 4 []"]);
    assert_eq!((exchanges[0].protocol, over.protocol), (Protocol::WebSocket, Protocol::WebSocket));
}

#[test]
fn a_gap_in_content_costs_only_that_content() {
    let mut content = frame(DATA, END, 1, [b'x'; 100]);
    content.truncate(9 + 20);
    check(
        "in content",
        &[
            preface(&[request(1), request(3)]),
            settings(),
            server([frame(HEADERS, WHOLE, 1, OK_200), content].concat()),
            Step::ServerGap(70),
            server([&[b'x'; 10][..], &response(3, b"next")].concat()),
        ],
        &["POST /a 0 > 200 30-70 [gap]", "POST /a 0 > 200 4 []"],
    );
}

#[test]
fn after_a_gap_between_frames_they_are_found_again() {
    let indexed = b"\x88\xbe";
    let steps = [
        preface(&[request(1), request(3), request(5)]),
        settings(),
        server([frame(HEADERS, WHOLE, 1, b"\x88\x40\x01a\x01b"), frame(DATA, 0, 1, "xx")].concat()),
        Step::ServerGap(30),
        server([b"rest of something".to_vec(), frame(HEADERS, WHOLE, 3, indexed), frame(DATA, END, 3, "ok")].concat()),
        server([frame(DATA, END, 1, "end"), response(5, b"")].concat()),
    ];
    let (exchanges, over) = run(&steps);
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        ["POST /a 0 > 200 2 [gap unknown_field]", "POST /a 0 > 200 5 [gap]", "POST /a 0 > 200 0 [gap]",]
    );
    assert_eq!(over.ledger.server.reported, "rest of something".len() as u64);
    assert!(exchanges.iter().all(|exchange| !exchange.complete()));
    let unknown: Vec<_> = exchanges[0].response.as_ref().unwrap().head.fields.iter().collect();
    assert_eq!(unknown, [("?1", &b"?"[..])]);
}

#[test]
fn a_connection_older_than_the_capture_is_found_in_the_middle() {
    // Both refer to what was inserted before we came.
    let ask = |stream, content: &str| {
        [frame(HEADERS, WHOLE, stream, b"\x83\x86\xbe\xbf"), frame(DATA, END, stream, content)].concat()
    };
    let reply = |stream, content: &str| {
        [frame(HEADERS, WHOLE, stream, b"\x88\xbe"), frame(DATA, END, stream, content)].concat()
    };
    let (exchanges, over) = run_with(
        &LIMITS,
        true,
        &[
            server("d of an answer".as_bytes()),
            server(frame(WINDOW_UPDATE, 0, 0, [0, 0, 4, 0])),
            client(ask(101, "first")),
            server(reply(101, "one")),
            client(ask(103, "second")),
            server(reply(103, "two")),
        ],
        FlowEnd::Closed,
    );
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        ["POST  5 > 200 3 [unknown_field]", "POST  6 > 200 3 [unknown_field]",]
    );
    let head = &exchanges[0].request.as_ref().unwrap().head;
    assert_eq!((head.method(), head.target()), (Some("POST"), None));
    assert_eq!(over.protocol, Protocol::Http2);
    assert_eq!(over.ledger.server.reported, 14, "what came before the first frame");
    assert_eq!(over.ledger.client.reported, 0);
}

#[test]
fn what_is_joined_in_an_answer_shows_what_is_left_of_it() {
    let rest = [
        frame(DATA, 0, 7, [b'x'; 40]),
        frame(DATA, 0, 7, [b'x'; 40]),
        frame(DATA, 0, 7, [b'x'; 40]),
        frame(HEADERS, WHOLE | END, 7, b"\x00\x0bgrpc-status\x010"),
    ];
    let (exchanges, _) = run_with(
        &LIMITS,
        true,
        &[server(rest.concat()), client([request(9), frame(PING, 0, 0, [0; 8])].concat()), server(response(9, b""))],
        FlowEnd::Closed,
    );
    assert_eq!(
        exchanges.iter().map(line).collect::<Vec<_>>(),
        ["- > 0 120 [mid_stream no_request]", "POST /a 0 > 200 0 []",]
    );
    assert_eq!(exchanges[0].response.as_ref().unwrap().head.status(), None);
}

#[test]
fn who_asks_is_what_heads_show() {
    let (exchanges, over) = run_with(
        &LIMITS,
        true,
        &[server([request(1), request(3)].concat()), client(response(1, b"a")), client(response(3, b"b"))],
        FlowEnd::Closed,
    );
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 0 > 200 1 []", "POST /a 0 > 200 1 []"]);
    assert_eq!(over.flow.client.endpoint.port(), 80);
}

#[test]
fn hostile_peers_are_told_and_bounded() {
    let hostile = |frames: Vec<u8>| {
        let (exchanges, over) = run(&[preface(&[request(1)]), settings(), client(frames), server(response(1, b""))]);
        let names = |anomalies: Anomalies| anomalies.iter().map(Anomaly::name).collect::<Vec<_>>().join(" ");
        let last = exchanges.last().map(|exchange| names(exchange.anomalies)).unwrap_or_default();
        (exchanges.len(), last, names(over.anomalies))
    };
    let told = |exchanges, last: &str, flow: &str| (exchanges, last.to_owned(), flow.to_owned());
    assert_eq!(hostile(frame(PING, 0, 0, [0; 8]).repeat(2000)), told(1, "", "flood"), "pings");
    assert_eq!(hostile(frame(SETTINGS, 0, 0, []).repeat(2000)), told(1, "", "flood"), "settings");
    assert_eq!(hostile(frame(WINDOW_UPDATE, 0, 0, [0, 0, 0, 1]).repeat(2000)), told(1, "", "flood"), "windows");
    let empty = [frame(HEADERS, WHOLE, 3, POST_A), frame(DATA, 0, 3, "").repeat(2000)].concat();
    assert_eq!(hostile(empty), told(2, "no_response", "flood"), "content without content");
    let continued = [frame(HEADERS, 0, 3, POST_A), frame(CONTINUATION, 0, 3, "").repeat(2000)].concat();
    assert_eq!(hostile(continued), told(1, "", "flood"), "heads without end");
    let large = [frame(HEADERS, 0, 3, POST_A), frame(CONTINUATION, 0, 3, [0; 1000]).repeat(10)].concat();
    assert_eq!(
        hostile([large, frame(CONTINUATION, WHOLE | END, 3, "")].concat()),
        told(2, "no_response head_too_large", "")
    );
    let listed = [POST_A, &b"\x40\x01a\x7f\x81\x07".iter().chain(&[b'x'; 1024]).copied().collect::<Vec<_>>()].concat();
    let bomb = [listed, vec![0xbe; 100]].concat();
    assert_eq!(hostile(frame(HEADERS, WHOLE | END, 3, bomb)), told(2, "no_response head_too_large", ""), "a list");
    let taken_back: Vec<u8> = (0..2000)
        .flat_map(|number| [request(2 * number + 3), frame(RST_STREAM, 0, 2 * number + 3, [0, 0, 0, 8])].concat())
        .collect();
    assert_eq!(hostile(taken_back), told(2001, "", "flood"), "rapid reset");
    assert_eq!(
        hostile(frame(WINDOW_UPDATE, 0, 0, [0x7f, 0xff, 0xff, 0xff])),
        told(1, "", "flow_control"),
        "a window beyond all bounds"
    );
    assert_eq!(hostile(frame(WINDOW_UPDATE, 0, 1, [0; 4])), told(1, "flow_control", ""), "a window of no more");
    let beyond = [frame(HEADERS, WHOLE, 3, POST_A), frame(DATA, 0, 3, vec![0; 16_000]).repeat(5)].concat();
    assert_eq!(hostile(beyond), told(2, "no_response flow_control", ""), "more than the window");
    assert_eq!(hostile(frame(PING, 0, 1, [0; 8])).2, "bad_frame", "on a stream");
    assert_eq!(hostile(frame(DATA, 0, 0, "x")).2, "bad_frame", "on none");
}

#[test]
fn streams_beyond_the_limit_are_counted_and_a_hundred_thousand_need_no_more_memory_than_one() {
    let many: Vec<u8> = (0..100).flat_map(|number| request(2 * number + 1)).collect();
    let (exchanges, over) = run(&[preface(&[many]), settings()]);
    assert_eq!(exchanges.len(), LIMITS.streams);
    assert!(over.anomalies.contains(Anomaly::MemoryLimit));

    let flow = flow(false);
    let (mut session, mut count, mut most) = (Session::default(), 0, 0);
    session.event(&flow, FlowEvent::Opened { late: false }, &LIMITS, &mut |_| {});
    let mut chunk = |session: &mut Session, side, bytes: &[u8]| {
        let chunk = FlowEvent::Chunk { side, time: Timestamp::from_nanos(1), next: 0, chunk: Chunk::Data(bytes) };
        session.event(&flow, chunk, &LIMITS, &mut |_| count += 1);
    };
    let Step::Client(first) = preface(&[]) else { unreachable!() };
    chunk(&mut session, Side::Client, &first);
    chunk(&mut session, Side::Server, &frame(SETTINGS, 0, 0, []));
    for number in 0..100_000 {
        chunk(&mut session, Side::Client, &request(2 * number + 1));
        chunk(&mut session, Side::Server, &response(2 * number + 1, b"x"));
        most = most.max(session.memory());
    }
    assert_eq!(count, 100_000);
    assert!(most < 16 * 1024, "{most} bytes");
}

/// A connection with a bit of everything, for splitting.
fn everything() -> (Vec<u8>, Vec<u8>) {
    let mut asked = PREFACE.to_vec();
    asked.extend(frame(SETTINGS, 0, 0, [0, 1, 0, 0, 8, 0]));
    asked.extend(frame(HEADERS, 0, 1, &POST_A[..4]));
    asked.extend(frame(CONTINUATION, WHOLE, 1, &POST_A[4..]));
    asked.extend(frame(DATA, PADDED, 1, b"\x03abc000"));
    asked.extend(frame(PING, 0, 0, [7; 8]));
    asked.extend(request(3));
    asked.extend(frame(DATA, END, 1, "d"));
    asked.extend(frame(RST_STREAM, 0, 3, [0, 0, 0, 8]));
    asked.extend(frame(0x20, 0, 0, "extension"));
    asked.extend(request(5));
    let mut answered = frame(SETTINGS, 0, 0, []);
    answered.extend(frame(SETTINGS, ACK, 0, []));
    answered.extend(frame(HEADERS, WHOLE, 1, b"\x88\x40\x01a\x01b"));
    answered.extend(frame(DATA, 0, 1, "hello "));
    answered.extend(frame(DATA, END, 1, "world"));
    answered.extend(frame(HEADERS, WHOLE | END, 5, b"\x8d\xbe"));
    answered.extend(frame(GOAWAY, 0, 0, [&[0, 0, 0, 5, 0, 0, 0, 0][..], b"bye, and thanks"].concat()));
    (asked, answered)
}

fn told(joined: bool, asked: &[&[u8]], answered: &[&[u8]]) -> (Vec<(Option<u32>, String)>, Anomalies, u64) {
    let steps: Vec<Step> = asked.iter().map(client).chain(answered.iter().map(server)).collect();
    let (exchanges, over) = run_with(&LIMITS, joined, &steps, FlowEnd::Closed);
    let told = exchanges.iter().map(|exchange| (exchange.stream, line(exchange))).collect();
    (told, over.anomalies, over.ledger.client.reported + over.ledger.server.reported)
}

#[test]
fn any_split_gives_the_same_exchanges() {
    let (asked, answered) = everything();
    for joined in [false, true] {
        // From the middle, without the preface and the first frames.
        let (asked, answered) = if joined { (&asked[45..], &answered[3..]) } else { (&asked[..], &answered[..]) };
        let whole = told(joined, &[asked], &[answered]);
        assert!(whole.0.len() >= 2, "{whole:?}");
        for size in 1..60 {
            let (asked, answered): (Vec<_>, Vec<_>) = (asked.chunks(size).collect(), answered.chunks(size).collect());
            assert_eq!(told(joined, &asked, &answered), whole, "in pieces of {size}, joined: {joined}");
        }
    }
}

#[test]
fn where_frames_are_known_to_be_they_are_found_at_the_same_place_in_any_split() {
    let (asked, mut answered) = everything();
    // What looks like frames for as long as no more of them are there.
    let place = 141 % answered.len();
    (answered[13], answered[place]) = (2, 2);
    let mut damaged = asked;
    damaged[3] = 0;
    let whole = told(true, &[&damaged], &[&answered]);
    let pieces: (Vec<_>, Vec<_>) = (damaged.chunks(1).collect(), answered.chunks(1).collect());
    assert_eq!(told(true, &pieces.0, &pieces.1), whole);
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_exchanges_or_anomalies(
        asked in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        answered in proptest::collection::vec(proptest::num::u8::ANY, 0..600),
        flips in proptest::collection::vec((0_usize..400, proptest::num::u8::ANY), 0..6),
        size in 1_usize..80,
        joined: bool,
    ) {
        let (mut good_asked, mut good_answered) = everything();
        for (place, value) in flips {
            let bytes = if place % 2 == 0 { &mut good_asked } else { &mut good_answered };
            let place = place / 2 % bytes.len();
            bytes[place] = value;
        }
        let pairs = [(good_asked, good_answered), ([PREFACE, &asked[..]].concat(), answered)];
        for (asked, answered) in pairs {
            let whole = told(joined, &[&asked], &[&answered]);
            let split: (Vec<_>, Vec<_>) = (asked.chunks(size).collect(), answered.chunks(size).collect());
            proptest::prop_assert_eq!(told(joined, &split.0, &split.1), whole);
        }
    }
}
