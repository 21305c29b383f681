//! How flows begin and end.

use Side::{Client, Server};

use super::*;
use crate::{
    capture::memory::Conversation,
    model::{Endpoint, Owner, Process, SocketChange, SocketReport},
};

fn report(change: SocketChange, of: &OwnedSegment, cookie: u64) -> SocketReport {
    SocketReport {
        cookie,
        cgroup: Some(77),
        process: Some(Process { pid: 42, command: "curl".into() }),
        ..of.report(change)
    }
}

#[test]
fn a_closed_flow_lingers_and_absorbs_what_is_late() {
    let segments = Conversation::http().open().client("ask").server("answer").close().segments();
    let last = segments.last().unwrap();
    let mut bench = Bench::new();
    bench.run(&segments);
    assert_eq!(bench.table.len(), 1);
    bench.run(&pick(&segments, &[3, 4, 5]));
    bench.tick(after(last, Duration::from_millis(500)));
    assert_eq!(bench.table.len(), 1);
    bench.tick(after(last, Duration::from_secs(1)));
    assert!(bench.table.is_empty());
    assert_eq!(bench.infos.len(), 1, "late segments make no new flow");
    let (end, ledger) = bench.ended(1);
    assert_eq!((end, ledger.client.duplicate, ledger.server.duplicate), (FlowEnd::Closed, 3, 6));
}

#[test]
fn late_acknowledgements_and_resets_open_no_flow() {
    let segments = Conversation::http().open().client("ask").close().reset(Server).segments();
    let mut bench = Bench::with(Limits { linger: Duration::ZERO, ..Limits::default() });
    bench.run(&segments);
    assert!(bench.table.is_empty(), "without linger a flow ends when it closes");
    assert_eq!(bench.ended(1).0, FlowEnd::Closed);
    assert_eq!((bench.infos.len(), bench.table.stats().strangers), (1, 2));
}

#[test]
fn a_reset_ends_the_flow_and_hands_over_what_waits() {
    let segments = Conversation::http().mss(2).open().client("abcdef").reset(Client).segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 5, 6]));
    assert_eq!(bench.bytes(1, Client), b"ef");
    bench.run(&pick(&segments, &[3])).finish();
    let (end, ledger) = bench.ended(1);
    assert_eq!((end, ledger.client.lost_total(), ledger.client.duplicate), (FlowEnd::Reset, 4, 2));
}

#[test]
fn a_reset_with_an_incredible_number_is_ignored() {
    let segments = Conversation::http().open().client("ask").reset(Client).client("more").segments();
    let mut forged = segments[4].clone();
    forged.seq = forged.seq.wrapping_add(0x2000_0000);
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 3])).run(&[forged]);
    let mut more = segments[5].clone();
    more.seq = segments[4].seq;
    bench.run(&[more]).finish();
    assert_eq!(bench.bytes(1, Client), b"askmore");
    assert_eq!(bench.table.stats().resets_ignored, 1);
}

#[test]
fn a_refused_connection_is_a_reset_flow() {
    let segments = Conversation::http().segment(Client, TcpFlags::SYN, b"").segments();
    let mut refusal = Conversation::http().open().reset(Server).segments().pop().unwrap();
    (refusal.seq, refusal.ack) = (0, segments[0].seq.wrapping_add(1));
    let mut bench = Bench::new();
    bench.run(&segments).run(&[refusal]).finish();
    assert_eq!(bench.ended(1).0, FlowEnd::Reset);
    assert_eq!(bench.told(1).len(), 2);
}

#[test]
fn half_close_keeps_the_other_direction() {
    let segments = Conversation::http().open().client("ask").fin(Client).ack(Server).server("long").server("answer");
    let segments = segments.fin(Server).ack(Client).segments();
    let mut bench = Bench::new();
    bench.run(&segments[..8]);
    assert!(bench.told(1).contains(&Told::Finished(Client)));
    assert!(!bench.told(1).contains(&Told::Finished(Server)));
    bench.run(&segments[8..]).finish();
    assert_eq!(bench.bytes(1, Server), b"longanswer");
    assert_eq!(bench.ended(1).0, FlowEnd::Closed);
}

