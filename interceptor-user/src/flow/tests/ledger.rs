//! Where the bytes went.

use Side::Client;

use super::*;
use crate::{
    capture::memory::Conversation,
    model::{LossReport, SocketFigures, SocketReport},
};

fn closed(of: &OwnedSegment, bytes_acked: u64, bytes_received: u64) -> Event<'static> {
    Event::Socket(of.closed(bytes_acked, bytes_received))
}

fn loss(of: &OwnedSegment, reason: LossReason, bytes: u64) -> Event<'static> {
    Event::Loss(LossReport { zone: 0, source: of.source, destination: of.destination, bytes, reason })
}

#[test]
fn the_kernel_counts_what_we_never_saw() {
    let segments = Conversation::http().open().client("ask").server("answer").segments();
    let mut bench = Bench::new();
    bench.run(&segments).event(&closed(&segments[3], 10, 6)).finish();
    let ledger = bench.ended(1).1;
    assert_eq!((ledger.client.carried, ledger.client.kernel, ledger.client.captured), (10, true, 3));
    assert_eq!(ledger.client.lost[LossReason::NotSeen as usize], 7);
    assert_eq!((ledger.server.carried, ledger.server.kernel, ledger.server.lost_total()), (6, true, 0));
}

#[test]
fn each_sockets_figures_are_its_sides() {
    let segments = Conversation::http().open().client("ask").server("answer").segments();
    let figures = |of: &OwnedSegment, micros: u64, retransmits: u32| {
        let Event::Socket(report) = closed(of, 3, 6) else { unreachable!("it is one") };
        Event::Socket(SocketReport { srtt: Duration::from_micros(micros), retransmits, ..report })
    };
    let mut bench = Bench::new();
    bench.run(&segments).event(&figures(&segments[3], 250, 2)).event(&figures(&segments[4], 0, 0)).finish();
    let [client, server] = Side::BOTH.map(|side| bench.infos[0].peer(side).figures);
    let srtt = Some(Duration::from_micros(250));
    assert_eq!(client, Some(SocketFigures { srtt, retransmits: 2 }));
    assert_eq!(server, Some(SocketFigures { srtt: None, retransmits: 0 }), "0 is no measurement");
    let mut bench = Bench::new();
    bench.run(&segments).event(&figures(&segments[4], 90, 1)).finish();
    let [client, server] = Side::BOTH.map(|side| bench.infos[0].peer(side).figures);
    assert_eq!((client, server.map(|figures| figures.retransmits)), (None, Some(1)));
}

#[test]
fn both_sockets_reports_are_taken_for_what_they_prove() {
    let segments = Conversation::http().open().client("ask").server("answer").segments();
    let mut bench = Bench::new();
    // The server received more than the client knows to be acknowledged.
    bench.run(&segments).event(&closed(&segments[3], 2, 6)).event(&closed(&segments[4], 6, 3)).finish();
    let ledger = bench.ended(1).1;
    assert_eq!((ledger.client.carried, ledger.client.kernel, ledger.client.lost_total()), (3, true, 0));
}

#[test]
fn what_was_captured_and_never_acknowledged_was_carried_all_the_same() {
    let segments = Conversation::http().open().client("ask").segments();
    let mut bench = Bench::new();
    bench.run(&segments).event(&closed(&segments[3], 0, 0)).finish();
    let client = bench.ended(1).1.client;
    assert_eq!((client.carried, client.captured, client.kernel), (3, 3, false));
}

#[test]
fn loss_reports_tell_the_reason_before_or_after() {
    let segments = Conversation::http().open().client("lost").server("answer").client("next").segments();
    for early in [true, false] {
        let mut bench = Bench::new();
        if early {
            bench.event(&loss(&segments[3], LossReason::RingFull, 4));
        }
        bench.run(&pick(&segments, &[0, 1, 2, 4, 5]));
        if !early {
            bench.event(&loss(&segments[3], LossReason::RingFull, 4));
        }
        bench.finish();
        let client = bench.ended(1).1.client;
        assert_eq!((client.lost[LossReason::RingFull as usize], client.lost_total()), (4, 4), "early: {early}");
    }
}

#[test]
fn loss_reports_explain_no_more_than_is_missing() {
    let segments = Conversation::http().open().client("lost").server("answer").segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 4]));
    // A retransmission was dropped as well.
    bench.event(&loss(&segments[3], LossReason::RingFull, 8)).finish();
    assert_eq!(bench.ended(1).1.client.lost_total(), 4);
}

#[test]
fn a_joined_flow_owes_the_rest_to_the_time_before() {
    let segments = Conversation::http().open().client("old").server("answer").client("new").segments();
    let mut bench = Bench::new();
    bench.run(&segments[5..]).event(&closed(&segments[3], 6, 6)).finish();
    let ledger = bench.ended(1).1;
    assert_eq!((ledger.client.carried, ledger.client.captured), (6, 3));
    assert_eq!(ledger.client.lost[LossReason::BeforeJoin as usize], 3);
    assert_eq!(ledger.server.lost[LossReason::BeforeJoin as usize], 6);
}

#[test]
fn a_joined_flow_still_knows_what_it_dropped() {
    let segments = Conversation::http().open().client("old").server("answer").client("new").segments();
    let mut bench = Bench::new();
    bench.run(&segments[5..]).event(&loss(&segments[3], LossReason::SkippedByPolicy, 2));
    bench.event(&closed(&segments[3], 8, 0)).finish();
    let client = bench.ended(1).1.client;
    assert_eq!(client.lost[LossReason::SkippedByPolicy as usize], 2);
    assert_eq!(client.lost[LossReason::BeforeJoin as usize], 3);
}

#[test]
fn the_kernel_settles_whether_a_byte_was_a_fin() {
    // The data and the FIN are both lost; the acknowledgement covers 4 + 1.
    let segments = Conversation::http().open().client("lost").fin(Client).ack(Side::Server).segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5])).event(&closed(&segments[3], 4, 0)).finish();
    let client = bench.ended(1).1.client;
    assert_eq!((client.carried, client.kernel, client.lost_total()), (4, true, 4));
}

#[test]
fn a_flow_of_which_everything_was_lost_has_a_ledger() {
    let segments = Conversation::http().open().client("ask").segments();
    let mut bench = Bench::new();
    bench.event(&loss(&segments[3], LossReason::RingFull, 3)).event(&closed(&segments[3], 3, 0)).finish();
    let (end, ledger) = bench.ended(1);
    assert_eq!((end, ledger.client.carried), (FlowEnd::Closed, 3));
    assert_eq!(ledger.client.lost[LossReason::RingFull as usize], 3);
}

#[test]
fn losses_of_flows_never_seen_are_counted() {
    let segments = Conversation::http().open().client("ask").segments();
    let mut bench = Bench::new();
    bench.event(&loss(&segments[3], LossReason::RingFull, 3)).finish();
    assert_eq!((bench.told.len(), bench.table.stats().unattributed_loss), (0, 3));
}
