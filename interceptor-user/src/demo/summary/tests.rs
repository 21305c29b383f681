use std::sync::Arc;

use super::*;
use crate::model::{
    Endpoint, Fields, FlowEnd, FlowInfo, FlowKey, Head, Ledger, Part, Peer, Protocol, SocketFigures, Timestamp, Version,
};

fn flow_info() -> Arc<FlowInfo> {
    let [client, server] = [2, 1].map(|host| Endpoint::new([10, 70, 0, host].into(), 8080));
    Arc::new(FlowInfo {
        id: 1,
        key: FlowKey::new(0, client, server),
        client: Peer::new(client),
        server: Peer::new(server),
        start: Timestamp::default(),
        joined: false,
        round_trip: None,
        interface: 0,
    })
}

fn part(head: Head, first: u64, last: u64) -> Part {
    let [first_byte, last_byte] = [first, last].map(|millis| Timestamp::from_nanos(millis * 1_000_000));
    Part { ended: true, ..Part::new(head, first_byte, last_byte) }
}

fn exchange(target: &str, status: u16, millis: u64) -> Record {
    exchange_of(client::NAME, target, status, millis)
}

fn exchange_of(agent: &str, target: &str, status: u16, millis: u64) -> Record {
    let mut fields = Fields::default();
    fields.push(b"user-agent", agent.as_bytes());
    let request = Head::request("GET", target, Version::Http11, fields);
    let response = Head::response(status, Version::Http11, Fields::default());
    Record::Exchange(Box::new(Exchange {
        request: Some(part(request, 0, 0)),
        response: Some(part(response, millis, millis)),
        ..Exchange::new(flow_info(), 1, Protocol::Http1)
    }))
}

fn flow(captured: u64, lost: u64) -> Record {
    let mut side = SideLedger { carried: 107, captured, parsed: captured, ..SideLedger::default() };
    side.lose(LossReason::RingFull, lost);
    side.lose(LossReason::SkippedByPolicy, 7);
    let ledger = Ledger { client: side, server: SideLedger { kernel: true, ..SideLedger::default() } };
    let mut info = FlowInfo::clone(&flow_info());
    info.server.figures = Some(SocketFigures { srtt: Some(Duration::from_micros(50)), retransmits: 3 });
    Record::Flow(Box::new(FlowRecord {
        flow: Arc::new(info),
        end: FlowEnd::Closed,
        time: Timestamp::default(),
        protocol: Protocol::Http1,
        tls: None,
        ledger,
        exchanges: 2,
        anomalies: crate::model::Anomalies::default(),
    }))
}

fn text(summary: &Summary, tally: &Tally) -> String {
    let mut out = Vec::new();
    summary.write(&mut out, Duration::from_secs(2), Some(tally)).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn counts_latencies_and_ledger_are_shown() {
    let mut summary = Summary::default();
    let records = [exchange("/v2?x=1", 200, 2), exchange("/v2", 200, 4), exchange("/no", 404, 1), flow(90, 10)];
    for record in &records {
        summary.record(record);
    }
    let tally = Tally { answered: 3, by_status: [(200, 2), (404, 1)].into(), ..Tally::default() };
    insta::assert_snapshot!(text(&summary, &tally), @"
    3 exchanges on 1 connections in 2.0 s (1.5/s); 3 complete
    the client counted 3 answers: the same, status by status

    status   2xx 2   4xx 1
    latency  p50 2.02 ms   p90 4.00 ms   p99 4.00 ms   max 4.00 ms
    tcp      round trip p50 0.05 ms   p90 0.05 ms   p99 0.05 ms   max 0.05 ms   segments sent again 3

     count    2xx    4xx  other       p50       p99  request
         2      2      0      0   2.02 ms   4.00 ms  GET /v2
         1      0      1      0   1.00 ms   1.00 ms  GET /no

    ledger, in bytes     carried   captured    skipped       lost     parsed   reported
    client to server         107         90          7         10         90          0
        of the lost, ring_full: 10
    server to client           0          0          0          0          0          0
    balanced: carried = captured + skipped + lost, captured = parsed + reported, on each of 1 connections
    the kernel's own counters stand behind 1 of the 2 directions
    ");
}

#[test]
fn what_does_not_add_up_is_said_aloud() {
    let mut summary = Summary::default();
    for record in [exchange("/v2", 200, 2), flow(90, 9)] {
        summary.record(&record);
    }
    let tally = Tally { answered: 1, failed: 2, unexpected: 1, by_status: [(500, 1)].into() };
    let text = text(&summary, &tally);
    assert!(!summary.balanced() && !summary.agrees(&tally));
    assert!(text.contains("NOT BALANCED on 1 of 1 connections"), "{text}");
    assert!(text.contains("1 answers: NOT the same ({500: 1})"), "{text}");
    assert!(text.contains("2 without an answer, 1 with an unexpected one"), "{text}");
}

#[test]
fn others_may_ask_too() {
    let mut summary = Summary::default();
    for record in [exchange("/v2", 200, 1), exchange_of("curl/8", "/v2", 404, 1)] {
        summary.record(&record);
    }
    let tally = Tally { answered: 1, by_status: [(200, 1)].into(), ..Tally::default() };
    assert!(summary.agrees(&tally));
    assert!(text(&summary, &tally).contains("others, such as you, asked 1 times"));
}

#[test]
fn the_table_is_bounded() {
    let mut summary = Summary::default();
    (0..100).for_each(|number| summary.record(&exchange(&format!("/{number}"), 200, 1)));
    assert_eq!(summary.paths.len(), PATHS_MAX + 1);
    assert_eq!(summary.paths["(others)"].count, 100 - PATHS_MAX as u64);
}
