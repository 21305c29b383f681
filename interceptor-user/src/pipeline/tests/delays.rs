//! How much of an exchange's time was its reader's or the network's.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};

use super::*;
use crate::model::{Delays, Exchange, Side};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n";

/// Each response's delays.
fn delays(segments: Vec<OwnedSegment>) -> Vec<Delays> {
    let exchanges = exchanges(segments.into_iter().map(OwnedEvent::from));
    assert!(exchanges.iter().all(Exchange::complete), "{exchanges:?}");
    let none = Delays::default();
    assert!(exchanges.iter().all(|exchange| exchange.request.as_ref().unwrap().delays == none));
    exchanges.iter().map(|exchange| exchange.response.as_ref().unwrap().delays).collect()
}

#[test]
fn a_reader_without_room_stalls_the_answer_that_is_sent() {
    let step = Duration::from_micros(100);
    let client = Side::Client;
    let answered = Conversation::http().open().client(GET).server(ANSWER).server("one");
    let stalled = answered.clone().full(client).wait(ms(30)).full(client).wait(ms(90)).server("two");
    assert_eq!(delays(stalled.clone().segments())[0].stalled, ms(120) + 2 * step);
    // What is full between answers holds up none of them.
    let next = stalled.full(client).wait(ms(500)).client(GET).server(ANSWER).server("onetwo").close();
    let stalled: Vec<_> = delays(next.segments()).iter().map(|delays| delays.stalled).collect();
    assert_eq!(stalled, [ms(120) + 2 * step, Duration::ZERO]);
    // That there is room again ends it, though the server has nothing to say yet.
    let slow = answered.full(client).wait(ms(7)).ack(client).wait(ms(500)).server("two");
    assert_eq!(delays(slow.segments())[0].stalled, ms(7) + step);
}

#[test]
fn what_was_sent_again_made_the_answer_wait() {
    let talk = Conversation::http().open().client(GET).server(ANSWER).server("o").server("n").server("etwo").close();
    let mut segments = talk.segments();
    let mut lost = segments.remove(5);
    assert_eq!(lost.payload, b"o");
    let next = segments[5].time;
    lost.time = next + ms(40);
    // All that follows waits for it.
    for segment in &mut segments[7..] {
        segment.time = lost.time + ms(1);
    }
    segments.insert(7, lost);
    assert_eq!(delays(segments), [Delays { waited: ms(40), stalled: Duration::ZERO }]);
}

#[test]
fn a_window_of_no_flow_opens_none() {
    let mut segments = Conversation::http().full(Side::Client).segments();
    segments.extend(Conversation::http().open().client(GET).server(ANSWER).server("onetwo").segments());
    let pipeline = run(Options::default(), segments.clone());
    assert_eq!(pipeline.counts().strangers.load(Relaxed), 1);
    assert_eq!(delays(segments), [Delays::default()]);
}

#[test]
fn a_handshake_tells_the_round_trip_wherever_it_is_seen() {
    let syn_ack = crate::model::TcpFlags(18);
    let round_trip = |segments: Vec<OwnedSegment>| {
        let events = segments.into_iter().map(OwnedEvent::from);
        exchanges(events).pop().expect("an exchange").flow.round_trip
    };
    let syn = || Conversation::http().segment(Side::Client, crate::model::TcpFlags::SYN, b"");
    let asked = |talk: Conversation| talk.client(GET).server(ANSWER).server("onetwo").segments();
    let step = Duration::from_micros(100);
    // In the middle of the way.
    let middle = syn().wait(ms(3)).segment(Side::Server, syn_ack, b"").wait(ms(5));
    assert_eq!(round_trip(asked(middle.clone().ack(Side::Client).wait(ms(70)))), Some(ms(8) + 2 * step));
    // Without the bare acknowledgement.
    assert_eq!(round_trip(asked(middle.clone())), Some(ms(8) + 2 * step));
    // The client had nothing to say.
    assert_eq!(round_trip(asked(middle.wait(ms(1000)))), None);
    // The SYN was sent again: which one is answered?
    let mut again = asked(syn().wait(ms(3)).segment(Side::Server, syn_ack, b"").ack(Side::Client));
    again.insert(0, again[0].clone());
    assert_eq!(round_trip(again), None);
}

/// What is said, in order; each side's data in pieces.
fn conversation() -> impl Strategy<Value = Vec<OwnedSegment>> {
    (1_usize..40, 1_usize..4).prop_map(|(mss, rounds)| {
        let mut talk = Conversation::http().mss(mss).open();
        for _ in 0..rounds {
            talk = talk
                .client("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
                .server(ANSWER)
                .server("onetwo");
        }
        talk.close().segments()
    })
}

/// An acknowledgement of all that `after` and what came before it said, by the one for whom `after` is, without room.
fn full(segments: &[OwnedSegment], at: usize) -> OwnedSegment {
    let after = &segments[at];
    // SYN and FIN count one.
    let end = |segment: &OwnedSegment| segment.seq.wrapping_add(segment.wire_len + u32::from(segment.flags.0 & 3 != 0));
    let own = segments[..at].iter().rev().find(|segment| segment.source == after.destination);
    OwnedSegment {
        source: after.destination,
        destination: after.source,
        seq: own.map_or(after.ack, end),
        ack: end(after),
        flags: crate::model::TcpFlags::ACK,
        window: 0,
        payload: Vec::new(),
        wire_len: 0,
        ..after.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn full_windows_change_nothing_but_stalls(
        segments in conversation(),
        places in prop::collection::vec(any::<Index>(), 1..6),
    ) {
        let events = |segments: &[OwnedSegment]| exchanges(segments.iter().cloned().map(OwnedEvent::from));
        let mut with = segments.clone();
        let mut places: Vec<_> = places.iter().map(|place| 2 + place.index(segments.len() - 2)).collect();
        places.sort_unstable();
        for at in places.into_iter().rev() {
            with.insert(at + 1, full(&segments, at));
        }
        let (expected, mut found) = (events(&segments), events(&with));
        for exchange in &mut found {
            for part in [&mut exchange.request, &mut exchange.response].into_iter().flatten() {
                prop_assert!(part.delays.stalled <= part.last_byte.since(part.first_byte));
                prop_assert_eq!(part.delays.waited, Duration::ZERO);
                part.delays.stalled = Duration::ZERO;
            }
        }
        prop_assert_eq!(found, expected);
    }
}
