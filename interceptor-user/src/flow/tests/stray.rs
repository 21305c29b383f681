//! Segments that are out of the window.

use Side::{Client, Server};

use super::*;
use crate::{capture::memory::Conversation, model::LossReport};

/// `good`, then `far1` and `far2`, which are `ahead` bytes further on than they should be.
fn far(ahead: u32) -> Vec<OwnedSegment> {
    let mut segments = Conversation::http().mss(4).open().client("goodfar1far2").segments();
    for segment in &mut segments[4..6] {
        segment.seq = segment.seq.wrapping_add(ahead);
    }
    segments
}

#[test]
fn far_data_is_not_believed_until_it_goes_on() {
    for ahead in [9 << 20, 0x1000_0000, 0x7000_0000] {
        let segments = far(ahead);
        let mut bench = Bench::new();
        bench.run(&segments[..5]);
        assert_eq!(bench.bytes(1, Client), b"good");
        assert!(bench.table.queued_bytes() > 0, "it is kept");
        bench.run(&segments[5..]);
        assert_eq!(bench.table.queued_bytes(), 0);
        bench.finish();
        assert_eq!(bench.bytes(1, Client), b"goodfar1far2");
        assert_eq!(bench.gaps(1), [(Client, u64::from(ahead), LossReason::NotSeen)]);
        assert_eq!(bench.table.stats().out_of_window, 0);
    }
}

#[test]
fn forged_data_far_ahead_opens_no_gap() {
    let segments = Conversation::http().open().client("ask").client("more").server("answer").close().segments();
    for ahead in [9 << 20, 0x1000_0000] {
        let mut forged = segments[4].clone();
        forged.seq = forged.seq.wrapping_add(ahead);
        let mut bench = Bench::new();
        bench.run(&segments[..4]).run(&[forged]).tick(after(&segments[4], Duration::from_secs(2)));
        bench.run(&segments[4..]).event(&Event::Socket(segments[3].closed(7, 6))).finish();
        assert_eq!((bench.bytes(1, Client), bench.bytes(1, Server)), (b"askmore".to_vec(), b"answer".to_vec()));
        assert!(bench.gaps(1).is_empty(), "{:?}", bench.gaps(1));
        let client = bench.ended(1).1.client;
        assert_eq!((client.carried, client.captured, client.kernel), (7, 7, true));
        let stats = bench.table.stats();
        assert_eq!((stats.out_of_window, stats.out_of_window_bytes, stats.late_bytes), (1, 4, 0));
    }
}

#[test]
fn what_is_known_to_be_lost_widens_the_window() {
    let segments = far(9 << 20);
    let reason = LossReason::RingFull;
    let [source, destination] = [segments[3].source, segments[3].destination];
    let mut bench = Bench::new();
    bench.event(&Event::Loss(LossReport { zone: 0, source, destination, bytes: 9 << 20, reason }));
    bench.run(&segments[..5]).tick(after(&segments[4], Duration::from_secs(2)));
    assert_eq!(bench.bytes(1, Client), b"goodfar1");
    bench.finish();
    assert_eq!(bench.ended(1).1.client.lost[reason as usize], 9 << 20);
}

#[test]
fn without_memory_far_data_is_set_aside() {
    let mut bench = Bench::with(Limits { total_bytes: 0, ..Limits::default() });
    bench.run(&far(9 << 20)).finish();
    assert_eq!((bench.bytes(1, Client), bench.table.stats().out_of_window_bytes), (b"good".to_vec(), 8));
}