#[test]
fn fin_waits_for_all_before_it() {
    let segments = Conversation::http().mss(2).open().client("abcd").fin(Client).segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 4, 5]));
    assert!(!bench.told(1).contains(&Told::Finished(Client)));
    bench.run(&pick(&segments, &[3]));
    assert_eq!(bench.told(1).last(), Some(&Told::Finished(Client)));
    // Bytes beyond the FIN are none of the stream.
    let mut beyond = segments[3].clone();
    beyond.seq = segments[5].seq.wrapping_add(1);
    bench.run(&[beyond]).finish();
    assert_eq!(bench.bytes(1, Client), b"abcd");
    assert_eq!(bench.table.stats().beyond_end_bytes, 2);
}

#[test]
fn a_used_port_begins_a_new_flow() {
    let first = Conversation::http().open().client("one").server("1").close().segments();
    let at = after(first.last().unwrap(), Duration::from_millis(10));
    let second = Conversation::http().at(at).isns(900_000, 4_000_000_000).open().client("two").close().segments();
    let mut bench = Bench::new();
    bench.run(&first).run(&second).finish();
    assert_eq!((bench.bytes(1, Client), bench.bytes(2, Client)), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!((bench.ended(1).0, bench.ended(2).0), (FlowEnd::Closed, FlowEnd::Closed));
}

#[test]
fn a_used_port_ends_a_flow_that_was_still_open() {
    // With each segment of the handshake missing that may be.
    let first = Conversation::http().open().client("one").segments();
    let second = Conversation::http().isns(900_000, 4_000_000_000).open().client("two").segments();
    for missing in [None, Some(1), Some(2)] {
        let kept: Vec<usize> = (0..4).filter(|at| Some(*at) != missing).collect();
        let mut bench = Bench::new();
        bench.run(&first).run(&pick(&second, &kept)).finish();
        assert_eq!((bench.bytes(1, Client), bench.bytes(2, Client)), (b"one".to_vec(), b"two".to_vec()));
        assert_eq!(bench.ended(1).0, FlowEnd::Reused);
        assert!(!bench.infos[1].joined && bench.gaps(2).is_empty());
        assert_eq!(bench.infos[1].client.endpoint.port(), 40_000);
    }
}

#[test]
fn a_forged_syn_does_not_end_a_flow() {
    let segments = Conversation::http().open().client("one").server("1").client("two").segments();
    let mut forged = segments[0].clone();
    forged.seq = forged.seq.wrapping_add(123_456);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(&[forged]).run(&segments[4..]).finish();
    assert_eq!(bench.bytes(1, Client), b"onetwo");
    assert_eq!(bench.infos.len(), 1);
}

#[test]
fn simultaneous_open_is_one_flow() {
    let syn_ack = TcpFlags(18);
    let opened = Conversation::http().open().segments();
    let mut crossed = pick(&opened, &[0, 1]);
    crossed[1].flags = TcpFlags::SYN;
    let mut answers = pick(&opened, &[0, 1]);
    for (answer, ack) in answers.iter_mut().zip([&crossed[1], &crossed[0]]) {
        (answer.flags, answer.ack) = (syn_ack, ack.seq.wrapping_add(1));
    }
    let rest = Conversation::http().open().client("ask").server("answer").segments().split_off(3);
    let mut bench = Bench::new();
    bench.run(&crossed).run(&answers).run(&rest).finish();
    assert_eq!((bench.bytes(1, Client), bench.bytes(1, Server)), (b"ask".to_vec(), b"answer".to_vec()));
    assert_eq!(bench.infos.len(), 1);
    assert!(bench.gaps(1).is_empty());
}

#[test]
fn joining_in_the_middle_starts_where_we_came() {
    let segments = Conversation::http().open().client("old").server("answer").client("new").server("reply").segments();
    // The first thing seen is the server's answer: the port tells who it is.
    let mut bench = Bench::new();
    bench.run(&segments[4..]).finish();
    let info = &bench.infos[0];
    assert!(info.joined);
    assert_eq!((info.client.endpoint.port(), info.server.endpoint.port()), (40_000, 80));
    assert_eq!((bench.bytes(1, Client), bench.bytes(1, Server)), (b"new".to_vec(), b"answerreply".to_vec()));
    assert!(bench.gaps(1).is_empty());
}

#[test]
fn bytes_in_flight_when_we_joined_are_older_than_the_capture() {
    let segments = Conversation::http().open().client("ask").server("never seen").server("seen").ack(Client).segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[3, 5, 6])).finish();
    assert_eq!(bench.gaps(1), [(Server, 10, LossReason::BeforeJoin)]);
    assert_eq!(bench.bytes(1, Server), b"seen");
}

