//! Connections that this process carries itself: their bytes come from sockets, in order and whole. From here on they
//! go the way of all others.

use std::sync::Arc;

use super::Pipeline;
use crate::{
    model::{Chunk, FlowEnd, FlowEvent, FlowInfo, Ledger, Side, SideLedger, Timestamp},
    session::Session,
    sink::Sink,
};

/// One of them.
pub(super) struct Carried {
    pub(super) info: Arc<FlowInfo>,
    pub(super) session: Session,
    ledger: Ledger,
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CarriedId(u64);

impl<K: Sink> Pipeline<K> {
    /// A connection begins; its number in `info` is given to it here.
    pub fn open(&mut self, mut info: FlowInfo) -> CarriedId {
        self.renew();
        self.carried_ids += 1;
        info.id = self.carried_ids;
        let id = CarriedId(info.id);
        let mut carried = Carried { info: Arc::new(info), session: Session::default(), ledger: Ledger::default() };
        self.downstream.deliver(&mut carried.info, &mut carried.session, FlowEvent::Opened { late: false });
        self.carried.insert(id, carried);
        id
    }

    /// The next bytes that `side` sent.
    pub fn carry(&mut self, id: CarriedId, side: Side, time: Timestamp, data: &[u8]) {
        self.renew();
        let Some(Carried { info, session, ledger }) = self.carried.get_mut(&id) else { return };
        let SideLedger { carried, captured, .. } = ledger.side_mut(side);
        *carried += data.len() as u64;
        *captured += data.len() as u64;
        let next = *carried as u32;
        self.downstream.deliver(info, session, FlowEvent::Chunk { side, time, next, chunk: Chunk::Data(data) });
    }

    /// `side` sends no more.
    pub fn finished(&mut self, id: CarriedId, side: Side, time: Timestamp) {
        let Some(Carried { info, session, .. }) = self.carried.get_mut(&id) else { return };
        self.downstream.deliver(info, session, FlowEvent::Finished { side, time });
    }

    /// It is over.
    pub fn close(&mut self, id: CarriedId, end: FlowEnd, time: Timestamp) {
        let Some(Carried { mut info, mut session, ledger }) = self.carried.remove(&id) else { return };
        self.downstream.deliver(&mut info, &mut session, FlowEvent::Ended { end, time, ledger });
    }
}
