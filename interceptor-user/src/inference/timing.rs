//! When the messages of a streamed answer came.

use std::time::Duration;

use super::call::{Call, Streamed};
use crate::model::{Inference, Timestamp};

/// What is known while the messages are gone through. One that carries nothing generated (who speaks, a ping, counts) is
/// none of those that are timed.
#[derive(Debug, Default)]
pub(super) struct Pace {
    chunks: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The one before, where it was kept.
    previous: Option<Timestamp>,
    gaps: Vec<Duration>,
    /// Messages that were gone through, and those between them that were not kept.
    seen: u64,
    /// Before the first of them that is known come others that were not kept.
    late: bool,
}

impl Pace {
    /// Of a stream of messages each of which is an answer (of gRPC); fills in what they tell.
    pub(super) fn of_answers(call: &Call<'_>, inference: &mut Inference) {
        let mut pace = Self::default();
        for (time, skipped) in call.times() {
            pace.message(&Streamed { time, skipped, event: None, data: "".into() }, true);
        }
        pace.finish(call, inference);
    }

    /// The next message that was kept. Those before it that were not are taken to be like the others: generated.
    pub(super) fn message(&mut self, message: &Streamed<'_>, generated: bool) {
        self.seen += message.skipped + 1;
        if message.skipped > 0 {
            self.chunks += message.skipped;
            self.previous = None;
            self.late |= self.first.is_none();
        }
        if !generated {
            return;
        }
        self.chunks += 1;
        self.gaps.extend(self.previous.map(|previous| message.time.since(previous)));
        self.first = self.first.or(Some(message.time));
        self.last = Some(message.time);
        self.previous = self.last;
    }

    /// Messages that carry something generated, those that were not kept among them.
    pub(super) fn chunks(&self, call: &Call<'_>) -> u64 {
        self.chunks + self.unseen(call)
    }

    /// Messages after the last one that was kept.
    fn unseen(&self, call: &Call<'_>) -> u64 {
        call.pieces().map_or(0, |pieces| pieces.count.saturating_sub(self.seen))
    }

    /// Fills in what the messages tell; the output tokens have to be known by now.
    pub(super) fn finish(mut self, call: &Call<'_>, inference: &mut Inference) {
        let Some(pieces) = call.pieces() else { return };
        let timing = &mut inference.timing;
        timing.chunks = self.chunks(call);
        if self.unseen(call) > 0 {
            self.late |= self.first.is_none();
            self.last = Some(pieces.last);
        }
        if self.late {
            // Where no message was kept at all, the first one is taken for the first that carries something.
            self.first = pieces.kept.is_empty().then_some(pieces.first);
        }
        let asked = call.exchange.request.as_ref().map(|part| part.last_byte);
        timing.first_token = self.first.zip(asked).map(|(first, asked)| first.since(asked));
        timing.generation = self.first.zip(self.last).map(|(first, last)| last.since(first));
        timing.longest_gap = self.gaps.iter().max().copied();
        timing.median_gap = median(&mut self.gaps);
        let intervals = inference.usage.output.and_then(|output| output.checked_sub(1)).filter(|count| *count > 0);
        timing.per_output_token = timing.generation.zip(intervals).map(|(time, count)| divided(time, count));
    }
}

fn divided(time: Duration, by: u64) -> Duration {
    u64::try_from(time.as_nanos() / u128::from(by.max(1))).map_or(Duration::MAX, Duration::from_nanos)
}

/// Of an even number the lower of the two in the middle.
fn median(times: &mut [Duration]) -> Option<Duration> {
    let middle = times.len().checked_sub(1)? / 2;
    Some(*times.select_nth_unstable(middle).1)
}