#[test]
fn socket_reports_name_the_ends_and_correct_the_guess() {
    let server_speaks = Conversation::new(([192, 0, 2, 1], 80).into(), ([192, 0, 2, 2], 40_000).into());
    let segments = server_speaks.open().client("hi").ack(Server).segments();
    let mut bench = Bench::new();
    // Guessed wrong by its ports: the client here has port 80. Nothing was handed over of the empty segment.
    let mut empty = segments[3].clone();
    (empty.payload, empty.wire_len, empty.cut) = (Vec::new(), 0, None);
    bench.event(&Event::Socket(report(SocketChange::OpenedActive, &segments[3], 5)));
    assert!(bench.table.is_empty(), "a report makes no flow");
    bench.run(&[empty]);
    assert!(bench.table.is_empty());
    bench.run(&segments[3..]).finish();
    let info = &bench.infos[0];
    assert!(!info.joined, "the handshake is known");
    assert_eq!((info.client.endpoint, info.client.cookie), (segments[3].source, Some(5)));
    assert_eq!(info.client.cgroup, Some(77));
    assert_eq!(info.client.process.as_ref().map(|process| process.pid), Some(42));
    assert_eq!(info.server.process, None);
}

#[test]
fn a_late_report_turns_a_flow_that_nobody_acted_on() {
    let odd = Conversation::new(([192, 0, 2, 1], 80).into(), ([192, 0, 2, 2], 40_000).into());
    let segments = odd.open().client("abcd").server("ok").segments();
    // Joined with bytes out of order, so that nothing was handed over before the report.
    let mut early = segments[4].clone();
    (early.ack, early.payload, early.wire_len, early.seq) = (segments[3].seq, b"x".to_vec(), 1, early.seq);
    let mut bench = Bench::new();
    let server = segments[1].clone();
    bench.event(&Event::Segment(crate::model::Segment { flags: TcpFlags(18), ..server.borrow() }));
    assert_eq!(bench.infos[0].client.endpoint.port(), 80, "SYN+ACK tells");
    bench.event(&Event::Socket(report(SocketChange::OpenedPassive, &server, 9))).run(&segments[3..]).finish();
    assert_eq!(bench.infos[0].server.cookie, Some(9));
    assert_eq!(bench.bytes(1, Client), b"abcd");
    assert_eq!(bench.bytes(1, Server), b"ok");
}

#[test]
fn segments_name_their_socket_once() {
    let mut segments = Conversation::http().open().client("ask").server("answer").segments();
    segments[3].socket = Some((Owner::Source, 11, 0));
    segments[4].socket = Some((Owner::Destination, 12, 13));
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    let client = &bench.infos[0].client;
    assert_eq!((client.cookie, client.cgroup), (Some(11), Some(13)), "what is known stays, what is unknown is added");
    assert_eq!(bench.infos[0].server.cookie, None);
    let known = bench.told(1).into_iter().filter(|told| *told == Told::CgroupKnown).count();
    assert_eq!(known, 1, "told once, when it was learnt");
    let mut bench = Bench::new();
    bench.run(&segments[..3]).event(&Event::Socket(report(SocketChange::OpenedPassive, &segments[1], 9)));
    assert_eq!(bench.told(1), [Told::Opened, Told::CgroupKnown]);
}

#[test]
fn a_closed_report_ends_a_flow_whose_fins_escaped_us() {
    let segments = Conversation::http().open().client("ask").server("answer").segments();
    let mut closed = report(SocketChange::Closed, &segments[3], 1);
    (closed.bytes_acked, closed.bytes_received) = (3, 6);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).event(&Event::Socket(closed.clone()));
    // The report may overtake the last segments.
    bench.run(&segments[4..]);
    assert_eq!(bench.bytes(1, Server), b"answer");
    bench.tick(closed.time + Duration::from_secs(1));
    assert_eq!(bench.ended(1).0, FlowEnd::Closed);
}

