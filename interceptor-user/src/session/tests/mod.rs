//! Whole flows, from chunks to records. Each run also checks that every byte is counted once.

mod framing;
mod hostile;
mod http2;
mod keeping;
mod live;
mod loss;
mod odd;
mod roles;
mod room;
mod split;
mod turns;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::model::{Endpoint, Exchange, FlowKey, LossReason, Peer};

/// What happens on a flow, in a test's words.
#[derive(Clone, Debug)]
enum Step {
    Client(Vec<u8>),
    Server(Vec<u8>),
    ClientGap(u64),
    ServerGap(u64),
    ClientFin,
    ServerFin,
    /// This side has no room for more.
    Full(Side),
    /// Time passes, and nothing comes.
    Wait(Duration),
}

fn client(bytes: impl AsRef<[u8]>) -> Step {
    Step::Client(bytes.as_ref().to_vec())
}

fn server(bytes: impl AsRef<[u8]>) -> Step {
    Step::Server(bytes.as_ref().to_vec())
}

fn flow(joined: bool) -> Arc<FlowInfo> {
    let client = Endpoint::new([10, 0, 0, 1].into(), 40_000);
    let server = Endpoint::new([10, 0, 0, 2].into(), 80);
    Arc::new(FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: Peer::new(client),
        server: Peer::new(server),
        start: Timestamp::from_nanos(1),
        joined,
        round_trip: None,
        interface: 0,
    })
}

const LIMITS: Limits = Limits {
    head: 4096,
    body: 64,
    decide: None,
    pipeline: 4,
    streams: 64,
    memory: 1 << 20,
    messages: false,
    room: usize::MAX,
};

/// Runs a flow. Time is the number of the step, from 1.
fn run_with(limits: &Limits<'_>, joined: bool, steps: &[Step], end: FlowEnd) -> (Vec<Exchange>, FlowRecord) {
    let flow = flow(joined);
    let (mut session, mut ledger) = (Session::default(), Ledger::default());
    let (mut exchanges, mut over) = (Vec::new(), None);
    let mut emit = |record: Record| match record {
        Record::Exchange(exchange) => exchanges.push(*exchange),
        Record::Message(_) | Record::Drift(_) | Record::Edge(_) => panic!("nobody asked for it"),
        Record::Flow(record) => assert!(over.replace(*record).is_none(), "one record for the flow"),
    };
    session.event(&flow, FlowEvent::Opened { late: joined }, limits, &mut emit);
    let mut now = 0;
    for step in steps {
        now += 1;
        let time = Timestamp::from_nanos(now);
        let reason = LossReason::NotSeen;
        let event = match step {
            Step::Client(bytes) => FlowEvent::Chunk { side: Side::Client, time, next: 0, chunk: Chunk::Data(bytes) },
            Step::Server(bytes) => FlowEvent::Chunk { side: Side::Server, time, next: 0, chunk: Chunk::Data(bytes) },
            Step::ClientGap(len) => {
                FlowEvent::Chunk { side: Side::Client, time, next: 0, chunk: Chunk::Gap { len: *len, reason } }
            }
            Step::ServerGap(len) => {
                FlowEvent::Chunk { side: Side::Server, time, next: 0, chunk: Chunk::Gap { len: *len, reason } }
            }
            Step::ClientFin => FlowEvent::Finished { side: Side::Client, time },
            Step::ServerFin => FlowEvent::Finished { side: Side::Server, time },
            Step::Full(side) => FlowEvent::Window { side: *side, full: true, time },
            Step::Wait(duration) => {
                now += duration.as_nanos() as u64;
                FlowEvent::Waited { time: time + *duration }
            }
        };
        if let FlowEvent::Chunk { side, chunk, .. } = &event {
            let side = ledger.side_mut(*side);
            match chunk {
                Chunk::Data(bytes) => {
                    side.carried += bytes.len() as u64;
                    side.captured += bytes.len() as u64;
                }
                Chunk::Gap { len, reason } => {
                    side.carried += len;
                    side.lose(*reason, *len);
                }
            }
        }
        session.event(&flow, event, limits, &mut emit);
    }
    let time = Timestamp::from_nanos(now + 1);
    session.event(&flow, FlowEvent::Ended { end, time, ledger }, limits, &mut emit);
    assert_eq!(session.open(), 0);
    let over = over.expect("a record for the flow");
    assert!(over.ledger.balances(), "{:?}", over.ledger);
    assert_eq!(over.exchanges, exchanges.len() as u64);
    (exchanges, over)
}

fn run(steps: &[Step]) -> (Vec<Exchange>, FlowRecord) {
    run_with(&LIMITS, false, steps, FlowEnd::Closed)
}

/// An exchange in one line: what most cases need to say.
fn line(exchange: &Exchange) -> String {
    let part = |part: &Option<crate::model::Part>| {
        part.as_ref().map_or_else(
            || "-".to_owned(),
            |part| {
                let start = match part.head.start_line() {
                    crate::model::StartLine::Request { method, target } => format!("{method} {target}"),
                    crate::model::StartLine::Response { status } => status.to_string(),
                };
                let missing = if part.body_missing > 0 { format!("-{}", part.body_missing) } else { String::new() };
                let ended = if part.ended { "" } else { " cut" };
                format!("{start} {}{missing}{ended}", part.body_size)
            },
        )
    };
    let anomalies: Vec<_> = exchange.anomalies.iter().map(Anomaly::name).collect();
    let interim = if exchange.interim > 0 { format!(" +{}", exchange.interim) } else { String::new() };
    format!("{} > {}{interim} [{}]", part(&exchange.request), part(&exchange.response), anomalies.join(" "))
}

fn lines(steps: &[Step]) -> Vec<String> {
    run(steps).0.iter().map(line).collect()
}

/// Each case: what happens, and the exchanges that come of it.
#[track_caller]
fn check(name: &str, steps: &[Step], expected: &[&str]) {
    assert_eq!(lines(steps), expected, "{name}");
}

const GET: &str = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A GET of a target.
fn get(target: &str) -> Step {
    client(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n"))
}

/// A response with a status and two bytes of content.
fn answer(status: u16) -> Step {
    server(format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok"))
}

#[test]
fn one_exchange() {
    let (exchanges, over) = run(&[
        client("POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"),
        server("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    ]);
    assert_eq!(exchanges.iter().map(line).collect::<Vec<_>>(), ["POST /a 3 > 200 5 []"]);
    let exchange = &exchanges[0];
    assert!(exchange.complete());
    assert_eq!(exchange.response.as_ref().unwrap().body, "hello");
    assert_eq!(exchange.request.as_ref().unwrap().head.fields.get("host"), Some(&b"h"[..]));
    assert_eq!(over.protocol, Protocol::Http1);
    assert_eq!((over.ledger.client.reported, over.ledger.server.reported), (0, 0));
}
