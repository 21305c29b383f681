//! What a segment costs: `cargo test --release -p interceptor-user --lib flow::tests::speed -- --ignored --nocapture`.

use std::{hint::black_box, net::SocketAddr, time::Instant};

use super::*;
use crate::capture::memory::Conversation;

/// Nanoseconds per segment of `segments`, taken by a table that has the flows open already.
fn cost(opening: &[OwnedSegment], rounds: &[Vec<OwnedSegment>]) -> f64 {
    let mut table: Table<u64> = Table::new(Limits::default());
    for segment in opening {
        table.event(&Event::Segment(segment.borrow()), |_, _, _| ());
    }
    let mut count = 0_u32;
    let start = Instant::now();
    for round in rounds {
        for segment in round {
            table.event(&Event::Segment(segment.borrow()), |_, bytes, event| {
                if let FlowEvent::Chunk { chunk: Chunk::Data(data), .. } = event {
                    *bytes += black_box(data).len() as u64;
                }
            });
            count += 1;
        }
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(count)
}

#[test]
#[ignore = "a measurement; it asserts nothing but that it ran"]
fn segments_per_second() {
    for flows in [1_u16, 100, 10_000] {
        for (name, bytes, pure_ack) in
            [("120 B + 250 B", true, false), ("pure ACK", false, true), ("mixed", true, true)]
        {
            let mut talks: Vec<Conversation> = (0..flows)
                .map(|flow| {
                    let [high, low] = flow.to_be_bytes();
                    let client = SocketAddr::from(([10, 0, high, low], 40_000));
                    Conversation::new(client, ([192, 0, 2, 2], 80).into()).open()
                })
                .collect();
            let opening: Vec<OwnedSegment> = talks.iter_mut().flat_map(Conversation::take).collect();
            let mut rounds = Vec::new();
            for _ in 0..(200_000 / usize::from(flows)).max(1) {
                let mut round = Vec::new();
                for talk in &mut talks {
                    let mut next = talk.clone();
                    if bytes {
                        next = next.client([b'q'; 120]);
                    }
                    if pure_ack {
                        next = next.ack(Side::Server);
                    }
                    if bytes {
                        next = next.server([b'a'; 250]);
                    }
                    if pure_ack {
                        next = next.ack(Side::Client);
                    }
                    round.extend(next.take());
                    *talk = next;
                }
                rounds.push(round);
            }
            let best = (0..5).map(|_| cost(&opening, &rounds)).fold(f64::MAX, f64::min);
            println!("{flows:>6} flows, {name:<14} {best:6.1} ns/segment");
        }
    }
}
