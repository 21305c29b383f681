//! In which order segments come, and what they repeat.

use Side::{Client, Server};

use super::*;
use crate::capture::memory::Conversation;

fn data(side: Side, bytes: &str) -> Told {
    Told::Data(side, bytes.as_bytes().to_vec())
}

#[test]
fn a_whole_conversation_comes_out_as_said() {
    let segments = Conversation::http().open().client("ask").server("answer").close().segments();
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    let told = bench.told(1);
    assert_eq!(
        told[..5],
        [Told::Opened, data(Client, "ask"), data(Server, "answer"), Told::Finished(Client), Told::Finished(Server)]
    );
    let (end, ledger) = bench.ended(1);
    assert_eq!(end, FlowEnd::Closed);
    assert_eq!((ledger.client.captured, ledger.server.captured), (3, 6));
    assert_eq!(ledger.client.lost_total() + ledger.server.lost_total(), 0);
    assert!(!bench.infos[0].joined);
    assert_eq!(bench.infos[0].client.endpoint.port(), 40_000);
}

#[test]
fn out_of_order_is_put_in_order() {
    let segments = Conversation::http().mss(2).open().client("abcdef").segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5, 4, 3])).finish();
    assert_eq!(bench.bytes(1, Client), b"abcdef");
    assert!(bench.gaps(1).is_empty());
}

#[test]
fn sequence_numbers_wrap() {
    let conversation = Conversation::http().isns(u32::MAX - 3, u32::MAX - 1).mss(2).open();
    let segments = conversation.client("abcdef").server("uvwxyz").close().segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5, 3, 4, 8, 7, 6, 9, 10, 11])).finish();
    assert_eq!(bench.bytes(1, Client), b"abcdef");
    assert_eq!(bench.ended(1).0, FlowEnd::Closed);
}

#[test]
fn overlaps_keep_the_first_copy_and_tell_of_differences() {
    let mut segments = Conversation::http().open().client("abcdef").segments();
    let whole = segments[3].clone();
    let part = |from: usize, bytes: &str| {
        let mut part = whole.clone();
        part.seq = whole.seq.wrapping_add(from as u32);
        part.payload = bytes.into();
        part.wire_len = bytes.len() as u32;
        part
    };
    segments.truncate(3);
    // Queued first: "cd" and "f"; then "XdeY" overlaps both, then everything fills the hole.
    segments.extend([part(2, "cd"), part(5, "f"), part(2, "XdeY"), part(0, "abcdef")]);
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!(bench.bytes(1, Client), b"abcdef");
    assert_eq!(bench.told(1).iter().filter(|told| **told == Told::Differs(Client)).count(), 2);
    assert_eq!(bench.ended(1).1.client.duplicate, 3 + 4);
}

#[test]
fn a_retransmission_that_differs_from_what_was_delivered_is_told() {
    let mut segments = Conversation::http().open().client("first").client("second").segments();
    let mut again = segments[3].clone();
    segments.push(again.clone());
    again.payload = b"FIRST".to_vec();
    segments.push(again);
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!(bench.bytes(1, Client), b"firstsecond");
    assert_eq!(bench.told(1).iter().filter(|told| **told == Told::Differs(Client)).count(), 1, "the same does not");
    assert_eq!(bench.ended(1).1.client.duplicate, 10);
}

#[test]
fn of_a_longer_segment_the_first_bytes_are_compared() {
    let body = "x".repeat(1000);
    let segments = Conversation::http().open().client("first").client(&body).segments();
    for (at, told) in [(0, 1), (255, 1), (256, 0), (999, 0)] {
        let mut again = segments[4].clone();
        again.payload[at] = b'y';
        let mut bench = Bench::new();
        bench.run(&segments).run(&[again]).finish();
        assert_eq!(bench.told(1).iter().filter(|told| **told == Told::Differs(Client)).count(), told, "byte {at}");
    }
}

