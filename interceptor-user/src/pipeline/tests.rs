//! What a pipeline tells of itself.

use super::*;
use crate::capture::memory::{Conversation, MemorySource, OwnedSegment};

/// Forgets the records.
struct Nowhere;

impl Sink for Nowhere {
    fn record(&mut self, _: &Record) -> anyhow::Result<()> {
        Ok(())
    }
}

fn run(options: Options, segments: Vec<OwnedSegment>) -> Pipeline<Nowhere> {
    let mut pipeline = Pipeline::new(options, Nowhere);
    pipeline.run(&mut MemorySource::new(segments), &AtomicBool::new(false)).expect("nothing can fail");
    pipeline
}

#[test]
fn what_is_in_no_ledger_is_published() {
    let connection = |port: u16| Conversation::new(([192, 0, 2, 1], port).into(), ([192, 0, 2, 2], 80).into());
    let mut segments = connection(40_000).ack(crate::model::Side::Client).segments();
    segments.extend(connection(40_001).open().client("ask").segments());
    let mut wild = connection(40_002).open().client("ask").segments();
    wild[3].seq = wild[3].seq.wrapping_add(0x7000_0000);
    segments.extend(wild);
    let mut options = Options::default();
    options.flow.flows = 1;
    let pipeline = run(options, segments);
    let counts = pipeline.counts();
    assert_eq!(counts.strangers.load(Relaxed), 1, "an ACK of no flow");
    assert_eq!(counts.evicted.load(Relaxed), 1);
    assert_eq!((counts.out_of_window.load(Relaxed), counts.out_of_window_bytes.load(Relaxed)), (1, 3));
    assert_eq!(counts.beyond_end_bytes.load(Relaxed), 0);
}
