//! What time brings: holes that are given up, flows that end.

use std::{sync::Arc, time::Duration};

use super::{
    Limits, Table,
    entry::{Flow, Phase},
    expiry::Queue,
};
use crate::model::{FlowEnd, FlowEvent, FlowInfo, Side, Timestamp};

/// Events look at the time-outs when this much time has passed since the last look.
const TICK: Duration = Duration::from_millis(10);
/// Time may go back this much among events (they come from several CPUs) without being taken for a new beginning.
const BACKWARDS: Duration = Duration::from_secs(1);

impl<S: Default> Table<S> {
    #[inline]
    pub(super) fn advance(
        &mut self,
        time: Timestamp,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        if time.since(self.ticked) >= TICK {
            self.expire(time, deliver);
        } else if self.ticked.since(time) > BACKWARDS {
            self.ticked = time;
        }
    }

    #[cold]
    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        deliver: &mut impl FnMut(&mut Arc<FlowInfo>, &mut S, FlowEvent<'_>),
    ) {
        self.ticked = now;
        let Limits { gap_time, linger, idle, .. } = self.shared.limits;
        while let Some(index) = self.waiting.front() {
            let (slot, side) = (index / 2, if index % 2 == 0 { Side::Client } else { Side::Server });
            let Some(flow) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else { break };
            if flow.side(side).watched.is_some_and(|(_, since)| now.since(since) < gap_time) {
                break;
            }
            let before = flow.phase;
            flow.give_up(side, now, &mut self.shared, deliver);
            if flow.phase != before {
                self.recent.remove(slot);
                self.lingering.push(slot);
            }
            watch(flow, slot, now, &mut self.waiting);
        }
        while let Some(slot) = self.lingering.front() {
            let Some(Phase::Closing { since } | Phase::Doubted { since, .. } | Phase::Over { since, .. }) =
                self.flow(slot).map(|flow| flow.phase)
            else {
                break;
            };
            if now.since(since) < linger {
                break;
            }
            self.end(slot, FlowEnd::Closed, since, deliver);
        }
        while let Some(slot) = self.recent.front() {
            let Some(last) = self.flow(slot).map(|flow| flow.last) else { break };
            if now.since(last) < idle {
                break;
            }
            self.end(slot, FlowEnd::Idle, last + idle, deliver);
        }
        // A loss report has no time of its own; one that came before anything that has is not old.
        let old = |time: Timestamp| time != Timestamp::default() && now.since(time) >= idle;
        self.forget(old);
    }
}

/// Starts, restarts or stops the gap timers of a flow.
#[inline]
pub(super) fn watch<S>(flow: &mut Flow<S>, slot: u32, now: Timestamp, waiting: &mut Queue) {
    for (side, index) in [(Side::Client, slot * 2), (Side::Server, slot * 2 + 1)] {
        let direction = flow.side_mut(side);
        match (direction.hole(), direction.watched) {
            (None, None) => {}
            (None, Some(_)) => {
                direction.watched = None;
                waiting.remove(index);
            }
            (Some(hole), Some((watched, _))) if hole == watched => {}
            (Some(hole), _) => {
                direction.watched = Some((hole, now));
                waiting.push(index);
            }
        }
    }
}
