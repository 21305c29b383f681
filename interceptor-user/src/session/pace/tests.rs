use super::*;
use crate::model::LossReason;

const fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(millis * 1_000_000)
}

/// What held up data that was captured at these times, in order of delivery: stalled and waited, in milliseconds.
fn data(pace: &mut Pace, times: &[u64]) -> (u128, u128) {
    let mut sum = Delays::default();
    for time in times {
        sum.add(pace.chunk(Chunk::Data(b"x"), at(*time)).unwrap_or_default());
    }
    (sum.stalled.as_millis(), sum.waited.as_millis())
}

#[test]
fn a_stall_lasts_until_there_is_room_or_more_comes() {
    let mut pace = Pace::default();
    assert_eq!(data(&mut pace, &[1, 2]), (0, 0));
    pace.window(true, at(10));
    pace.window(true, at(40));
    assert_eq!(data(&mut pace, &[60, 70]), (50, 0), "asked for again, it is the same stall");
    pace.window(false, at(80));
    assert_eq!(data(&mut pace, &[90]), (0, 0), "there was room all the time");
    pace.window(true, at(100));
    pace.window(false, at(130));
    pace.window(false, at(150));
    assert_eq!(data(&mut pace, &[500]), (30, 0), "what comes later had nothing to wait for");
    pace.window(true, at(600));
    pace.window(false, at(610));
    pace.window(true, at(620));
    assert_eq!(data(&mut pace, &[640]), (40, 0), "nothing came in between");
}

#[test]
fn of_what_was_not_captured_nobody_knows_when_it_came() {
    let mut pace = Pace::default();
    pace.window(true, at(10));
    assert_eq!(pace.chunk(Chunk::Gap { len: 1, reason: LossReason::NotSeen }, at(50)), None);
    assert_eq!(data(&mut pace, &[60]), (0, 0));
    // Nor is what comes after a hole that stays one held up by it.
    pace.chunk(Chunk::Gap { len: 1, reason: LossReason::NotSeen }, at(90));
    assert_eq!(data(&mut pace, &[70, 80]), (0, 0));
}

#[test]
fn what_waits_for_one_hole_waits_once() {
    let mut pace = Pace::default();
    assert_eq!(data(&mut pace, &[5, 50, 10, 11, 49, 51]), (0, 40));
    // Two holes, whose times overlap: from 110 to 160.
    assert_eq!(data(&mut pace, &[150, 110, 120, 160, 130, 140]), (0, 50));
    // Later bytes that came earlier.
    assert_eq!(data(&mut pace, &[250, 220, 210, 230]), (0, 40));
    // Another hole begins after the first one was filled.
    assert_eq!(data(&mut pace, &[350, 340, 390, 360]), (0, 10 + 30));
}

#[test]
fn old_data_ends_no_stall() {
    let mut pace = Pace::default();
    pace.window(true, at(20));
    assert_eq!(data(&mut pace, &[10]), (0, 0));
    assert_eq!(data(&mut pace, &[30]), (10, 0));
}