#[test]
fn reports_of_flows_that_nobody_captures_are_forgotten() {
    let segments = Conversation::http().open().segments();
    let mut bench = Bench::with(Limits { pending: 10, ..Limits::default() });
    for port in 0..100 {
        let mut opened = report(SocketChange::OpenedActive, &segments[0], 1);
        opened.local = Endpoint::from(std::net::SocketAddr::from(([192, 0, 2, 9], port)));
        bench.event(&Event::Socket(opened));
    }
    bench.tick(segments[0].time);
    assert_eq!(bench.table.pending.len(), 10);
    bench.tick(after(&segments[0], Duration::from_mins(5)));
    assert_eq!((bench.table.pending.len(), bench.told.len()), (0, 0));
}

#[test]
fn idle_flows_end() {
    let segments = Conversation::http().open().client("ask").segments();
    let mut bench = Bench::new();
    bench.run(&segments);
    bench.tick(after(&segments[3], Duration::from_secs(299)));
    assert_eq!(bench.table.len(), 1);
    bench.tick(after(&segments[3], Duration::from_mins(5)));
    assert_eq!(bench.ended(1).0, FlowEnd::Idle);
}

#[test]
fn the_least_recently_used_flow_makes_room() {
    let mut bench = Bench::with(Limits { flows: 2, ..Limits::default() });
    let conversation = |port| {
        let client = std::net::SocketAddr::from(([192, 0, 2, 1], port));
        Conversation::new(client, ([192, 0, 2, 2], 80).into()).open().client("ask").segments()
    };
    bench.run(&conversation(1001)).run(&conversation(1002)).run(&conversation(1001)[3..]).run(&conversation(1003));
    assert_eq!(bench.ended(2).0, FlowEnd::Evicted);
    assert_eq!((bench.table.len(), bench.table.stats().evicted), (2, 1));
    bench.finish();
    assert_eq!((bench.ended(1).0, bench.ended(3).0), (FlowEnd::CaptureEnded, FlowEnd::CaptureEnded));
}

#[test]
fn zones_keep_equal_addresses_apart() {
    let segments = Conversation::http().open().client("ask").segments();
    let mut bench = Bench::new();
    let other: Vec<OwnedSegment> =
        segments.iter().cloned().map(|segment| OwnedSegment { zone: 1, ..segment }).collect();
    bench.run(&segments).run(&other).finish();
    assert_eq!((bench.bytes(1, Client), bench.bytes(2, Client)), (b"ask".to_vec(), b"ask".to_vec()));
}

#[test]
fn a_forged_acknowledgement_does_not_blind_a_direction() {
    let segments = Conversation::http().open().client("ask").ack(Server).client("more").segments();
    let mut forged = segments[4].clone();
    forged.ack = forged.ack.wrapping_add(0x3000_0000);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(&[forged]).run(&segments[4..]).finish();
    assert_eq!(bench.bytes(1, Client), b"askmore");
    assert!(bench.gaps(1).is_empty());
    assert_eq!(bench.table.stats().acks_ignored, 1);
}

#[test]
fn a_forged_fin_does_not_blind_a_direction() {
    let segments = Conversation::http().open().client("ask").fin(Client).segments();
    let mut forged = segments[4].clone();
    forged.seq = forged.seq.wrapping_add(0x3000_0000);
    let mut bench = Bench::new();
    bench.run(&segments[..3]).run(&[forged]).tick(after(&segments[4], Duration::from_secs(2)));
    bench.run(&segments[3..]).finish();
    assert_eq!(bench.bytes(1, Client), b"ask");
    assert!(bench.gaps(1).is_empty() && bench.told(1).contains(&Told::Finished(Client)));
    assert_eq!(bench.table.stats().fins_ignored, 1);
}

#[test]
fn what_comes_after_it_was_given_up_is_counted_apart() {
    let segments = Conversation::http().open().client("late").ack(Server).client("next").segments();
    let mut bench = Bench::new();
    bench.run(&pick(&segments, &[0, 1, 2, 4, 3, 5, 3])).finish();
    assert_eq!(bench.bytes(1, Client), b"next");
    assert_eq!((bench.table.stats().late_bytes, bench.ended(1).1.client.duplicate), (4, 4));
}
