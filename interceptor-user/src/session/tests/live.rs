//! Messages that are told as they come.

use std::io::Write as _;

use super::*;
use crate::model::{Kind, MessageRecord, Role};

const LIVE: Limits = Limits { messages: true, ..LIMITS };

/// One message in one line: whose, which, what.
fn told(message: &MessageRecord) -> String {
    let MessageRecord { exchange, role, index, format, piece } = message;
    let mark = if *role == Role::Request { '>' } else { '<' };
    let part = exchange.part(*role).expect("its side");
    let kept = part.pieces.as_ref().expect("messages").kept[0];
    let bytes = part.body[kept.start as usize..(kept.start + kept.len) as usize].escape_ascii();
    let target = exchange.request.as_ref().and_then(|part| part.head.target()).unwrap_or("-");
    let (format, kind, at) = (format.name(), piece.kind.name(), piece.time.as_nanos());
    format!("{}{mark}{index} {target} {format} {kind} {}@{at} '{bytes}'", exchange.number, piece.size)
}

/// What is told after each step; an exchange or the flow by their name.
fn after_each(limits: &Limits, steps: &[Step]) -> Vec<Vec<String>> {
    let flow = flow(false);
    let mut session = Session::default();
    session.event(&flow, FlowEvent::Opened { late: false }, limits, &mut |_| {});
    let steps = steps.iter().enumerate().map(|(number, step)| {
        let time = Timestamp::from_nanos(number as u64 + 1);
        let (side, bytes) = match step {
            Step::Client(bytes) => (Side::Client, bytes),
            Step::Server(bytes) => (Side::Server, bytes),
            _ => panic!("only bytes here"),
        };
        let mut out = Vec::new();
        let chunk = FlowEvent::Chunk { side, time, next: 0, chunk: Chunk::Data(bytes) };
        session.event(&flow, chunk, limits, &mut |record| match record {
            Record::Message(message) => out.push(told(&message)),
            Record::Exchange(_) => out.push("exchange".to_owned()),
            Record::Flow(_) => out.push("flow".to_owned()),
            Record::Drift(_) | Record::Edge(_) => panic!("a session compares nothing"),
        });
        out
    });
    steps.collect()
}

/// Events in chunks of HTTP/1, compressed together and flushed after each.
fn events(events: &[&str]) -> Vec<Step> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    let mut steps = vec![
        get("/stream"),
        server(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ];
    for event in events {
        encoder.write_all(event.as_bytes()).unwrap();
        encoder.flush().unwrap();
        let bytes = std::mem::take(encoder.get_mut());
        steps.push(server([format!("{:x}\r\n", bytes.len()).as_bytes(), &bytes, b"\r\n"].concat()));
    }
    let rest = encoder.finish().unwrap();
    steps.push(server([format!("{:x}\r\n", rest.len()).as_bytes(), &rest, b"\r\n0\r\n\r\n"].concat()));
    steps
}

#[test]
fn each_event_is_out_before_the_next_chunk_comes() {
    let steps = events(&["data: one\n\n", "data: two\n\ndata: 3\n\n", "data: a long one", " in two\n\n"]);
    let line = |index, size, at, event: &str| {
        vec![format!("1<{index} /stream event-stream data {size}@{at} '{}'", event.escape_default())]
    };
    let expected = [
        vec![],
        vec![],
        line(1, 11, 3, "data: one\n\n"),
        [line(2, 11, 4, "data: two\n\n"), line(3, 9, 4, "data: 3\n\n")].concat(),
        vec![],
        line(4, 25, 6, "data: a long one in two\n\n"),
        vec!["exchange".to_owned()],
    ];
    assert_eq!(after_each(&LIVE, &steps), expected);
    let unasked: Vec<_> = after_each(&LIMITS, &steps).concat();
    assert_eq!(unasked, ["exchange"], "nobody asked");
}

#[test]
fn what_is_kept_is_kept_of_each_message() {
    let long = format!("data: {}\n\n", "x".repeat(20));
    let steps = events(&[&long, &long]);
    let got = after_each(&Limits { body: 8, ..LIVE }, &steps).concat();
    assert_eq!(got[0], "1<1 /stream event-stream data 28@3 'data: xx'");
    assert_eq!(got[1], "1<2 /stream event-stream data 28@4 'data: xx'", "beyond what is kept of the whole");
    let got = after_each(&Limits { body: 0, ..LIVE }, &steps).concat();
    assert_eq!(got[1], "1<2 /stream event-stream data 28@4 ''");
}

#[test]
fn both_sides_of_a_websocket_and_lines_of_a_request() {
    let steps = [
        client("GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        server("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
        server(b"\x81\x02hi"),
        client(b"\x82\x81\0\0\0\0x\x89\x80\0\0\0\0"),
    ];
    assert_eq!(
        after_each(&LIVE, &steps),
        [
            vec![],
            vec![],
            vec!["1<1 /chat websocket text 2@3 'hi'".to_owned()],
            vec!["1>1 /chat websocket binary 1@4 'x'".to_owned(), "1>2 /chat websocket ping 0@4 ''".to_owned()],
        ]
    );
    assert_eq!(Kind::Text.name(), "text");
    let lines = "POST /l HTTP/1.1\r\nHost: h\r\nContent-Type: application/jsonl\r\nContent-Length: 6\r\n\r\n{}\n";
    let got = after_each(&LIVE, &[client(lines), client("[]\n"), server(OK)]);
    assert_eq!(got[0].len() + got[1].len(), 2, "{got:?}");
    assert!(got[0][0].starts_with("1>1 /l json-lines data") && got[1][0].starts_with("1>2 "), "{got:?}");
    assert_eq!(got[2], ["exchange"]);
}
