//! No room in the whole program: nothing more is kept, it is counted, and what comes when there is room again is right.

use proptest::prelude::*;

use super::*;

const FULL: Limits = Limits { room: 0, ..LIMITS };

/// A flow with limits that change.
#[derive(Default)]
struct Changing {
    session: Session,
    ledger: Ledger,
    exchanges: Vec<Exchange>,
    flows: Vec<FlowRecord>,
    given_up: u64,
}

impl Changing {
    fn event(&mut self, event: FlowEvent<'_>, limits: &Limits) {
        let Self { session, exchanges, flows, .. } = self;
        session.event(&flow(false), event, limits, &mut |record| match record {
            Record::Exchange(exchange) => exchanges.push(*exchange),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => panic!("nobody asked for it"),
            Record::Flow(record) => flows.push(*record),
        });
        self.given_up += self.session.take_given_up();
    }

    fn send(&mut self, side: Side, bytes: &[u8], limits: &Limits) -> &mut Self {
        let ledger = self.ledger.side_mut(side);
        ledger.carried += bytes.len() as u64;
        ledger.captured += bytes.len() as u64;
        self.event(FlowEvent::Chunk { side, time: Timestamp::default(), next: 0, chunk: Chunk::Data(bytes) }, limits);
        self
    }

    /// The exchanges in a line each, what is odd about the flow, and how much was given up.
    fn end(mut self) -> (Vec<String>, Anomalies, u64) {
        let ledger = self.ledger;
        self.event(FlowEvent::Ended { end: FlowEnd::Closed, time: Timestamp::default(), ledger }, &LIMITS);
        assert!(self.flows[0].ledger.balances(), "{:?}", self.flows[0].ledger);
        assert_eq!(self.session.held(), 0);
        (self.exchanges.iter().map(line).collect(), self.flows[0].anomalies, self.given_up)
    }
}

#[test]
fn an_exchange_without_room_is_given_up_and_the_next_is_right() {
    let mut flow = Changing::default();
    flow.send(Side::Client, b"GET /first HTTP/1.1\r\n\r\n", &FULL);
    assert_eq!(flow.session.held(), 0);
    flow.send(Side::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", &FULL);
    assert_eq!(flow.session.held(), 0);
    flow.send(Side::Client, b"GET /next HTTP/1.1\r\n\r\n", &LIMITS).send(Side::Server, b" done", &LIMITS);
    flow.send(Side::Server, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", &LIMITS);
    let (exchanges, anomalies, given_up) = flow.end();
    assert_eq!(exchanges, ["GET /next 0 > 404 0 []"]);
    assert!(anomalies.contains(Anomaly::MemoryLimit));
    assert_eq!(given_up, 2);
}

#[test]
fn what_goes_wrong_with_what_is_given_up_is_not_the_next_ones() {
    let mut flow = Changing::default();
    flow.send(Side::Client, b"GET /first HTTP/1.1\r\n\r\n", &FULL);
    flow.send(Side::Server, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &FULL);
    flow.send(Side::Client, b"GET /next HTTP/1.1\r\n\r\nGET /last HTTP/1.1\r\n\r\n", &LIMITS);
    flow.send(Side::Server, b"no chunk\r\n", &LIMITS);
    for _ in 0..2 {
        flow.send(Side::Server, b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", &LIMITS);
    }
    let (exchanges, anomalies, _) = flow.end();
    assert_eq!(exchanges, ["GET /next 0 > 404 0 []", "GET /last 0 > 404 0 []"]);
    assert!(anomalies.contains(Anomaly::BadChunk));
}

#[test]
fn an_open_exchange_goes_on_without_what_would_have_to_be_kept() {
    let mut flow = Changing::default();
    flow.send(Side::Client, b"GET / HTTP/1.1\r\n\r\n", &LIMITS);
    let held = flow.session.held();
    flow.send(Side::Server, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n5\r\nhello\r\n", &FULL);
    assert_eq!(flow.session.held(), held);
    flow.send(Side::Server, b"0\r\nT: v\r\n\r\n", &FULL);
    let exchange = flow.exchanges[0].clone();
    let response = exchange.response.as_ref().expect("a response");
    assert!(exchange.complete() && response.head.fields.is_empty() && response.trailers.is_empty());
    assert!(response.body.is_empty());
    let (exchanges, _, given_up) = flow.end();
    assert_eq!(exchanges, ["GET / 0 > 200 5 [memory_limit]"]);
    assert_eq!(given_up, 3, "fields, content, trailers");
}

#[test]
fn a_head_that_is_not_whole_is_given_up_and_the_next_is_found() {
    let mut flow = Changing::default();
    flow.send(Side::Client, b"GET /first HTTP/1.1\r\nHost: ", &FULL);
    assert_eq!(flow.session.held(), 0);
    flow.send(Side::Client, b"h\r\n\r\nGET /next HTTP/1.1\r\n\r\n", &LIMITS);
    flow.send(Side::Server, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &LIMITS);
    let (exchanges, _, given_up) = flow.end();
    assert_eq!(exchanges.len(), 1, "{exchanges:?}");
    assert!(exchanges[0].starts_with("GET /next 0 > 200 0"), "{exchanges:?}");
    assert_eq!(given_up, 1);
}

fn conversation() -> [Vec<u8>; 2] {
    let posts = "POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: v\r\n\r\n";
    let answers = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 7\r\n\r\ncontent";
    [posts.repeat(3).into_bytes(), answers.repeat(3).into_bytes()]
}

proptest! {
    #[test]
    fn whenever_there_is_no_room_no_more_is_kept(
        pieces in proptest::collection::vec((any::<bool>(), 1..60_usize, any::<bool>()), 1..60),
    ) {
        let bytes = conversation();
        let (mut flow, mut sent) = (Changing::default(), [0; 2]);
        for (server, len, full) in pieces {
            let (side, index) = if server { (Side::Server, 1) } else { (Side::Client, 0) };
            let piece = bytes[index].get(sent[index]..).unwrap_or_default();
            let piece = &piece[..len.min(piece.len())];
            sent[index] += piece.len();
            let held = flow.session.held();
            flow.send(side, piece, if full { &FULL } else { &LIMITS });
            if full {
                prop_assert!(flow.session.held() <= held, "{held}: {}", flow.session.held());
            }
        }
        flow.end();
    }
}
