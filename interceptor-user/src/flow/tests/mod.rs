#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod ends;
mod ledger;
mod order;
mod property;
mod reset;
mod speed;
mod stray;
mod unwanted;

use std::time::Duration;

use super::{Limits, Table};
use crate::{
    capture::memory::{OwnedEvent, OwnedSegment},
    model::{Chunk, Event, FlowEnd, FlowEvent, FlowInfo, Ledger, LossReason, Side, TcpFlags, Timestamp},
};

/// What a flow was told, adjoining data merged.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
    Opened,
    CgroupKnown,
    Data(Side, Vec<u8>),
    Gap(Side, u64, LossReason),
    Differs(Side),
    Window(Side, bool),
    Finished(Side),
    Ended(FlowEnd, Ledger),
}

/// Per-flow state that checks the contract as it goes.
#[derive(Default)]
struct Checker {
    opened: bool,
    finished: [bool; 2],
    ended: bool,
    sums: [(u64, u64); 2],
}

/// A table that writes down what it tells.
struct Bench {
    table: Table<Checker>,
    told: Vec<(u64, Told)>,
    infos: Vec<FlowInfo>,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        Self { table: Table::new(limits), told: Vec::new(), infos: Vec::new() }
    }

    fn run<E: Into<OwnedEvent> + Clone>(&mut self, events: &[E]) -> &mut Self {
        for event in events {
            let event: OwnedEvent = event.clone().into();
            self.event(&event.borrow());
        }
        self
    }

    fn event(&mut self, event: &Event<'_>) -> &mut Self {
        let Self { table, told, infos } = self;
        table.event(event, |info, checker, event| note(told, infos, info, checker, event));
        self
    }

    fn tick(&mut self, now: Timestamp) -> &mut Self {
        let Self { table, told, infos } = self;
        table.tick(now, |info, checker, event| note(told, infos, info, checker, event));
        self
    }

    fn finish(&mut self) -> &mut Self {
        let Self { table, told, infos } = self;
        table.finish(|info, checker, event| note(told, infos, info, checker, event));
        assert_eq!(table.queued_bytes(), 0, "nothing stays queued");
        assert!(table.is_empty());
        self
    }

    /// What the flow with this id was told.
    fn told(&self, id: u64) -> Vec<Told> {
        self.told.iter().filter(|(flow, _)| *flow == id).map(|(_, told)| told.clone()).collect()
    }

    /// All data of one side, gaps left out.
    fn bytes(&self, id: u64, side: Side) -> Vec<u8> {
        let data = self.told.iter().filter_map(|(flow, told)| match told {
            Told::Data(from, data) if *flow == id && *from == side => Some(data.as_slice()),
            _ => None,
        });
        data.collect::<Vec<_>>().concat()
    }

    fn ended(&self, id: u64) -> (FlowEnd, Ledger) {
        let ends: Vec<_> = self
            .told(id)
            .into_iter()
            .filter_map(|told| match told {
                Told::Ended(end, ledger) => Some((end, ledger)),
                _ => None,
            })
            .collect();
        assert_eq!(ends.len(), 1, "flow {id} ends once");
        ends[0]
    }

    fn gaps(&self, id: u64) -> Vec<(Side, u64, LossReason)> {
        let gap = |told| if let Told::Gap(side, len, reason) = told { Some((side, len, reason)) } else { None };
        self.told(id).into_iter().filter_map(gap).collect()
    }
}

fn note(
    told: &mut Vec<(u64, Told)>,
    infos: &mut Vec<FlowInfo>,
    info: &FlowInfo,
    checker: &mut Checker,
    event: FlowEvent<'_>,
) {
    assert!(!checker.ended, "nothing follows Ended");
    assert_eq!(checker.opened, !matches!(event, FlowEvent::Opened { .. }), "Opened comes first, and once");
    let at = info.id as usize - 1;
    if infos.len() <= at {
        infos.resize(at + 1, info.clone());
    }
    infos[at] = info.clone();
    let new = match event {
        FlowEvent::CgroupKnown => Told::CgroupKnown,
        FlowEvent::Opened { .. } => {
            checker.opened = true;
            Told::Opened
        }
        FlowEvent::Chunk { side, chunk, .. } => {
            assert!(!checker.finished[side as usize], "nothing follows Finished");
            let sums = &mut checker.sums[side as usize];
            match chunk {
                Chunk::Data(data) => {
                    assert!(!data.is_empty());
                    sums.0 += data.len() as u64;
                    if let Some((id, Told::Data(last, bytes))) = told.last_mut()
                        && *last == side
                        && *id == info.id
                    {
                        bytes.extend_from_slice(data);
                        return;
                    }
                    Told::Data(side, data.to_vec())
                }
                Chunk::Gap { len, reason } => {
                    assert!(len > 0);
                    sums.1 += len;
                    Told::Gap(side, len, reason)
                }
            }
        }
        FlowEvent::RetransmissionDiffers { side } => Told::Differs(side),
        FlowEvent::Window { side, full, .. } => Told::Window(side, full),
        FlowEvent::Finished { side, .. } => {
            assert!(!std::mem::replace(&mut checker.finished[side as usize], true), "a side finishes once");
            Told::Finished(side)
        }
        FlowEvent::Waited { .. } => unreachable!("nobody asks for it"),
        FlowEvent::Ended { end, ledger, .. } => {
            checker.ended = true;
            for side in Side::BOTH {
                let (books, (captured, gaps)) = (ledger.side(side), checker.sums[side as usize]);
                assert_eq!(books.carried, books.captured + books.skipped() + books.lost_total(), "{books:?}");
                assert_eq!(books.captured, captured, "what was handed over is captured");
                assert!(
                    books.skipped() + books.lost_total() + 1 >= gaps,
                    "gaps are lost, save for a FIN taken for a byte"
                );
            }
            Told::Ended(end, ledger)
        }
    };
    told.push((info.id, new));
}

/// Each of these segments, in the order of the indices.
fn pick(segments: &[OwnedSegment], order: &[usize]) -> Vec<OwnedSegment> {
    order.iter().map(|&at| segments[at].clone()).collect()
}

fn after(segment: &OwnedSegment, time: Duration) -> Timestamp {
    segment.time + time
}

const FIN_ACK: TcpFlags = TcpFlags(TcpFlags::FIN.0 | TcpFlags::ACK.0);
