//! Connections that this process carries itself: their bytes come from sockets, in order and whole. From here on they
//! go the way of all others.

use std::sync::Arc;

use super::Pipeline;
use crate::{
    model::{Anomaly, Chunk, Exchange, FlowEnd, FlowEvent, FlowInfo, Ledger, Side, SideLedger, Timestamp},
    policy::Enforcement,
    session::{Session, Which},
    sink::{Sink, otlp::trace::ids::Trace},
};

/// One of them.
pub(super) struct Carried {
    pub(super) info: Arc<FlowInfo>,
    pub(super) session: Session,
    ledger: Ledger,
    /// Where a request cannot be judged for want of room, it is not sent on.
    fails_closed: bool,
    /// There was no room for some of it.
    given_up: bool,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Decision {
    /// It is sent on, or answered, as the policy says.
    Forward(Box<Enforcement>),
    /// A rule asks for its content, of which it takes so many bytes at the most: it is decided when that is whole.
    Await(usize),
    /// Another reader might take it for another request, or for two (RFC 9112 section 11.2).
    Refuse(Anomaly),
    /// It was not read here, or not as the other reader did.
    Unknown,
    /// There was no room to read it; it is to be sent on all the same, unless its connection fails closed.
    Unread {
        /// It is not.
        fails_closed: bool,
    },
}

/// Where a message ends, or what its fields are, depends on who reads.
const AMBIGUOUS: [Anomaly; 10] = [
    Anomaly::TransferEncodingAndLength,
    Anomaly::RepeatedLength,
    Anomaly::BadLength,
    Anomaly::BadTransferEncoding,
    Anomaly::BadChunk,
    Anomaly::BareLf,
    Anomaly::ObsFold,
    Anomaly::Nul,
    Anomaly::BadHead,
    Anomaly::Skipped,
];

impl Carried {
    /// Of a request that was not read.
    fn unread(&self) -> Decision {
        if self.given_up || self.session.has_given_up() {
            Decision::Unread { fails_closed: self.fails_closed }
        } else {
            Decision::Unknown
        }
    }
}

fn ambiguous(exchange: &Exchange) -> Option<Anomaly> {
    AMBIGUOUS.into_iter().find(|anomaly| exchange.anomalies.contains(*anomaly))
}

fn carry_out(mut enforcement: Enforcement, exchange: &mut Exchange) -> Decision {
    if enforcement.trace {
        // The same that our own spans will have.
        enforcement.traceparent = Trace::of(exchange).map(|trace| trace.traceparent(&exchange.flow));
    }
    exchange.enforced.clone_from(&enforcement.rules);
    Decision::Forward(Box::new(enforcement))
}

/// Which one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CarriedId(u64);

impl<K: Sink> Pipeline<K> {
    /// A connection begins; its number in `info` is given to it here. `fails_closed`: what of it cannot be judged is not sent on.
    pub fn open(&mut self, mut info: FlowInfo, fails_closed: bool) -> CarriedId {
        self.renew();
        self.carried_ids += 1;
        info.id = self.carried_ids;
        let id = CarriedId(info.id);
        let (session, ledger) = (Session::default(), Ledger::default());
        let mut carried = Carried { info: Arc::new(info), session, ledger, fails_closed, given_up: false };
        self.downstream.deliver(&mut carried.info, &mut carried.session, FlowEvent::Opened { late: false });
        self.carried.insert(id, carried);
        id
    }

    /// The next bytes that `side` sent.
    pub fn carry(&mut self, id: CarriedId, side: Side, time: Timestamp, data: &[u8]) {
        self.renew();
        let Some(Carried { info, session, ledger, given_up, .. }) = self.carried.get_mut(&id) else { return };
        let SideLedger { carried, captured, .. } = ledger.side_mut(side);
        *carried += data.len() as u64;
        *captured += data.len() as u64;
        let next = *carried as u32;
        let before = self.downstream.given_up;
        self.downstream.deliver(info, session, FlowEvent::Chunk { side, time, next, chunk: Chunk::Data(data) });
        *given_up |= self.downstream.given_up > before;
    }

    /// Does a rule of the policies in force have something done to requests?
    pub fn enforces(&mut self) -> bool {
        self.renew();
        self.downstream.stage.keep.enforces()
    }

    /// What is to be done with a request whose head has been carried, and which somebody else has read as `method` and `target`.
    /// What is to be done counts as done, unless the content is awaited.
    pub fn decide(&mut self, id: CarriedId, which: Which, method: &str, target: &str) -> Decision {
        let Some(carried) = self.carried.get_mut(&id) else { return Decision::Unknown };
        let unread = carried.unread();
        let Some(exchange) = carried.session.open_exchange(which) else { return unread };
        if let Some(odd) = ambiguous(exchange) {
            return Decision::Refuse(odd);
        }
        let head = exchange.request.as_ref().map(|part| &part.head);
        if head.is_none_or(|head| head.method() != Some(method) || head.target() != Some(target)) {
            return unread;
        }
        let enforcement = self.downstream.stage.keep.enforce(exchange, false);
        // What a tunnel carries is no content of the request.
        let awaits = enforcement.awaits.filter(|_| method != "CONNECT");
        awaits.map_or_else(|| carry_out(enforcement, exchange), Decision::Await)
    }

    /// The same of a request that was awaited, and of which all has been carried.
    pub fn decide_whole(&mut self, id: CarriedId, which: Which) -> Decision {
        let Some(carried) = self.carried.get_mut(&id) else { return Decision::Unknown };
        let unread = carried.unread();
        let Some(exchange) = carried.session.open_exchange(which) else { return unread };
        if let Some(odd) = ambiguous(exchange) {
            return Decision::Refuse(odd);
        }
        if exchange.request.as_ref().is_none_or(|part| !part.ended) {
            return unread;
        }
        carry_out(self.downstream.stage.keep.enforce(exchange, true), exchange)
    }

    /// `side` sends no more.
    pub fn finished(&mut self, id: CarriedId, side: Side, time: Timestamp) {
        let Some(Carried { info, session, .. }) = self.carried.get_mut(&id) else { return };
        self.downstream.deliver(info, session, FlowEvent::Finished { side, time });
    }

    /// It is over.
    pub fn close(&mut self, id: CarriedId, end: FlowEnd, time: Timestamp) {
        let Some(Carried { mut info, mut session, ledger, .. }) = self.carried.remove(&id) else { return };
        self.downstream.deliver(&mut info, &mut session, FlowEvent::Ended { end, time, ledger });
    }
}
