use std::sync::Arc;

use crate::model::{FlowInfo, Role, Side};

/// Which side of a flow asks. That is its client, but for where the flow table joined and guessed its ends wrong.
#[derive(Debug)]
pub(super) struct Roles {
    requester: Side,
    /// The flow as it is, and with its ends the other way round.
    swapped: Option<(Arc<FlowInfo>, Arc<FlowInfo>)>,
}

impl Roles {
    pub(super) const fn new(requester: Side) -> Self {
        Self { requester, swapped: None }
    }

    pub(super) const fn requester(&self) -> Side {
        self.requester
    }

    #[inline]
    pub(super) fn of(&self, side: Side) -> Role {
        if side == self.requester { Role::Request } else { Role::Response }
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
