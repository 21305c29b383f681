use std::{collections::HashSet, sync::Arc};

use super::*;
use crate::{model::FlowInfo, sink::sample};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn exchange(parent: Option<&str>) -> Exchange {
    let lines: Vec<_> = parent.map(|parent| ("traceparent", parent)).into_iter().collect();
    Exchange { request: Some(sample::request("GET", "/", &lines, b"")), ..sample::exchange() }
}

fn trace(exchange: &Exchange) -> Trace {
    Trace::of(exchange).expect("it has a request")
}

fn with_flow(exchange: &Exchange, change: impl FnOnce(&mut FlowInfo)) -> Exchange {
    let mut flow = FlowInfo::clone(&exchange.flow);
    change(&mut flow);
    Exchange { flow: Arc::new(flow), ..exchange.clone() }
}

#[test]
fn two_captures_of_a_traced_exchange_agree() {
    let one = exchange(Some(PARENT));
    let other = with_flow(&one, |flow| {
        (flow.id, flow.start) = (99, sample::at(12_345));
        flow.key = crate::model::FlowKey::new(7, flow.client.endpoint, flow.server.endpoint);
    });
    assert_eq!(trace(&one), trace(&other));
    assert_eq!(trace(&one).span(Side::Client), trace(&other).span(Side::Client));
    assert_eq!(trace(&one).parent, Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]));
}

#[test]
fn spans_that_differ_have_ids_that_differ() {
    let one = exchange(Some(PARENT));
    let streams = [Some(5), Some(7)].map(|stream| Exchange { stream, ..one.clone() });
    let others = [
        one.clone(),
        Exchange { number: 4, ..one.clone() },
        exchange(Some(&PARENT.replace("b7ad", "b7ae"))),
        exchange(Some(&PARENT.replace("0af7", "0af8"))),
        with_flow(&one, |flow| {
            flow.client = crate::model::Peer::new("10.0.0.2:40001".parse::<std::net::SocketAddr>().unwrap().into());
        }),
        exchange(None),
    ];
    let all: Vec<_> = others.iter().chain(&streams).map(trace).collect();
    let ids: HashSet<_> = all.iter().flat_map(|trace| Side::BOTH.map(|side| trace.span(side))).collect();
    assert_eq!(ids.len(), 2 * all.len());
}

#[test]
fn a_trace_that_begins_here_is_one_for_each_exchange() {
    let one = exchange(None);
    assert_eq!(trace(&one), trace(&one), "asked again, it is the same");
    assert_eq!(trace(&one).parent, None);
    assert_ne!(trace(&one).id, trace(&Exchange { number: 4, ..one.clone() }).id);
    assert_ne!(trace(&one).id, trace(&with_flow(&one, |flow| flow.id = 2)).id);
    assert_eq!(Trace::of(&Exchange { request: None, ..one }), None);
}

#[test]
fn what_the_wire_decided_is_respected_and_the_rest_drawn() {
    let sampled = |parent: &str, part| trace(&exchange(Some(parent))).is_sampled(part);
    assert!(sampled(PARENT, 0.0));
    assert!(!sampled(&PARENT.replace("-01", "-00"), 1.0));
    let count = |part| {
        let draw = |number| trace(&Exchange { number, ..exchange(None) }).is_sampled(part);
        (0..2000).filter(|number| draw(*number)).count()
    };
    assert_eq!((count(0.0), count(1.0)), (0, 2000));
    assert!((400..600).contains(&count(0.25)), "{}", count(0.25));
}
