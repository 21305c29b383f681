use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::*;
use crate::{
    model::{FlowKey, FlowRecord, Peer, Process},
    sink::sample,
};

fn map() -> Map {
    Map::new(Limits::default())
}

/// The sample's exchange between these ends.
fn between(client: &str, server: &str) -> Exchange {
    Exchange { flow: Arc::new(sample::flow(client, server)), ..sample::exchange() }
}

fn taken(map: &mut Map, exchange: Exchange) {
    map.record(&Record::Exchange(Box::new(exchange)));
}

fn named(map: &mut Map, name: &str) {
    let mut exchange = sample::chat();
    exchange.inference.as_mut().expect("one").model = Some(name.to_owned());
    taken(map, exchange);
}

/// One edge, as its client, its server and its exchanges.
fn shown(map: &Map) -> Vec<(String, String, u64)> {
    let edges = map.chart().edges;
    edges.into_iter().map(|edge| (edge.client.name, edge.server.name, edge.exchanges)).collect()
}

fn process(peer: &mut Peer, pid: u32, command: &str) {
    peer.process = Some(Process { pid, command: command.into() });
    peer.cookie = Some(u64::from(pid));
}

#[test]
fn exchanges_and_connections_are_edges() {
    let mut map = map();
    for exchange in [sample::exchange(), sample::exchange(), sample::chat(), sample::call()] {
        taken(&mut map, exchange);
    }
    let mut failed = sample::exchange();
    failed.response = Some(sample::response(503, &[], b"no"));
    taken(&mut map, failed);
    map.record(&Record::Flow(Box::new(sample::tls_flow())));
    let chart = map.chart();
    insta::assert_snapshot!("table", Table { chart: &chart, colour: false }.to_string());
    insta::assert_snapshot!("dot", Dot(&chart).to_string());
    insta::assert_snapshot!("mermaid", Mermaid(&chart).to_string());
    insta::assert_snapshot!("json", serde_json::to_string_pretty(&chart).expect("JSON"));
    let again: Chart = serde_json::from_str(&serde_json::to_string(&chart).expect("JSON")).expect("a chart");
    assert_eq!(again, chart);
}

#[test]
fn what_both_ends_saw_is_one_edge_and_counted_once() {
    let mut map = map();
    let mut of_client = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
    let mut of_server = of_client.clone();
    process(&mut of_client.client, 7, "caller");
    process(&mut of_server.server, 9, "called");
    for flow in [of_client, of_server] {
        let flow = Arc::new(flow);
        (0..5).for_each(|_| taken(&mut map, Exchange { flow: Arc::clone(&flow), ..sample::exchange() }));
    }
    assert_eq!(shown(&map), [("caller[7]".to_owned(), "called[9]".to_owned(), 5)]);
}

#[test]
fn an_address_that_several_use_stays_an_address() {
    let mut map = map();
    for pid in [7, 8] {
        let mut flow = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
        process(&mut flow.client, pid, "caller");
        taken(&mut map, Exchange { flow: Arc::new(flow), ..sample::exchange() });
    }
    taken(&mut map, between("10.0.0.1:40001", "10.0.0.3:80"));
    let clients: HashSet<String> = map.chart().edges.into_iter().map(|edge| edge.client.name).collect();
    assert_eq!(clients, HashSet::from(["caller[7]", "caller[8]", "10.0.0.1"].map(str::to_owned)));
}

#[test]
fn failures_are_those_of_the_server_and_of_nobody() {
    let mut map = map();
    let mut gone = sample::exchange();
    gone.response = None;
    taken(&mut map, gone);
    let mut refused = sample::exchange();
    refused.response = Some(sample::response(404, &[], b""));
    taken(&mut map, refused);
    let edge = map.chart().edges.remove(0);
    assert_eq!((edge.exchanges, edge.errors), (2, 1));
}

#[test]
fn a_crowd_of_clients_is_its_networks_and_then_other() {
    let mut map = map();
    for number in 0..100_000_u32 {
        let client = IpAddr::from(Ipv4Addr::from_bits(0x0b00_0000 + number * 7));
        taken(&mut map, between(&format!("{client}:40000"), "10.0.0.2:80"));
    }
    // Each with a model of its own.
    (0..100_000).for_each(|number| named(&mut map, &format!("{number}{}", "x".repeat(1_000))));
    let limits = Limits::default();
    assert!(map.nodes.len() <= limits.nodes, "{} nodes", map.nodes.len());
    assert!(map.edges.len() <= limits.edges + Spoken::COUNT, "{} edges", map.edges.len());
    assert!(map.models.len() <= limits.edges / 2 + 1 && map.models.iter().all(|name| name.len() <= MODEL_BYTES));
    assert!(map.neighbours.len() <= limits.nodes && map.names.len() <= 2 * limits.nodes);
    let chart = map.chart();
    assert_eq!(chart.edges.iter().map(|edge| edge.exchanges).sum::<u64>(), 200_000, "none is lost");
    assert!(chart.folded > 190_000 && chart.folded < 200_000, "{} were folded", chart.folded);
    let has = |kind: &str| chart.edges.iter().any(|edge| edge.client.kind == kind);
    assert!(has("address") && has("network") && has("other"));
    // Who is known finds room after them.
    let mut flow = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
    process(&mut flow.client, 7, "caller");
    let node = map.admit(Node::of(&flow.client, Side::Client), Side::Client);
    assert_eq!(node.to_string(), "caller[7]");
}

