//! Where the kernel cuts turns, and what is made of what it leaves out.

use super::*;
use crate::{
    model::{Decide, Needs},
    session::Unwanted,
};

const SKIPPED: LossReason = LossReason::SkippedByPolicy;

/// A flow on which clients ask and servers answer with a hundred bytes, of which nobody wants any but of `/wanted`.
struct Talk {
    session: Session,
    may_want: Needs,
    ledger: Ledger,
    exchanges: Vec<Exchange>,
    over: Option<FlowRecord>,
}

impl Talk {
    fn new() -> Self {
        let mut new = Self {
            session: Session::default(),
            may_want: Needs::default(),
            ledger: Ledger::default(),
            exchanges: Vec::new(),
            over: None,
        };
        new.event(FlowEvent::Opened { late: false });
        new
    }

    fn event(&mut self, event: FlowEvent<'_>) {
        let wants = |exchange: &Exchange| {
            let target = exchange.request.as_ref().and_then(|part| part.head.target());
            Needs::both(if target.is_some_and(|target| target == "/wanted") { 1000 } else { 0 })
        };
        let limits = Limits { body: 0, decide: Some(Decide(&wants)), ..LIMITS };
        let (exchanges, over) = (&mut self.exchanges, &mut self.over);
        self.session.event(&flow(false), event, &limits, &mut |record| match record {
            Record::Exchange(exchange) => exchanges.push(*exchange),
            Record::Flow(flow) => *over = Some(*flow),
            Record::Message(_) | Record::Drift(_) | Record::Edge(_) => panic!("nobody asked for it"),
        });
    }

    fn send(&mut self, side: Side, chunk: Chunk<'_>) -> Option<Unwanted> {
        let books = self.ledger.side_mut(side);
        match chunk {
            Chunk::Data(bytes) => {
                books.carried += bytes.len() as u64;
                books.captured += bytes.len() as u64;
            }
            Chunk::Gap { len, reason } => {
                books.carried += len;
                books.lose(reason, len);
            }
        }
        self.event(FlowEvent::Chunk { side, time: Timestamp::from_nanos(1), next: 0, chunk });
        self.session.take_unwanted(side, 10, self.may_want)
    }

    fn ask(&mut self, path: &str) {
        self.send(Side::Client, Chunk::Data(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes()));
    }

    /// An answer's head.
    fn head(&mut self, fields: &str) -> Option<Unwanted> {
        self.send(Side::Server, Chunk::Data(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes()))
    }

    fn gap(&mut self, len: u64) -> Option<Unwanted> {
        self.send(Side::Server, Chunk::Gap { len, reason: SKIPPED })
    }

    /// So many exchanges that nobody wants anything of; what was said of the last one's content.
    fn plain(&mut self, count: usize) -> Option<Unwanted> {
        let mut last = None;
        for _ in 0..count {
            self.ask("/");
            last = self.head("Content-Length: 100");
            assert_eq!(self.gap(100), None);
        }
        last
    }

    fn finish(&mut self) -> FlowRecord {
        let (end, time) = (FlowEnd::Closed, Timestamp::from_nanos(2));
        self.event(FlowEvent::Ended { end, time, ledger: self.ledger });
        let over = self.over.take().expect("it is over");
        assert!(over.ledger.balances(), "{:?}", over.ledger);
        over
    }
}

fn lost(flow: &FlowRecord) -> (u64, u64) {
    (flow.ledger.server.skipped(), flow.ledger.server.lost_total())
}

#[test]
fn turns_are_cut_once_enough_was_seen_and_the_kernel_is_told_once() {
    let mut talk = Talk::new();
    assert_eq!(talk.plain(7), Some(Unwanted::Next(100)));
    assert_eq!(talk.plain(1), Some(Unwanted::Turns(100)));
    assert_eq!(talk.plain(20), Some(Unwanted::Known(100)));
    // A long one is told all the same.
    talk.ask("/");
    assert_eq!(talk.head("Content-Length: 1048576"), Some(Unwanted::Turns(1 << 20)));
    talk.gap(1 << 20);
    let over = talk.finish();
    assert_eq!(lost(&over), (2800 + (1 << 20), 0));
    assert!(talk.exchanges.iter().all(Exchange::complete), "{:?}", talk.exchanges);
}

#[test]
fn a_head_that_was_left_out_is_a_loss_and_the_last_one() {
    let mut talk = Talk::new();
    talk.plain(9);
    // Pipelined: the second answer is in the turn of the first one.
    talk.ask("/");
    talk.ask("/second");
    talk.ask("/third");
    assert_eq!(talk.head("Content-Length: 100"), Some(Unwanted::Known(100)));
    assert_eq!(talk.gap(250), Some(Unwanted::Nothing));
    assert_eq!(talk.plain(20), Some(Unwanted::Next(100)), "never again on this flow");
    let over = talk.finish();
    assert_eq!(over.ledger.server.lost[LossReason::CutTooFar as usize], 150);
    assert_eq!(lost(&over), (3000, 150));
    let incomplete: Vec<_> = talk.exchanges.iter().filter(|exchange| !exchange.complete()).map(line).collect();
    assert_eq!(incomplete.len(), 2, "{incomplete:?}");
    assert!(incomplete[0].contains("/second") && incomplete[1].contains("/third"), "{incomplete:?}");
}

#[test]
fn a_content_that_is_wanted_is_a_loss_where_it_was_left_out() {
    let mut talk = Talk::new();
    talk.plain(9);
    talk.ask("/wanted");
    assert_eq!(talk.head("Content-Length: 100"), Some(Unwanted::Nothing), "its head says so");
    talk.gap(100);
    assert_eq!(talk.plain(9), Some(Unwanted::Next(100)));
    assert_eq!(lost(&talk.finish()), (1800, 100));
    let part = talk.exchanges[9].response.as_ref().unwrap();
    assert_eq!((part.body_missing, part.body_skipped), (100, 0));
    assert!(!talk.exchanges[9].complete());
}

#[test]
fn what_has_no_known_length_or_is_no_message_ends_it() {
    for fields in ["Transfer-Encoding: chunked", "Connection: close", "Upgrade: websocket"] {
        let mut talk = Talk::new();
        talk.plain(9);
        talk.ask("/");
        if fields.starts_with("Upgrade") {
            let switching = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n";
            assert_eq!(talk.send(Side::Server, Chunk::Data(switching)), Some(Unwanted::Nothing));
        } else {
            assert_eq!(talk.head(fields), Some(Unwanted::Nothing), "{fields}");
        }
    }
    let mut talk = Talk::new();
    talk.plain(9);
    talk.send(Side::Client, Chunk::Data(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: \r\n\r\n"));
    let switching = b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    assert_eq!(talk.send(Side::Server, Chunk::Data(switching)), Some(Unwanted::Nothing), "HTTP/2 begins");
    assert_eq!(talk.gap(50), None);
    assert_eq!(lost(&talk.finish()), (900, 50));
}

#[test]
fn where_a_rule_may_want_contents_no_turn_is_cut() {
    let mut talk = Talk::new();
    talk.may_want = Needs { request: 0, response: 1 };
    assert_eq!(talk.plain(20), Some(Unwanted::Next(100)));
    // Rules come into force while turns are cut.
    talk.may_want = Needs { request: 1, response: 0 };
    assert_eq!(talk.plain(1), Some(Unwanted::Turns(100)));
    talk.may_want = Needs::both(1);
    talk.ask("/");
    assert_eq!(talk.head("Content-Length: 100"), Some(Unwanted::Nothing));
}
