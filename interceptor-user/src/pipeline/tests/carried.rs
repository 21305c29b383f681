use std::{io::ErrorKind, path::Path};

use super::*;
use crate::{
    inspect::{Plan, Policies, pii::Key},
    model::{Endpoint, FlowEnd, Peer},
    policy::Policy,
    session::Which,
    sink::otlp::trace::ids::Trace,
};

#[derive(Default)]
struct Kept(Vec<Exchange>);

impl Sink for Kept {
    fn record(&mut self, record: &Record) -> anyhow::Result<()> {
        if let Record::Exchange(exchange) = record {
            self.0.push(Exchange::clone(exchange));
        }
        Ok(())
    }
}

/// Under a policy with this rule.
fn under(rule: &str) -> Pipeline<Kept> {
    let head = "apiVersion: interceptor/v1alpha1\nkind: Policy\nmetadata: {name: p}";
    let policy = Policy::parse(&[("p.yaml", &format!("{head}\nspec:\n  rules: [{rule}]\n"))]).unwrap();
    let none = |_: &Path| Err(ErrorKind::NotFound.into());
    let policies = Arc::new(Policies::new(Plan::new(policy, &none, &Key::new(b"k")).unwrap()));
    let inspect = inspect::Options { policies: Some(policies), ..inspect::Options::default() };
    Pipeline::new(Options { inspect, ..Options::default() }, Kept::default())
}

/// It has no end, and nobody is to wait for one.
#[test]
fn what_a_tunnel_carries_is_not_waited_for() {
    let mut pipeline = under("{name: a, match: request.size > 1, keep: {request: 1KiB}, action: {deny: {}}}");
    let (client, server) = ends();
    for (method, target) in [("POST", "/"), ("CONNECT", "a:443")] {
        let id = pipeline.open(info(Peer::new(client), server), false);
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a:443\r\nContent-Length: 2\r\n\r\n");
        pipeline.carry(id, Side::Client, Timestamp::from_nanos(8), head.as_bytes());
        let decision = pipeline.decide(id, Which::Number(1), method, target);
        let waits = matches!(decision, Decision::Await(1024));
        assert!(waits == (method == "POST"), "{method}: {decision:?}");
        pipeline.close(id, FlowEnd::Closed, Timestamp::from_nanos(9));
    }
}

fn ends() -> (Endpoint, Endpoint) {
    let [client, server] = ["10.0.0.1:4000", "10.0.0.2:80"].map(|end| end.parse::<std::net::SocketAddr>().unwrap());
    (client.into(), server.into())
}

fn info(client: Peer, server: Endpoint) -> FlowInfo {
    FlowInfo {
        id: 0,
        key: FlowKey::new(0, ends().0, server),
        client,
        server: Peer::new(server),
        start: Timestamp::from_nanos(7),
        joined: false,
        round_trip: None,
        interface: 0,
    }
}

/// A request that another reader has read in another way is not one that there was no room for.
#[test]
fn what_there_was_no_room_to_read_is_told_from_what_is_unclear() {
    let (client, server) = ends();
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nPadding: {}\r\n\r\n", "p".repeat(4000));
    for (total, fails_closed) in [(1 << 20, false), (1 << 20, true), (100, false), (100, true)] {
        let memory = Arc::new(Budget::new(total));
        let mut pipeline = Pipeline::new(Options { memory, ..Options::default() }, Kept::default());
        let id = pipeline.open(info(Peer::new(client), server), fails_closed);
        for time in 8..11 {
            pipeline.carry(id, Side::Client, Timestamp::from_nanos(time), head.as_bytes());
        }
        for (number, method) in [(3, "POST"), (4, "GET")] {
            let decision = pipeline.decide(id, Which::Number(number), method, "/");
            let as_ought = match decision {
                Decision::Unknown => total > 100,
                Decision::Unread { fails_closed: said } => total == 100 && said == fails_closed,
                _ => false,
            };
            assert!(as_ought, "{total}, {method}: {decision:?}");
        }
        pipeline.close(id, FlowEnd::Closed, Timestamp::from_nanos(12));
    }
}

#[test]
fn a_server_is_told_of_the_trace_that_our_own_spans_have() {
    let mut pipeline = under("{name: trace, action: {trace: {}}}");
    let (client, server) = ends();
    // Of what our own pod asks, and of what it is asked.
    for (peer, side) in
        [(Peer { cookie: Some(1), ..Peer::new(client) }, Side::Client), (Peer::new(client), Side::Server)]
    {
        let id = pipeline.open(info(peer, server), false);
        pipeline.carry(id, Side::Client, Timestamp::from_nanos(8), b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let Decision::Forward(enforcement) = pipeline.decide(id, Which::Number(1), "GET", "/") else {
            panic!("refused")
        };
        let told = enforcement.traceparent.unwrap();
        pipeline.carry(id, Side::Server, Timestamp::from_nanos(9), b"HTTP/1.1 204 No Content\r\n\r\n");
        pipeline.close(id, FlowEnd::Closed, Timestamp::from_nanos(10));
        let trace = Trace::of(pipeline.sink().0.last().unwrap()).unwrap();
        let (_, span, flags) = crate::model::traceparent(told.as_bytes()).unwrap();
        assert_eq!((span, flags), (trace.span(side), 1), "{told}");
        assert_eq!(crate::model::traceparent(told.as_bytes()).unwrap().0, trace.id);
    }
}
