use std::{sync::Arc, time::Duration};

use crate::model::{Delays, FlowInfo, Role, Side};

/// Which side of a flow asks, and what has held it up. That is its client, but for where the flow table joined and guessed its ends wrong.
#[derive(Debug)]
pub(super) struct Roles {
    requester: Side,
    /// The flow as it is, and with its ends the other way round.
    swapped: Option<(Arc<FlowInfo>, Arc<FlowInfo>)>,
    /// In all: of the client, and of the server.
    delays: (Delays, Delays),
}

impl Roles {
    pub(super) const fn new(requester: Side) -> Self {
        let none = Delays { stalled: Duration::ZERO, waited: Duration::ZERO };
        Self { requester, swapped: None, delays: (none, none) }
    }

    pub(super) const fn requester(&self) -> Side {
        self.requester
    }

    #[inline]
    pub(super) fn of(&self, side: Side) -> Role {
        if side == self.requester { Role::Request } else { Role::Response }
    }

    /// The same sides, held up as they were, on a connection that becomes something else.
    pub(super) const fn again(&self) -> Self {
        Self { requester: self.requester, swapped: None, delays: self.delays }
    }

    /// What has held up who sends these until now.
    pub(super) fn delays(&self, role: Role) -> Delays {
        let side = if role == Role::Request { self.requester } else { self.requester.peer() };
        match side {
            Side::Client => self.delays.0,
            Side::Server => self.delays.1,
        }
    }

    /// This held it up.
    pub(super) const fn delayed(&mut self, side: Side, delays: Delays) {
        match side {
            Side::Client => self.delays.0.add(delays),
            Side::Server => self.delays.1.add(delays),
        }
    }

    /// It is the other way round.
    pub(super) const fn turn(&mut self) {
        self.requester = self.requester.peer();
    }

    /// The flow with the requester as its client.
    pub(super) fn described(&mut self, flow: &Arc<FlowInfo>) -> Arc<FlowInfo> {
        match &self.swapped {
            _ if self.requester == Side::Client => Arc::clone(flow),
            Some((from, to)) if Arc::ptr_eq(from, flow) => Arc::clone(to),
            _ => {
                let mut swapped = FlowInfo::clone(flow);
                std::mem::swap(&mut swapped.client, &mut swapped.server);
                let swapped = Arc::new(swapped);
                self.swapped = Some((Arc::clone(flow), Arc::clone(&swapped)));
                swapped
            }
        }
    }
}
