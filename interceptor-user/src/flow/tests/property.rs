//! Any order, any segmentation, any repetition.

use std::net::SocketAddr;

use Side::{Client, Server};
use proptest::{prelude::*, sample::Index};

use super::*;
use crate::{
    capture::memory::Conversation,
    model::{Endpoint, LossReport, SocketChange, SocketReport},
};

/// What to do with one byte range of a stream.
#[derive(Clone, Debug)]
struct Cut {
    from: Index,
    len: usize,
    /// Where in the order it comes.
    place: u32,
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    let cut = (any::<Index>(), 1_usize..60, any::<u32>()).prop_map(|(from, len, place)| Cut { from, len, place });
    prop::collection::vec(cut, 0..40)
}

/// Any event at all, of few flows, so that they meet.
fn events() -> impl Strategy<Value = Vec<OwnedEvent>> {
    let endpoint = (1_u8..3, prop::sample::select(vec![80_u16, 40_000]))
        .prop_map(|(last, port)| Endpoint::from(SocketAddr::from(([192, 0, 2, last], port))));
    let seq = prop_oneof![4 => 0_u32..300, 1 => (u32::MAX - 200)..=u32::MAX, 1 => any::<u32>()];
    let reason = prop::sample::select(LossReason::ALL.to_vec());
    let segment = (
        (endpoint.clone(), endpoint.clone(), seq.clone(), seq),
        (any::<u8>(), prop::collection::vec(0_u8..4, 0..40), 0_u32..50, prop::option::of(reason.clone())),
    )
        .prop_map(|((source, destination, seq, ack), (flags, payload, cut_len, cut))| {
            OwnedEvent::Segment(OwnedSegment {
                time: Timestamp::default(),
                zone: 0,
                source,
                destination,
                seq,
                ack,
                flags: TcpFlags(flags),
                // Some say that they have no room.
                window: u16::from(flags & 64),
                wire_len: payload.len() as u32 + cut_len,
                payload,
                cut,
                socket: Some((crate::model::Owner::Source, u64::from(flags), 0)),
                interface: 0,
            })
        });
    let change =
        prop::sample::select(vec![SocketChange::OpenedActive, SocketChange::OpenedPassive, SocketChange::Closed]);
    let socket = (endpoint.clone(), endpoint.clone(), change, 0_u64..4, 0_u64..500, any::<u64>()).prop_map(
        |(local, remote, change, cookie, bytes_acked, bytes_received)| {
            OwnedEvent::Socket(SocketReport {
                time: Timestamp::default(),
                zone: 0,
                change,
                local,
                remote,
                cookie,
                cgroup: Some(1),
                process: None,
                srtt: Duration::ZERO,
                retransmits: 0,
                bytes_acked,
                bytes_received,
            })
        },
    );
    let loss = (endpoint.clone(), endpoint, 0_u64..300, reason).prop_map(|(source, destination, bytes, reason)| {
        OwnedEvent::Loss(LossReport { zone: 0, source, destination, bytes, reason })
    });
    prop::collection::vec(prop_oneof![20 => segment, 1 => socket, 1 => loss], 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_order_and_segmentation_gives_the_same_bytes(
        stream in prop::collection::vec(any::<u8>(), 1..400),
        isn in prop_oneof![any::<u32>(), (u32::MAX - 400)..=u32::MAX],
        extra in cuts(),
        places in prop::collection::vec(any::<u32>(), 20),
        step in 1_usize..50,
        fin_place in any::<u32>(),
    ) {
        let opened = Conversation::http().isns(isn, 7).open();
        let base = opened.clone().client([0]).segments().pop().unwrap();
        let piece = |from: usize, to: usize| {
            let mut piece = base.clone();
            piece.seq = base.seq.wrapping_add(from as u32);
            piece.payload = stream[from..to].to_vec();
            piece.wire_len = piece.payload.len() as u32;
            piece
        };
        // All of the stream once, and any parts of it again, in any order.
        let mut pieces: Vec<(u32, OwnedSegment)> = Vec::new();
        for (number, from) in (0..stream.len()).step_by(step).enumerate() {
            let to = (from + step).min(stream.len());
            pieces.push((places.get(number).copied().unwrap_or(number as u32), piece(from, to)));
        }
        for Cut { from, len, place } in extra {
            let from = from.index(stream.len());
            pieces.push((place, piece(from, (from + len).min(stream.len()))));
        }
        let mut fin = piece(stream.len(), stream.len());
        fin.flags = FIN_ACK;
        pieces.push((fin_place, fin));
        pieces.sort_by_key(|(place, _)| *place);
        let pieces: Vec<OwnedSegment> = pieces.into_iter().map(|(_, piece)| piece).collect();

        let mut bench = Bench::new();
        bench.run(&opened.segments()).run(&pieces);
        prop_assert_eq!(bench.table.queued_bytes(), 0);
        prop_assert!(bench.told(1).ends_with(&[Told::Finished(Client)]));
        bench.finish();
        prop_assert_eq!(bench.bytes(1, Client), stream.clone());
        prop_assert!(bench.gaps(1).is_empty());
        prop_assert!(!bench.told(1).contains(&Told::Differs(Client)));
        let sent: usize = pieces.iter().map(|piece| piece.payload.len()).sum();
        prop_assert_eq!(bench.ended(1).1.client.duplicate, (sent - stream.len()) as u64);
    }

    #[test]
    fn what_is_missing_is_a_gap_of_its_length(
        lost in prop::collection::vec(any::<bool>(), 1..40),
        answers in prop::collection::vec(any::<bool>(), 40),
        isn in any::<u32>(),
    ) {
        // Each piece says where it belongs, so that gaps can be checked by what surrounds them.
        let mut conversation = Conversation::http().isns(isn, isn / 2).open();
        for (number, _) in lost.iter().enumerate() {
            conversation = conversation.client([number as u8; 10]);
            if answers[number] {
                conversation = conversation.ack(Server);
            }
        }
        let segments = conversation.close().segments();
        let mut number = 0;
        let kept: Vec<OwnedSegment> = segments.into_iter().filter(|segment| {
            let piece = !segment.payload.is_empty();
            number += usize::from(piece);
            !(piece && lost[number - 1])
        }).collect();
        let mut bench = Bench::new();
        bench.run(&kept).finish();
        let mut at = 0;
        for told in bench.told(1) {
            match told {
                Told::Data(Client, bytes) => {
                    for byte in bytes {
                        prop_assert_eq!(u64::from(byte), at / 10);
                        at += 1;
                    }
                }
                Told::Gap(Client, len, _) => at += len,
                _ => {}
            }
        }
        prop_assert_eq!(at, lost.len() as u64 * 10);
        let books = bench.ended(1).1.client;
        let missing = lost.iter().filter(|lost| **lost).count() as u64 * 10;
        prop_assert_eq!((books.lost_total(), books.carried), (missing, at));
    }

    #[test]
    fn any_events_keep_the_contract(events in events(), flows in 1_usize..4, total in 0_usize..2000, steps in 0_u64..400) {
        let limits = Limits { flows, total_bytes: total, flow_bytes: 1000, gap_bytes: 600, pending: 3, ..Limits::default() };
        let mut bench = Bench::with(limits);
        let mut now = Timestamp::from_nanos(1 << 60);
        for mut event in events {
            now = now + Duration::from_millis(steps);
            match &mut event {
                OwnedEvent::Segment(segment) => segment.time = now,
                OwnedEvent::Socket(report) => report.time = now,
                OwnedEvent::Loss(_) => {}
            }
            bench.run(&[event]);
            prop_assert!(bench.table.queued_bytes() <= total);
            prop_assert!(bench.table.len() <= flows);
            prop_assert!(bench.table.pending.len() <= 3);
        }
        bench.finish();
        for id in 1..=bench.infos.len() as u64 {
            bench.ended(id);
        }
    }
}
