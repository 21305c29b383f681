//! What is kept of contents, and who decides it.

use super::*;
use crate::{
    model::{Decide, Needs},
    session::Unwanted,
};

fn events(count: usize) -> String {
    let body = (0..count).map(|number| format!("data: {number}\n\n")).collect::<Vec<_>>().concat();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn shown(exchange: &Exchange) -> Vec<&str> {
    let part = exchange.response.as_ref().unwrap();
    part.messages().map(|(_, bytes)| str::from_utf8(bytes).unwrap().trim()).collect()
}

#[test]
fn of_a_long_stream_the_first_messages_and_the_last_ones_are_kept() {
    let limits = Limits { body: 25, ..LIMITS };
    let exchange = one(&limits, &[get("/"), server(events(100))]);
    let expected: Vec<String> = (0..3).chain(84..100).map(|number| format!("data: {number}")).collect();
    assert_eq!(shown(&exchange), expected);
    assert_eq!(exchange.response.unwrap().pieces.unwrap().count, 100);

    // With room for all bytes, it is the number of messages that is bounded.
    let exchange = one(&Limits { body: 1 << 20, ..LIMITS }, &[get("/"), server(events(1100))]);
    let shown = shown(&exchange);
    assert_eq!((shown.len(), shown[1023], shown[1024], shown[1039]), (1040, "data: 1023", "data: 1084", "data: 1099"));

    let exchange = one(&Limits { body: 0, ..LIMITS }, &[get("/"), server(events(1100))]);
    assert_eq!(exchange.response.unwrap().messages().count(), 0, "nothing is to be kept");
}

#[test]
fn heads_decide_what_is_kept() {
    let decide = |exchange: &Exchange| {
        let head = exchange.request.as_ref().map(|part| &part.head);
        let wanted = head.and_then(|head| head.target()).is_some_and(|target| target == "/wanted");
        let failed = exchange.response.as_ref().and_then(|part| part.head.status()).is_none_or(|status| status >= 500);
        Needs { request: if wanted { 3 } else { 0 }, response: if wanted && failed { 4 } else { 0 } }
    };
    let limits = Limits { body: 0, decide: Some(Decide(&decide)), ..LIMITS };
    let bodies = |target: &str, status: &str| {
        let asked = client(format!("POST {target} HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde"));
        let answered = server(format!("HTTP/1.1 {status} X\r\nContent-Length: 6\r\n\r\nfghijk"));
        let exchange = one(&limits, &[asked, answered]);
        [exchange.request, exchange.response].map(|part| String::from_utf8(part.unwrap().body.to_vec()).unwrap())
    };
    assert_eq!(bodies("/wanted", "500"), ["abc", "fghi"]);
    assert_eq!(bodies("/wanted", "200"), ["abc", ""]);
    assert_eq!(bodies("/other", "500"), ["", ""]);
}

fn one(limits: &Limits<'_>, steps: &[Step]) -> Exchange {
    let (mut exchanges, _) = run_with(limits, false, steps, FlowEnd::Closed);
    assert_eq!(exchanges.len(), 1);
    exchanges.remove(0)
}

#[test]
fn what_nobody_wants_is_told_once_and_left_out_without_harm() {
    let flow = flow(false);
    let limits = Limits { body: 4, ..LIMITS };
    let (mut session, mut exchanges) = (Session::default(), Vec::new());
    let mut emit = |record: Record| {
        if let Record::Exchange(exchange) = record {
            exchanges.push(*exchange);
        }
    };
    session.event(&flow, FlowEvent::Opened { late: false }, &limits, &mut emit);
    let mut send = |side: Side, chunk: Chunk<'_>| {
        let event = FlowEvent::Chunk { side, time: Timestamp::from_nanos(1), next: 0, chunk };
        session.event(&flow, event, &limits, &mut emit);
        session.take_unwanted(side, 10, Needs::default())
    };
    let data = |text: &'static str| Chunk::Data(text.as_bytes());
    assert_eq!(send(Side::Client, data("GET / HTTP/1.1\r\n\r\n")), None);
    assert_eq!(send(Side::Server, data("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nab")), None, "two are wanted");
    assert_eq!(send(Side::Server, data("cdef")), Some(Unwanted::Next(994)));
    assert_eq!(send(Side::Server, data("gh")), None, "told already");
    let reason = LossReason::SkippedByPolicy;
    assert_eq!(send(Side::Server, Chunk::Gap { len: 990, reason }), None);
    assert_eq!(send(Side::Server, data("yz")), None);
    // The next one is told anew; a body of many GiB in parts.
    send(Side::Client, data("GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(
        send(Side::Server, data("HTTP/1.1 200 OK\r\nContent-Length: 3000000000\r\n\r\nabcd")),
        Some(Unwanted::Next(4 << 20))
    );
    assert_eq!(send(Side::Server, Chunk::Gap { len: 4 << 20, reason }), Some(Unwanted::Next(4 << 20)));
    let [exchange] = exchanges.as_slice() else { panic!("one is over: {exchanges:?}") };
    let part = exchange.response.as_ref().unwrap();
    assert_eq!((part.body_size, part.body_skipped, part.body_missing, part.content_size()), (10, 990, 0, 1000));
    assert!(exchange.complete() && exchange.anomalies.is_empty() && part.body_cut(), "{exchange:?}");
    assert_eq!(&*part.body, b"abcd");
}

#[test]
fn what_is_sent_to_a_client_that_is_gone_is_wasted() {
    let begun = |end: FlowEnd| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000\r\n\r\ndata: a\n\n";
        let steps = [get("/"), server(head), Step::ClientFin, server("data: b\n\ndata: c\n\n")];
        run_with(&LIMITS, false, &steps, end).0.remove(0)
    };
    assert_eq!(begun(FlowEnd::Reset).wasted(), Some((18, 2)));
    assert_eq!(begun(FlowEnd::CaptureEnded).wasted(), None, "it may have waited for it");
    let steps = [get("/"), Step::ClientFin, server("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")];
    assert_eq!(run(&steps).0.remove(0).wasted(), None, "it did wait");
}

#[test]
fn what_has_messages_or_no_known_length_is_wanted() {
    for head in ["Content-Type: text/event-stream\r\nContent-Length: 1000", "Transfer-Encoding: chunked"] {
        let flow = flow(false);
        let mut session = Session::default();
        let mut emit = |_| {};
        session.event(&flow, FlowEvent::Opened { late: false }, &LIMITS, &mut emit);
        for (side, text) in [
            (Side::Client, "GET / HTTP/1.1\r\n\r\n".to_owned()),
            (Side::Server, format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n400\r\n{}", "x".repeat(100))),
        ] {
            let event =
                FlowEvent::Chunk { side, time: Timestamp::from_nanos(1), next: 0, chunk: Chunk::Data(text.as_bytes()) };
            session.event(&flow, event, &LIMITS, &mut emit);
            assert_eq!(session.take_unwanted(side, 10, Needs::default()), None, "{head}");
        }
    }
}
