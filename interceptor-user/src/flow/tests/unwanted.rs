//! What the kernel was asked to leave out.

use Side::{Client, Server};

use super::*;
use crate::capture::memory::Conversation;

/// A conversation in which the server says twenty bytes, two a segment; its segments of these numbers are left out.
fn run(left_out: &[usize], until: u32) -> (Bench, Vec<(LossReason, u64)>) {
    let segments = Conversation::http().mss(2).open().client("ask").server("abcdefghijklmnopqrst").close().segments();
    let first = segments.iter().position(|segment| segment.payload == b"ab").expect("the answer");
    let mut bench = Bench::new();
    bench.run(&segments[..=first]);
    let next = segments[first + 1].seq;
    let key = bench.infos[0].key;
    bench.table.leave_out(&key, Server, next.wrapping_add(until));
    let rest: Vec<_> = (1..segments.len() - first).filter(|number| !left_out.contains(number)).collect();
    bench.run(&rest.iter().map(|number| segments[first + number].clone()).collect::<Vec<_>>()).finish();
    let server = bench.ended(1).1.server;
    let lost = LossReason::ALL.into_iter().map(|reason| (reason, server.lost[reason as usize]));
    let lost = lost.filter(|(_, bytes)| *bytes > 0).collect();
    (bench, lost)
}

#[test]
fn what_comes_after_it_is_next_at_once() {
    let (bench, lost) = run(&[1, 2, 3], 6);
    assert_eq!(lost, [(LossReason::SkippedByPolicy, 6)]);
    assert_eq!(bench.bytes(1, Server), b"abijklmnopqrst");
    assert_eq!(bench.bytes(1, Client), b"ask");
    assert_eq!(bench.ended(1).1.server.lost_total(), 0, "it is no loss");
}

#[test]
fn the_end_of_it_need_not_be_seen() {
    // All to the end of the stream, of which the FIN tells.
    let (_, lost) = run(&[1, 2, 3, 4, 5, 6, 7, 8, 9], 18);
    assert_eq!(lost, [(LossReason::SkippedByPolicy, 18)]);
}

#[test]
fn what_is_missing_beyond_it_is_a_loss() {
    let (_, lost) = run(&[1, 2, 3, 5], 6);
    assert_eq!(lost, [(LossReason::SkippedByPolicy, 6), (LossReason::NotSeen, 2)]);
}

#[test]
fn a_hole_that_goes_on_beyond_it_is_told_in_two() {
    let (_, lost) = run(&[1, 2, 3, 4], 6);
    assert_eq!(lost, [(LossReason::SkippedByPolicy, 6), (LossReason::NotSeen, 2)]);
}

#[test]
fn what_was_not_left_out_is_taken() {
    let (bench, lost) = run(&[2], 6);
    assert_eq!(lost, [(LossReason::SkippedByPolicy, 2)]);
    assert_eq!(bench.bytes(1, Server), b"abcdghijklmnopqrst");
}
