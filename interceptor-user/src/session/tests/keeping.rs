//! What is kept of contents, and who decides it.

use super::*;
use crate::model::{Decide, Needs};

fn events(count: usize) -> String {
    let body: String = (0..count).map(|number| format!("data: {number}\n\n")).collect();
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
