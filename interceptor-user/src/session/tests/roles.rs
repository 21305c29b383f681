//! Joined flows whose client was guessed: who asks is who sends requests.

use super::*;

fn joined(steps: &[Step]) -> (Vec<String>, Vec<Exchange>, FlowRecord) {
    let (exchanges, over) = run_with(&LIMITS, true, steps, FlowEnd::Closed);
    (exchanges.iter().map(line).collect(), exchanges, over)
}

fn ask(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n")
}

#[test]
fn joined_within_content_and_guessed_wrong() {
    // What the flow table takes for the client answers.
    let exchange = |target| [server(ask(target)), client(OK)];
    for first in [client("rest of a body"), server("rest of a request"), Step::ClientGap(20), Step::ServerGap(20)] {
        let steps = [vec![first], exchange("/a").to_vec(), exchange("/b").to_vec()].concat();
        let (lines, exchanges, over) = joined(&steps);
        assert_eq!(lines, ["GET /a 0 > 200 2 []", "GET /b 0 > 200 2 []"], "{steps:?}");
        assert_eq!(exchanges[0].flow.client.endpoint, flow(true).server.endpoint);
        assert_eq!(over.flow.client.endpoint, flow(true).server.endpoint);
        assert_eq!(over.ledger.client.parsed, 2 * ask("/a").len() as u64);
    }
}

#[test]
fn a_response_is_as_good_as_a_request() {
    let (lines, exchanges, _) = joined(&[server("rest of a request"), client(OK), server(ask("/a")), client(OK)]);
    assert_eq!(lines, ["- > 200 2 [mid_stream no_request]", "GET /a 0 > 200 2 []"]);
    assert_eq!(exchanges[0].flow.client.endpoint, flow(true).server.endpoint);
}

#[test]
fn a_head_in_content_does_not_turn_the_roles_for_good() {
    let text = format!("<pre>{}</pre>", ask("/text"));
    let (lines, exchanges, over) =
        joined(&[server(text), get("/a"), server(OK), get("/b"), server(OK), get("/c"), server(OK)]);
    assert_eq!(lines.last().map(String::as_str), Some("GET /c 0 > 200 2 []"), "{lines:?}");
    // The exchange after the turn bears the anomalies of what was made of the content.
    assert!(lines.contains(&"GET /b 0 > 200 2 [skipped]".to_owned()), "{lines:?}");
    assert_eq!(exchanges.last().unwrap().flow.client.endpoint, flow(true).client.endpoint);
    assert_eq!(over.flow.client.endpoint, flow(true).client.endpoint);
}

#[test]
fn once_both_sides_have_spoken_heads_in_content_say_nothing() {
    let body = ask("/text");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (lines, ..) = joined(&[server("rest"), get("/a"), server(&answer), get("/b"), server(OK)]);
    let size = body.len();
    assert_eq!(lines, [format!("GET /a 0 > 200 {size} []"), "GET /b 0 > 200 2 []".to_owned()]);
}

#[test]
fn who_was_told_does_not_change() {
    let told = Arc::new(FlowInfo { joined: false, ..FlowInfo::clone(&flow(false)) });
    let (mut session, mut ends) = (Session::default(), Vec::new());
    let mut emit = |record: Record| {
        if let Record::Flow(over) = record {
            ends.push(over.flow.client.endpoint);
        }
    };
    let time = Timestamp::from_nanos(1);
    session.event(&told, FlowEvent::Opened { late: true }, &LIMITS, &mut emit);
    for (side, bytes) in [(Side::Client, "rest of a body"), (Side::Server, GET), (Side::Client, OK)] {
        let chunk = Chunk::Data(bytes.as_bytes());
        session.event(&told, FlowEvent::Chunk { side, time, next: 0, chunk }, &LIMITS, &mut emit);
    }
    let ended = FlowEvent::Ended { end: FlowEnd::Closed, time, ledger: Ledger::default() };
    session.event(&told, ended, &LIMITS, &mut emit);
    assert_eq!(ends, [told.client.endpoint]);
}