#[test]
fn what_is_idle_makes_room() {
    let mut map = map();
    (0..20).for_each(|last| taken(&mut map, between(&format!("10.0.0.{last}:40000"), "10.0.1.1:80")));
    assert_eq!(map.chart().folded, 4);
    map.forget(sample::at(0) + Duration::from_mins(50));
    assert_eq!(map.edges.len(), NEIGHBOURS + 1);
    map.forget(sample::at(0) + Duration::from_mins(70));
    assert_eq!((map.edges.len(), map.nodes.len(), map.neighbours.len(), map.models.len()), (0, 0, 0, 0));
}

#[test]
fn hostile_names_stay_within_their_labels() {
    let mut map = map();
    let names =
        ["a\"]; end\n subgraph x", "]]>--><script>alert(1)</script>", "\\", "\\\"", "%%{init: {}}%%", "`#quot;"];
    for name in names {
        named(&mut map, name);
    }
    let chart = map.chart();
    insta::assert_snapshot!("hostile_dot", Dot(&chart).to_string());
    let mermaid = Mermaid(&chart).to_string();
    insta::assert_snapshot!("hostile_mermaid", mermaid);
    let table = Table { chart: &chart, colour: false }.to_string();
    assert_eq!(table.lines().count(), names.len() + 3, "each edge is a line:\n{table}");
    for line in mermaid.lines().skip(1) {
        assert_eq!(line.matches('"').count(), 2, "{line}");
        assert!(!line.contains("%%") && !line.contains("<script"), "{line}");
    }
}

#[test]
fn colours_are_for_what_failed() {
    let mut map = map();
    taken(&mut map, sample::exchange());
    let red = |map: &Map| Table { chart: &map.chart(), colour: true }.to_string().contains("31m");
    assert!(!red(&map));
    let mut failed = sample::exchange();
    failed.response = None;
    taken(&mut map, failed);
    assert!(red(&map));
    assert!(!Table { chart: &map.chart(), colour: false }.to_string().contains('\x1b'));
}

#[test]
fn each_interval_is_told_once_and_together_they_are_all() {
    let shared = Shared::new(Limits::default(), Some(Duration::from_mins(1)));
    let record = Record::Exchange(Box::new(sample::exchange()));
    let mut told = Vec::new();
    (0..3).for_each(|_| told.extend(shared.record(&record)));
    told.extend(shared.tick(sample::at(1_000_000)));
    assert!(told.is_empty(), "the minute goes on");
    told.extend(shared.tick(sample::at(60_000_000_000)));
    assert_eq!(told.len(), 1);
    let minute = 60_000_000_000;
    assert_eq!((told[0].exchanges, told[0].errors, told[0].port), (3, 0, Some(8000)));
    assert_eq!((told[0].start.as_nanos() % minute, told[0].end.since(told[0].start)), (0, Duration::from_mins(1)));
    assert!(shared.tick(sample::at(600_000_000_000)).is_empty(), "nothing happened");
    // By the next record, too, and at the end what is left.
    shared.record(&record);
    let later = Record::Flow(Box::new(FlowRecord { time: sample::at(2 * minute), ..sample::tls_flow() }));
    told.extend(shared.record(&later));
    assert_eq!(told.len(), 2);
    told.extend(shared.end());
    assert!(shared.end().is_empty());
    let sum = |of: fn(&crate::model::EdgeRecord) -> u64| told.iter().map(of).sum::<u64>();
    assert_eq!((sum(|edge| edge.exchanges), sum(|edge| edge.connections)), (4, 1));
    assert!(Shared::new(Limits::default(), None).end().is_empty());
}

/// The exchange as if it had been at this minute.
fn at(minute: u64, mut exchange: Exchange) -> Record {
    let time = sample::at(minute * 60_000_000_000);
    for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
        (part.first_byte, part.last_byte) = (time, time);
    }
    Record::Exchange(Box::new(exchange))
}

#[test]
fn what_was_counted_stays_though_part_of_it_is_forgotten() {
    let shared = Shared::new(Limits::default(), None);
    let asked = |minute, model: &str| {
        let mut exchange = sample::chat();
        exchange.inference.as_mut().expect("one").model = Some(model.to_owned());
        shared.record(&at(minute, exchange));
    };
    let total = || shared.calls().0.iter().map(|call| (call.total, call.times[1].count)).collect::<Vec<_>>();
    for model in ["a", "a", "a", "b", "b"] {
        asked(0, model);
    }
    let five = total();
    assert_eq!((five.len(), five[0].0), (1, 5));
    asked(59, "a");
    shared.tick(sample::at(61 * 60_000_000_000));
    assert_eq!(shared.chart().edges.len(), 1, "nobody asked for b within an hour");
    let six = total();
    assert_eq!(six[0].0, 6);
    assert!(six[0].1 >= five[0].1);
    shared.tick(sample::at(200 * 60_000_000_000));
    assert!(total().is_empty());
}

