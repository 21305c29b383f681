//! Resets that may be forged (RFC 5961), or whose like we cannot tell from forged ones.

use Side::{Client, Server};

use super::*;
use crate::capture::memory::Conversation;

/// `ask`, answered by `answer`, then `more`; and a reset by the client as it would be after `ask`, off by `off`.
fn reset_by(off: i32) -> (Vec<OwnedSegment>, OwnedSegment) {
    let opened = Conversation::http().open().client("ask");
    let mut reset = opened.clone().reset(Client).segments().pop().unwrap();
    reset.seq = reset.seq.wrapping_add_signed(off);
    (opened.client("more").ack(Server).segments(), reset)
}

#[test]
fn an_inexact_reset_is_taken_back_when_the_stream_goes_on() {
    for off in [1000, 1, -1, -3, -1000] {
        let (segments, reset) = reset_by(off);
        let mut bench = Bench::new();
        bench.run(&segments[..4]).run(&[reset]).run(&segments[4..]).finish();
        let (end, ledger) = bench.ended(1);
        assert_eq!(bench.bytes(1, Client), b"askmore", "off by {off}");
        assert_eq!((end, ledger.client.carried, ledger.client.lost_total()), (FlowEnd::CaptureEnded, 7, 0));
        let stats = bench.table.stats();
        assert_eq!((stats.resets_ignored, stats.after_end_bytes, bench.infos.len()), (1, 0, 1), "off by {off}");
    }
}

#[test]
fn an_exact_reset_ends_the_flow() {
    let (segments, reset) = reset_by(0);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(&[reset]).run(&segments[4..]).finish();
    assert_eq!(bench.bytes(1, Client), b"ask");
    assert_eq!(bench.ended(1).0, FlowEnd::Reset);
    assert_eq!(bench.table.stats().after_end_bytes, 4);
}

#[test]
fn after_a_fin_the_next_number_is_one_further() {
    let segments = Conversation::http().open().client("ask").fin(Client).reset(Client).server("late").segments();
    let mut bench = Bench::new();
    bench.run(&segments).finish();
    assert_eq!((bench.ended(1).0, bench.table.stats().after_end_bytes), (FlowEnd::Reset, 4));
}

#[test]
fn an_inexact_reset_that_nothing_follows_is_believed() {
    let (segments, reset) = reset_by(1000);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(std::slice::from_ref(&reset));
    bench.tick(after(&reset, Duration::from_secs(1)));
    assert_eq!((bench.ended(1).0, bench.table.stats().resets_ignored), (FlowEnd::Reset, 0));
}

#[test]
fn a_reset_that_overtook_the_last_bytes_is_believed_when_they_come() {
    let (segments, reset) = reset_by(4);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(&[reset]).run(&segments[4..5]).finish();
    assert_eq!(bench.bytes(1, Client), b"askmore");
    assert_eq!((bench.ended(1).0, bench.table.stats().resets_ignored), (FlowEnd::Reset, 0));
}

#[test]
fn a_challenge_tells_that_the_receiver_did_not_believe_it() {
    let (segments, reset) = reset_by(1000);
    let mut challenge = segments[5].clone();
    challenge.ack = segments[4].seq;
    let mut later = segments[4].clone();
    later.time = later.time + Duration::from_mins(1);
    let mut bench = Bench::new();
    bench.run(&segments[..4]).run(&[reset, challenge, later]).finish();
    assert_eq!(bench.bytes(1, Client), b"askmore");
    assert_eq!((bench.ended(1).0, bench.infos.len()), (FlowEnd::CaptureEnded, 1));
}

#[test]
fn a_reset_that_closed_the_socket_was_one() {
    let (segments, reset) = reset_by(1000);
    let mut bench = Bench::new();
    bench
        .run(&segments[..4])
        .run(&[reset])
        .event(&Event::Socket(segments[3].closed(3, 0)))
        .run(&segments[4..])
        .finish();
    assert_eq!((bench.ended(1).0, bench.table.stats().after_end_bytes), (FlowEnd::Reset, 4));
}