#[test]
fn keep_alives_and_window_probes_are_no_news() {
    let mut segments = Conversation::http().open().client("ask").server("answer").ack(Client).segments();
    let mut probe = segments.last().unwrap().clone();
    probe.seq = probe.seq.wrapping_sub(1);
    segments.push(probe.clone());
    probe.payload = vec![0];
    probe.wire_len = 1;
    segments.push(probe);
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!(bench.bytes(1, Client), b"ask");
    assert!(!bench.told(1).contains(&Told::Differs(Client)));
    assert!(bench.gaps(1).is_empty());
    assert_eq!(bench.ended(1).1.client.duplicate, 1);
}

#[test]
fn data_in_the_syn_is_data() {
    let segments = Conversation::http()
        .segment(Client, TcpFlags::SYN, b"early")
        .segment(Server, TcpFlags(18), b"")
        .client("late")
        .segments();
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!(bench.bytes(1, Client), b"earlylate");
    assert!(bench.gaps(1).is_empty());
}

#[test]
fn data_in_a_refused_syn_is_delivered_once() {
    let mut segments = Conversation::http().segment(Client, TcpFlags::SYN, b"early").segments();
    segments.extend(Conversation::http().open().client("early").segments().split_off(1));
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!(bench.bytes(1, Client), b"early");
    assert_eq!(bench.ended(1).1.client.duplicate, 5);
}

#[test]
fn an_acknowledgement_gives_a_hole_up_before_the_answer() {
    let segments = Conversation::http().open().client("lost").server("answer").client("next").segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 4, 5])).finish();
    assert_eq!(
        bench.told(1)[1..4],
        [Told::Gap(Client, 4, LossReason::NotSeen), data(Server, "answer"), data(Client, "next")]
    );
}

#[test]
fn an_acknowledgement_of_part_gives_up_that_part() {
    let segments = Conversation::http().mss(2).open().client("abcdef").segments();
    let mut bench = Bench::new();
    let mut ack = Conversation::http().open().ack(Server).segments().pop().unwrap();
    ack.ack = segments[3].seq.wrapping_add(2);
    bench.run(&pick(&segments, &[0, 1, 2, 5])).run(&[ack]);
    assert_eq!(bench.gaps(1), [(Client, 2, LossReason::NotSeen)]);
    bench.run(&pick(&segments, &[4])).finish();
    assert_eq!(bench.bytes(1, Client), b"cdef");
    assert_eq!(bench.gaps(1).len(), 1);
}

#[test]
fn the_acknowledgement_of_syn_and_fin_is_no_byte() {
    let segments = Conversation::http().open().client("ask").fin(Client).ack(Server).server("rest").fin(Server);
    let segments = segments.ack(Client).segments();
    for missing in [4, 5, 7] {
        // The client's FIN, its acknowledgement, the server's FIN.
        let mut bench = Bench::new();
        let kept: Vec<usize> = (0..segments.len()).filter(|at| *at != missing).collect();
        bench.run(&pick(&segments, &kept)).finish();
        assert!(bench.gaps(1).is_empty(), "{missing}: {:?}", bench.gaps(1));
        assert_eq!(bench.bytes(1, Server), b"rest");
    }
}

#[test]
fn a_lost_byte_is_told_from_an_unseen_fin_by_what_follows() {
    let segments = Conversation::http().mss(1).open().client("abc").ack(Server).segments();
    let mut bench = Bench::new();
    // "b" is lost; when "c" comes, it is clear that the acknowledgement did not mean a FIN.
    let mut ack = segments[6].clone();
    ack.ack = ack.ack.wrapping_sub(1);
    bench.run(&pick(&segments, &[0, 1, 2, 3])).run(&[ack]);
    assert!(bench.gaps(1).is_empty());
    bench.run(&pick(&segments, &[5]));
    assert_eq!(bench.gaps(1), [(Client, 1, LossReason::NotSeen)]);
    bench.finish();
    assert_eq!(bench.bytes(1, Client), b"ac");
}