#[test]
fn what_both_ends_saw_is_told_in_one_interval() {
    let shared = Shared::new(Limits::default(), Some(Duration::from_mins(1)));
    let seen_by = |side: Side| {
        let mut flow = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
        process(flow.peer_mut(side), 7 + side as u32, "someone");
        Exchange { flow: Arc::new(flow), ..sample::exchange() }
    };
    let mut told = shared.record(&at(0, seen_by(Side::Client)));
    // Of the same exchange, at the end that hears of it in the next minute; and one that comes late.
    told.extend(shared.record(&at(1, seen_by(Side::Server))));
    told.extend(shared.record(&at(0, seen_by(Side::Client))));
    told.extend(shared.end());
    assert_eq!(told.iter().map(|edge| edge.exchanges).sum::<u64>(), 2, "{told:#?}");
}

#[test]
fn an_edge_has_the_rate_of_its_own_time() {
    let mut map = map();
    map.record(&at(0, sample::exchange()));
    (0..60).for_each(|_| map.record(&at(60, sample::chat())));
    map.record(&at(61, sample::exchange()));
    let rates: Vec<_> = map.chart().edges.iter().map(|edge| edge.rate).collect();
    assert_eq!(rates, [Some(1.0), Some(2.0 / (61.0 * 60.0))]);
}

#[test]
fn ends_of_no_edge_make_room() {
    let mut map = map();
    for last in 1..=100 {
        let mut flow = sample::flow(&format!("10.0.{last}.1:40000"), "10.0.0.2:80");
        // Two namespaces show the socket, and the first counts.
        flow.key = FlowKey::new(if last == 1 { 1 } else { 2 }, flow.client.endpoint, flow.server.endpoint);
        flow.client.cookie = Some(7);
        taken(&mut map, Exchange { flow: Arc::new(flow), ..sample::exchange() });
    }
    let before = map.nodes.len();
    map.forget(map.span.expect("one").1);
    assert_eq!((before, map.nodes.len(), map.edges.len()), (101, 2, 1));
}

#[test]
fn what_is_idle_for_less_than_an_interval_is_told_all_the_same() {
    let limits = Limits { idle: Duration::from_secs(1), ..Limits::default() };
    let shared = Shared::new(limits, Some(Duration::from_hours(1)));
    shared.record(&at(0, sample::exchange()));
    let told: Vec<_> = (1..=60).flat_map(|minute| shared.tick(sample::at(minute * 60_000_000_000))).collect();
    assert_eq!(told.iter().map(|edge| edge.exchanges).sum::<u64>(), 1);
}

#[test]
fn what_was_counted_by_an_address_is_its_owners_once_that_is_known() {
    let shared = Shared::new(Limits::default(), Some(Duration::from_mins(1)));
    let asked = |known: bool| {
        let mut flow = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
        if known {
            process(flow.peer_mut(Side::Client), 7, "caller");
        }
        Exchange { flow: Arc::new(flow), ..sample::exchange() }
    };
    let calls = || shared.calls().0.into_iter().map(|call| (call.client, call.total)).collect::<Vec<_>>();
    // A page is asked for, and an interval ends, before it is known whose the address is.
    let mut told = shared.record(&at(0, asked(false)));
    assert_eq!(calls(), [("10.0.0.1".to_owned(), 1)]);
    told.extend(shared.tick(sample::at(60_000_000_000)));
    for _ in 0..2 {
        told.extend(shared.record(&at(1, asked(true))));
        calls();
    }
    assert_eq!(calls(), [("caller[7]".to_owned(), 3)]);
    told.extend(shared.end());
    assert_eq!(told.iter().map(|edge| edge.exchanges).collect::<Vec<_>>(), [1, 2], "{told:#?}");
}

#[test]
fn a_connection_that_two_namespaces_show_is_counted_in_one() {
    let mut map = map();
    let zone = |zone, known: &[Side]| {
        let mut flow = sample::flow("10.0.0.1:40000", "10.0.0.2:80");
        flow.key = FlowKey::new(zone, flow.client.endpoint, flow.server.endpoint);
        for side in known {
            flow.peer_mut(*side).cookie = Some(7 + *side as u64);
        }
        flow
    };
    let mut of_client = zone(2, &Side::BOTH);
    of_client.client.process = Some(Process { pid: 7, command: "caller".into() });
    for flow in [zone(1, &Side::BOTH), of_client, zone(3, &[Side::Server])] {
        let flow = Arc::new(flow);
        (0..5).for_each(|_| taken(&mut map, Exchange { flow: Arc::clone(&flow), ..sample::exchange() }));
    }
    assert_eq!(shown(&map), [("caller[7]".to_owned(), "10.0.0.2".to_owned(), 5)]);
    // However many there are.
    for cookie in 0..100_000 {
        let mut flow = zone(1, &[]);
        flow.client.cookie = Some(cookie);
        assert!(!map.connections.counted_elsewhere(&flow) || cookie == 7 || cookie == 8);
    }
    assert!(map.connections.len() <= 8192, "{}", map.connections.len());
}