#[test]
fn a_fin_that_was_counted_as_a_byte_is_taken_back() {
    // Lost: the data and the FIN. The acknowledgement covers 4 + 1; then the FIN is sent again.
    let segments = Conversation::http().open().client("lost").fin(Client).ack(Server).segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5, 4])).finish();
    assert_eq!(bench.ended(1).1.client.lost_total(), 4);
    assert!(bench.told(1).contains(&Told::Finished(Client)));
}

#[test]
fn a_gap_is_given_up_by_amount() {
    let limits = Limits { gap_bytes: 1000, ..Limits::default() };
    let segments = Conversation::http().mss(100).open().client([b'x'; 2000]).segments();
    let mut bench = Bench::with(limits);
    let kept: Vec<usize> = (0..segments.len()).filter(|at| *at != 3).collect();
    bench.run(&pick(&segments, &kept));
    assert_eq!(bench.gaps(1), [(Client, 100, LossReason::NotSeen)]);
    assert_eq!(bench.bytes(1, Client).len(), 1900);
}

#[test]
fn a_gap_is_given_up_by_time() {
    let segments = Conversation::http().mss(2).open().client("abcdef").segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5]));
    bench.tick(after(&segments[5], Duration::from_millis(990)));
    assert!(bench.gaps(1).is_empty());
    bench.tick(after(&segments[5], Duration::from_secs(1)));
    assert_eq!(bench.gaps(1), [(Client, 4, LossReason::NotSeen)]);
    // What comes later is late, and no byte is handed over twice.
    bench.run(&pick(&segments, &[3, 4])).finish();
    assert_eq!(bench.bytes(1, Client), b"ef");
}

#[test]
fn memory_limits_give_holes_up_and_lose_nothing_else() {
    let limits = Limits { flow_bytes: 1000, ..Limits::default() };
    let segments = Conversation::http().mss(10).open().client([b'x'; 400]).segments();
    let mut bench = Bench::with(limits);
    let kept: Vec<usize> = (0..segments.len()).filter(|at| *at < 3 || at % 2 == 0).collect();
    for at in kept {
        bench.run(&segments[at..=at]);
        assert!(bench.table.queued_bytes() <= 1000);
    }
    bench.finish();
    assert_eq!(bench.bytes(1, Client).len(), 200);
    assert!(bench.gaps(1).iter().any(|gap| gap.2 == LossReason::MemoryLimit));
}

#[test]
fn the_total_limit_holds_over_flows() {
    let limits = Limits { total_bytes: 500, ..Limits::default() };
    let mut bench = Bench::with(limits);
    for port in 1..20 {
        let client = std::net::SocketAddr::from(([192, 0, 2, 1], 40_000 + port));
        let server = std::net::SocketAddr::from(([192, 0, 2, 2], 80));
        let segments = Conversation::new(client, server).mss(100).open().client([b'x'; 200]).segments();
        bench.run(&pick(&segments, &[0, 1, 2, 4]));
        assert!(bench.table.queued_bytes() <= 500);
    }
    bench.finish();
    assert_eq!(bench.gaps(1), [(Client, 100, LossReason::NotSeen)]);
    assert_eq!(bench.gaps(19), [(Client, 100, LossReason::MemoryLimit)]);
}

#[test]
fn cut_segments_leave_a_gap_of_the_rest() {
    let mut segments = Conversation::http().mss(10).open().client("0123456789abcdefghij").segments();
    for segment in &mut segments[3..5] {
        segment.payload.truncate(4);
        segment.cut = Some(LossReason::PayloadLimit);
    }
    for order in [[0, 1, 2, 3, 4], [0, 1, 2, 4, 3]] {
        let mut bench = Bench::new();
        bench.run(&pick(&segments, &order)).finish();
        let gap = Told::Gap(Client, 6, LossReason::PayloadLimit);
        assert_eq!(bench.told(1)[1..5], [data(Client, "0123"), gap.clone(), data(Client, "abcd"), gap]);
        assert_eq!(bench.ended(1).1.client.lost[LossReason::PayloadLimit as usize], 12);
    }
}
